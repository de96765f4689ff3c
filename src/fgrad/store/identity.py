"""What a result file is: the options and the code it was made with, and whether that was asked for.

Options that define the numbers are compared; `RECORDED` ones are kept in the file and no more.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pydantic import ValidationError

from fgrad.errors import ConfigError
from fgrad.store import parquet
from fgrad.validation import Model

RECORDED = frozenset(
    {"device", "gpu_slots", "threads", "checkpoint_minutes", "profile", "in_flight"}
)
"""Options that say how a job is carried out, and define no number."""


@dataclass(frozen=True)
class Asked:
    """What a configuration asks of a result file.

    Args:
        path: the file, below the working directory.
        kind: the class of its options, as ``module:attribute``.
        run: the options of its job that define numbers, as plain values; without ``lr`` where the
            rate is searched for.
        code: fingerprints that its code may have; ``None`` for none recorded.
        search: the file of the search that finds its rate, if it waits for one.
    """

    path: str
    kind: str
    run: dict[str, Any]
    code: tuple[str | None, ...]
    search: str | None = None

    def plain(self) -> dict[str, Any]:
        """As plain values, for a job that is to check the file."""
        return dict(vars(self))


def defining(run: Mapping[str, Any]) -> dict[str, Any]:
    """The options that define numbers."""
    return {name: value for name, value in run.items() if name not in RECORDED}


def digest(content: Any) -> str:
    """16 hexadecimal digits of plain values."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def description(run: Mapping[str, Any], code: str, on: str) -> dict[str, Any]:
    """All that the numbers of a job depend on, by name; its `digest` names what it leaves behind.

    Args:
        run: options; their threads count too, as they may change the last bits.
        code: fingerprint.
        on: type of the device.
    """
    threads = {name: value for name, value in run.items() if name == "threads"}
    return defining(run) | threads | {"code": code, "torch": version("torch"), "on": on}


def difference(asked: Asked) -> str:
    """What a file is not that was asked for, in words; empty if it is the one.

    Options that the file does not know of, as they came later, have their defaults.
    """
    if not Path(asked.path).exists():
        return "missing"
    try:
        made = parquet.provenance(asked.path)
        wanted = asked.run | _rate(asked)
        recorded = defining(made["run"])
        if recorded != wanted:
            recorded = _known(recorded, resolve_name(asked.kind))
    except ConfigError as error:
        return str(error).removeprefix(f"{asked.path}: ")
    except ValidationError:
        return "made with options that are not known any more, or of another kind"
    except (AttributeError, KeyError, TypeError):
        return "no result of this project: it does not say what it is"
    for name, value in wanted.items():
        if recorded.get(name) != value:
            return f"{name} = {recorded.get(name)!r}, asked for {value!r}"
    return _code_difference(made.get("code"), made.get("accepted"), asked.code)


def _known(run: Mapping[str, Any], kind: type[Model]) -> dict[str, Any]:
    """Recorded options as they are called today, and those that came later with their defaults."""
    with warnings.catch_warnings():
        # of options that were renamed: nobody can rename them in a result
        warnings.simplefilter("ignore", FutureWarning)
        return kind.model_validate(run).model_dump(mode="json")


def is_of(path: Path, run: Mapping[str, Any], code: str) -> bool:
    """Whether a file is whole and was made with these options by this code and this torch.

    Args:
        path: a result.
        run: all options, as plain values.
        code: fingerprint.
    """
    try:
        made = parquet.provenance(path)
    except ConfigError:
        return False
    try:
        same = defining(made["run"]) == defining(run) and made["code"] == code
        return bool(same and made["versions"]["torch"] == version("torch"))
    except (AttributeError, KeyError, TypeError):  # of somebody else
        return False


def check(asked: Iterable[Mapping[str, Any]]) -> None:
    """Refuse files that are not the ones that were asked for.

    Args:
        asked: `Asked.plain` of each.

    Raises:
        ConfigError: naming the first such file and what differs.
    """
    for one in (Asked(**plain) for plain in asked):
        differs = difference(one)
        if differs:
            raise ConfigError(f"{one.path}: {differs}; run snakemake again, it will be made anew")


