"""How the runs of both sides were made, as far as it differs: no verdict hangs on it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fgrad.comparing.sides import Result
from fgrad.errors import printable
from fgrad.store import identity

FEW = 4
"""Values that are listed."""

RECORDED = ("machine", "device", "threads", "commit")
"""What a result records of where and by what it was made, beside versions."""


CODE = "code"


@dataclass(frozen=True)
class Difference:
    """Something that is not the same of both sides.

    Args:
        what: in words.
        a: on one side.
        b: on the other.
        runs: in how many runs that both have, and of which sections.
    """

    what: str
    a: str
    b: str
    runs: str


@dataclass
class Facts:
    """What is known of the runs of both sides, gathered run by run."""

    values: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    differing: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, a: Result | None, b: Result | None) -> None:
        """Take note of a run; of one side if the other has none."""
        known = [_known(one.known) if one else {} for one in (a, b)]
        for name in {*known[0], *known[1]}:
            both = self.values.setdefault(name, (Counter(), Counter()))
            for counts, one in zip(both, known, strict=True):
                if name in one:
                    counts[one[name]] += 1
            if a and b and known[0].get(name) != known[1].get(name):
                where = f"{a.section}{_gradient(a)}" if name == CODE else a.section
                self.differing.setdefault(name, Counter())[where] += 1

    def differences(self) -> list[Difference]:
        """What differs in runs that both sides have, and what only one side's runs have."""
        found = []
        for name, (a, b) in sorted(self.values.items(), key=lambda item: _order(item[0])):
            where = self.differing.get(name, Counter())
            if where or set(a) != set(b):
                runs = ", ".join(f"{count} of {section}" for section, count in where.items())
                told = _number if name == CODE else _listed
                found.append(Difference(name, told(a), told(b), runs or "in other runs"))
        return found


def _known(made: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a run by name, options last, those of its kind of gradient unfolded."""
    found = {name: made.get(name) for name in RECORDED}
    if made.get("no_commit"):
        found["commit"] = f"unknown ({made['no_commit']})"
    found |= {f"version of {name}": value for name, value in (made.get("versions") or {}).items()}
    found[CODE] = made.get("code")
    found |= {f"option {name}": value for name, value in identity.defining(made["run"]).items()}
    return {name: printable(str(value)) for name, value in found.items() if value is not None}


def _gradient(result: Result) -> str:
    """The gradient of a run that has one, after a space."""
    found = result.known["run"].get("gradient")
    return f" {found}" if isinstance(found, str) and "gradient" in result.frame else ""


def _order(name: str) -> tuple[int, str]:
    kinds = ("version", CODE, "option")
    first = name.split(" ", maxsplit=1)[0]
    return kinds.index(first) + 1 if first in kinds else 0, name


def _number(counts: Counter[str]) -> str:
    """How many there are: a fingerprint says nothing to people."""
    return f"{len(counts)} fingerprints"


def _listed(counts: Counter[str]) -> str:
    shown = list(counts)[:FEW]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "none"
