"""How a statement is checked: verdicts, tests over many cells, and what they tell the reader.

Every statistical decision states its tolerance; where many cells are tested at once the level of
each test is divided by their number (Bonferroni), so that a true claim fails with probability
`LEVEL` at most where means are normal; means of few or skewed observations are only nearly so,
which adds to it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fgrad.paper.stats import worse

LEVEL = 0.01
"""Probability that a true claim fails, over all its tests."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Args:
        verdict: ``holds``, ``fails`` or ``not decidable``.
        evidence: the numbers behind it.
        tolerance: what was allowed.
    """

    verdict: str
    evidence: str
    tolerance: str


def decide(holds: bool, evidence: str, tolerance: str) -> Verdict:
    """A verdict of what was found."""
    return Verdict("holds" if holds else "fails", evidence, tolerance)


def undecidable(why: str) -> Verdict:
    """The verdict where a run is too small to decide."""
    return Verdict("not decidable", why, "at this scale")


def listed(cells: list[str], most: int = 8) -> str:
    """The first cells by name, and how many more there are."""
    if not cells:
        return ""
    more = f" and {len(cells) - most} more" if len(cells) > most else ""
    return f" ({', '.join(cells[:most])}{more})"


def monotone(
    frame: pd.DataFrame,
    by: list[str],
    value: str,
    over: str,
    sign: int,
    best: float,
    text: str = "",
) -> Verdict:
    """Whether a value never gets worse as ``over`` grows, and better from end to end in every cell.

    Cells that are at the best value from the start have nothing to gain. Sign +1: it should fall;
    ``text`` is the value in words.
    """
    if (frame["count"] < 2).any():
        return undecidable("two observations of each cell are needed")
    steps, ends = [], []
    for _, cell in frame.sort_values(over).groupby(by, sort=False, dropna=False):
        steps += [cell.iloc[i : i + 2] for i in range(len(cell) - 1)]
        if len(cell) > 1 and abs(cell[f"{value}_mean"].iloc[0] - best) > 1e-6:
            ends.append(cell.iloc[[0, -1]])
    if not steps or not ends:
        return undecidable(f"no cell has two values of {over} and something to gain")

    def tested(pairs: list[pd.DataFrame], first_worse: bool) -> pd.Series:
        columns = ["count", f"{value}_mean", f"{value}_std"]
        early, late = (
            pd.DataFrame([pair.iloc[i][columns] for pair in pairs])
            .reset_index(drop=True)
            .astype(float)
            for i in (0, 1)
        )
        for side in (early, late):
            side[f"{value}_mean"] *= sign
        first, second = (early, late) if first_worse else (late, early)
        return worse(first, second, value, LEVEL / len(pairs))

    def named(pairs: list[pd.DataFrame], chosen: pd.Series) -> list[str]:
        names = []
        for i in np.flatnonzero(chosen):
            first, last = pairs[i].iloc[0], pairs[i].iloc[1]
            where = cell_name(first, by)
            names.append(f"{where} {over} {first[over]:g}→{last[over]:g}")
        return names

    bad = named(steps, tested(steps, first_worse=False))
    flat = named(ends, ~tested(ends, first_worse=True))
    return decide(
        not bad and not flat,
        f"{len(steps)} steps to the next larger {over}: {len(bad)} significantly worse"
        f"{listed(bad)}; from the smallest to the largest {over} {len(ends) - len(flat)} of "
        f"{len(ends)} cells with something to gain are significantly better, not so {len(flat)}"
        f"{listed(flat)}",
        f"one-sided Welch tests of {text or value}, {LEVEL:g} over all",
    )


def projection_against_mean(
    frame: pd.DataFrame, by: list[str], value: str, sign: int, text: str
) -> Verdict:
    """Whether frog is nowhere significantly worse than fg-mean with as many tangents.

    Args:
        frame: a summary with ``gradient`` and ``k``.
        by: what makes a cell beside k.
        value: what is compared.
        sign: +1 where less is better, −1 where more is.
        text: the value in words.
    """
    mean, frog = (frame[frame["gradient"] == name] for name in ("fg-mean", "frog"))
    pairs = mean.merge(frog, on=[*by, "k"], suffixes=("_mean_", "_frog_"))
    if pairs.empty:
        return undecidable("no k is run with both fg-mean and frog")
    if (frame["count"] < 2).any():
        return undecidable("two seeds are needed")
    a, b = (_sides(pairs, side, value, sign) for side in ("frog", "mean"))
    level = LEVEL / len(pairs)
    lost, won = worse(a, b, value, level), worse(b, a, value, level)
    cells = [cell_name(row, [*by, "k"]) for _, row in pairs[lost].iterrows()]
    return decide(
        not cells,
        f"of {len(pairs)} cells frog is significantly better in {won.sum()}, worse in {len(cells)}"
        + listed(cells),
        f"one-sided Welch tests of {text}, {LEVEL:g} over all cells",
    )


def with_single(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with tangents; a single tangent is every approach's k = 1."""
    single = frame[(frame["gradient"] == "fg-mean") & (frame["k"] == 1)]
    parts = [
        pd.concat([own] if gradient == "fg-mean" else [single, own]).assign(gradient=gradient)
        for gradient in frame["gradient"].drop_duplicates()
        if len(own := frame[(frame["gradient"] == gradient) & frame["k"].notna()])
    ]
    return pd.concat(parts) if parts else frame.iloc[:0]


def cell_name(row: pd.Series, by: list[str]) -> str:
    """A cell in words: names bare, numbers with their column, what is missing left out."""
    present = [key for key in by if not pd.isna(row[key])]
    return " ".join(
        row[key] if isinstance(row[key], str) else f"{key}={row[key]}" for key in present
    )


def _sides(pairs: pd.DataFrame, side: str, value: str, sign: int) -> pd.DataFrame:
    names = ("count", f"{value}_mean", f"{value}_std")
    found = pd.DataFrame({name: pairs[f"{name}_{side}_"] for name in names})
    found[f"{value}_mean"] *= sign
    return found
