"""The verdict on each row, on each run, and on both sides as a whole.

In this order, whichever comes first:

1. *identical*: all that both sides have of the row is the same to the last bit.
2. *equal*: all of it is within the tolerances of `fgrad.comparing.columns`.
3. *different*: a part is apart from the start although both sides drew the same random numbers,
   see `fgrad.comparing.pairs.from_start`: rounding cannot do that. Or there is no chance in it.
   Or a test rejects that both sides' values are of one distribution (`fgrad.comparing.chance`).
4. *undecided*: no test could have rejected anything, for want of seeds, not even the largest
   difference that there is (`fgrad.comparing.metrics.Metric.extent`).
5. *same distribution*: a test could have, and did not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from fgrad.comparing import chance, metrics
from fgrad.comparing.metrics import Metric
from fgrad.comparing.pairs import APART, EQUAL, IDENTICAL, ONLY_A, ONLY_B, Part, Row
from fgrad.paper.evidence.check import told

SAME, UNDECIDED, DIFFERENT = "same distribution", "undecided", "different"

VERDICTS = (IDENTICAL, EQUAL, SAME, UNDECIDED, DIFFERENT, ONLY_A, ONLY_B)
"""From best to worst."""

ALIKE = (IDENTICAL, EQUAL, SAME)
"""Verdicts that leave nothing to look at."""

MOST = 300
"""Decades, or other units, above which a difference is not said in numbers."""

NO_CHANCE = 1e-6
"""Spread below which values of all seeds are one."""


@dataclass(frozen=True)
class Effect:
    """What was tested of a row.

    Args:
        metric: which value.
        means: of both sides.
        test: what the test says.
        rejects: whether it says that the distributions differ.
        half: half the width of the difference's interval; all intervals hold jointly.
        seen: the difference it would have seen, see `fgrad.comparing.chance.Tested.seen`.
    """

    metric: Metric
    means: tuple[float, float]
    test: chance.Tested
    rejects: bool = False
    half: float = np.nan
    seen: float = np.nan


@dataclass
class Judged:
    """A row of a section, what there is of it on both sides, and the verdict.

    Args:
        section: of the runs.
        row: its columns.
        parts: of the runs.
        verdict: one of `VERDICTS`.
        why: what it rests on, in words; empty where the bits are the same.
        effects: of the metrics, if they were looked at.
        lacking: the side that lacks seeds or runs of the row that the other has, instead of which
            it has no others: ``A``, ``B`` or nothing.
    """

    section: str
    row: Row
    parts: list[Part]
    verdict: str = ""
    why: str = ""
    effects: list[Effect] = field(default_factory=list)
    lacking: str = ""

    @property
    def name(self) -> str:
        """The row in words.

        >>> Judged("functions", (("function", "sphere"), ("n", 64), ("k", 1)), []).name
        'sphere, n = 64, k = 1'
        """
        return ", ".join(
            _word(name, value)
            for name, value in self.row
            if value is not False and name != "experiment"
        )


def _word(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, str):
        return value
    return f"{value:g}°" if name == "angle_deg" else f"{name} = {value:,}"


def rows(parts: Sequence[Part]) -> list[Judged]:
    """The rows that runs are of, those that need no test with their verdict."""
    found: dict[tuple[str, Row], Judged] = {}
    for part in parts:
        key = (part.section, part.row)
        found.setdefault(key, Judged(*key, [])).parts.append(part)
    for row in found.values():
        _without_test(row)
    return list(found.values())


def _without_test(row: Judged) -> None:
    what = {part.found for part in row.parts}
    common, alone = what - {ONLY_A, ONLY_B}, what & {ONLY_A, ONLY_B}
    if len(alone) == 1:
        row.lacking = "B" if ONLY_A in alone else "A"
    if not common and len(alone) == 1:
        (row.verdict,) = alone
    elif APART not in common and len(alone) < 2:
        row.verdict = EQUAL if EQUAL in common else IDENTICAL
        row.why = "" if row.verdict == IDENTICAL else "within the tolerance of rounding"


def test(row: Judged, a: Sequence[pd.DataFrame], b: Sequence[pd.DataFrame]) -> None:
    """Test whether what both sides have of a row is of one distribution; `settle` decides.

    Args:
        row: that has no verdict yet.
        a: metrics of one side's runs.
        b: of the other's.
    """
    x, y = pd.concat(a), pd.concat(b)
    many = x["kind"].iloc[0] == "quality"
    for metric in metrics.of(pd.concat([x, y])):
        u, v = (side[metric.name].to_numpy(dtype=np.float64) for side in (x, y))
        with np.errstate(invalid="ignore"):
            means = (float(u.mean()), float(v.mean()))
        unit = 1.0 if metric.unit else _largest(u, v)
        tested = chance.samples(u, v) if many else chance.seeds(u, v, unit)
        row.effects.append(Effect(metric, means, tested))


def _largest(*of: chance.Floats) -> float:
    """The largest size of a number; 1 if there is none."""
    sizes = np.abs(np.concatenate(of))
    return float(sizes[np.isfinite(sizes)].max(initial=0)) or 1.0


def settle(judged: Sequence[Judged]) -> None:
    """Decide about the rows that were tested, at a joint error rate over all their tests."""
    open_rows = [row for row in judged if not row.verdict]
    tests = [effect.test for row in open_rows for effect in row.effects]
    rejects, level = chance.rejected(tests)
    decided = iter(rejects)
    for row in open_rows:
        row.effects = [
            replace(
                effect,
                rejects=bool(next(decided)),
                half=effect.test.half(level),
                seen=effect.test.seen(level),
            )
            for effect in row.effects
        ]
        row.verdict, row.why = _decision(row, level)


def _decision(row: Judged, level: float) -> tuple[str, str]:
    if any(part.from_start for part in row.parts):
        return DIFFERENT, "from the start, with the same draws"
    if _certain(row):
        return DIFFERENT, "there is no chance in it"
    if not row.effects:
        return UNDECIDED, "its runs are no results that can be tested"
    rejecting = [effect for effect in row.effects if effect.rejects]
    if rejecting:
        return DIFFERENT, f"significantly in {' and '.join(e.metric.text for e in rejecting)}"
    able = [effect for effect in row.effects if _able(effect, level)]
    counts = " and ".join(map(str, row.effects[0].test.counts))
    of = "samples" if row.effects[0].test.by == chance.SMIRNOV else "seeds"
    if not able:
        return UNDECIDED, f"{counts} {of} could have shown no difference"
    seen = " or ".join(dict.fromkeys(map(_could, able)))
    return SAME, f"{counts} {of} would have shown {seen}"


def _able(effect: Effect, level: float) -> bool:
    """Whether a test could have rejected anything that there may be."""
    return (
        bool(effect.test.by)
        and effect.test.least <= level
        and not effect.seen > effect.metric.extent
    )


def _could(effect: Effect) -> str:
    """What a test that saw nothing would have seen, in words."""
    by = effect.test.by
    if by == chance.SMIRNOV:
        return f"distributions {100 * effect.seen:.0f} points apart"
    if by == chance.ONE:
        return f"any other {effect.metric.text}: all are the same"
    if by == chance.RANKS:
        return f"no overlap in {effect.metric.text}"
    return f"{size(effect.seen, effect.metric.unit)} in {effect.metric.text}"


def size(difference: float, unit: str, ways: tuple[str, str] | None = None) -> str:
    """A difference in words, see `fgrad.paper.evidence.check.told`.

    >>> size(-2.0, "decades", ("lower", "higher")), size(0.02, "")
    ('a factor of 100 lower', '0.02')
    """
    if np.isnan(difference):
        return "infinite in both"
    if abs(difference) > MOST:
        return "beyond all bounds"
    if unit:
        return told(difference, unit, ways)
    if abs(difference) < NO_CHANCE:
        return "the same"
    return f"{abs(difference):.2g}" + (f" {ways[difference > 0]}" if ways else "")


def _certain(row: Judged) -> bool:
    """Whether seeds do not matter and values differ from side to side.

    So it is for descents without tangents, and for those on all of ∇f, k ≥ n, that do not vary,
    which one seed does not show.
    """
    named = dict(row.row)
    if "function" not in named or named.get("k", np.inf) < named["n"]:
        return False
    return any(
        effect.test.error <= NO_CHANCE < abs(effect.test.difference)
        and ("k" not in named or min(effect.test.counts) > 1)
        for effect in row.effects
    )