def found_rate(search: str) -> float:
    """The learning rate that a search found.

    Args:
        search: its Parquet file.

    Raises:
        ConfigError: if the file is no search.
    """
    try:
        lr: float = parquet.provenance(search)["found"]["lr"]
    except (KeyError, TypeError):
        raise ConfigError(f"{search}: the result of a search is expected") from None
    return lr


def _rate(asked: Asked) -> dict[str, float]:
    """The rate that the search of a run has found."""
    return {} if asked.search is None else {"lr": found_rate(asked.search)}


def _code_difference(code: object, accepted: object, asked: Sequence[str | None]) -> str:
    for_code = accepted.get("code") if isinstance(accepted, dict) else None
    if code in asked or (for_code is not None and for_code in asked):
        return ""
    return f"made by other code ({code or 'not recorded'}, now {asked[0]})"


def made_of(asked: Iterable[Mapping[str, Any]], *also: Any) -> str:
    """Hash of what some results are, and of what else something that is made of them depends on.

    Args:
        asked: `Asked.plain` of each; the files are there.
        also: plain values.

    Raises:
        ConfigError: if a file is missing or damaged.
    """
    each = []
    for one in asked:
        made = parquet.provenance(one["path"])
        code = made.get("code")
        each.append([one["path"], made.get("run"), code, code in one["code"]])
    return digest([each, *also])


MANY = 16
"""Values of an option that are listed; of more, only the number is said."""


def record(asked: Sequence[Mapping[str, Any]], *also: Any) -> dict[str, Any]:
    """What a file that is made of some results records of them.

    Args:
        asked: `Asked.plain` of each; the files are there.
        also: plain values it depends on too.

    Returns:
        ``made_of`` and ``older``, see there, ``runs`` (how many), ``commits`` (of the code that
        made them; ``unknown`` where it is not) and ``options`` (name → values among the runs, the
        number of them where they are many).
    """
    made = [parquet.provenance(one["path"]) for one in asked]
    commits = sorted({str(one.get("commit") or "unknown") for one in made})
    found: dict[str, list[Any]] = {}
    for one in made:
        for name, value in defining(one.get("run") or {}).items():
            values = found.setdefault(name, [])
            if value not in values:
                values.append(value)
    options = {
        name: values if len(values) <= MANY else f"{len(values)} values"
        for name, values in found.items()
        if values != [None]
    }
    known = {"made_of": made_of(asked, *also), "older": older(asked)}
    return known | {"runs": len(made), "commits": commits, "options": options}


def is_made_of(path: str, asked: Iterable[Mapping[str, Any]], *also: Any) -> bool:
    """Whether a file says that it is made of these results and values, see `made_of`."""
    try:
        return bool(parquet.provenance(path).get("made_of") == made_of(asked, *also))
    except ConfigError:
        return False


NAMED = 3
"""Codes that are named in a figure, at most."""


def older(asked: Iterable[Mapping[str, Any]]) -> str:
    """In words, which of some results were made by older code and taken over on purpose.

    Args:
        asked: `Asked.plain` of each.
    """
    each = [Asked(**plain) for plain in asked]
    made = [parquet.provenance(one.path).get("code") for one in each]
    codes = [str(code) for code, one in zip(made, each, strict=True) if code not in one.code]
    if not codes:
        return ""
    different = sorted(set(codes))
    shown = different if len(different) <= NAMED else different[: NAMED - 1]
    more = len(different) - len(shown)
    names = ", ".join(shown) + (f" and {more} more" if more else "")
    return f"{len(codes)} of {len(made)} runs were made by older code ({names})"


def notes(summaries: Iterable[str]) -> str:
    """What is to be said wherever some summaries are shown: `older` of the runs behind them."""
    return sentences(*dict.fromkeys(parquet.provenance(one).get("older", "") for one in summaries))


def sentences(*parts: str) -> str:
    """The parts that say something, one after the other."""
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)
