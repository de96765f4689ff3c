"""Verdicts: what a claim's evidence says, and what it could have said.

*holds* is evidence for a statement, *fails* evidence against it, and *not decidable* too little to
tell, or runs outside of the statement's conditions. Nothing fails for want of significance.

A statement about several groups (every function, every gradient) holds if each group alone is
significant at `LEVEL`: an intersection–union test, whose error is at most `LEVEL` without any
correction, since all groups must err the same way. It fails if something is significantly the other
way, at a joint error of `LEVEL` over all that was looked at (Holm), or if an effect that should be
there is shown to be below a bound that is stated.

Source: Berger, Multiparameter hypothesis testing and acceptance sampling, 1982; Holm, A simple
sequentially rejective multiple test procedure, 1979.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

LEVEL = 0.01
"""Probability that a claim holds by chance, and that it fails by chance."""

POWER = 0.8
"""Of the smallest effect that a claim could have seen."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Args:
        verdict: ``holds``, ``fails`` or ``not decidable``.
        evidence: the numbers behind it: counts of better, equal and worse, effect sizes.
        tolerance: the test, its error rate, and the bounds that count as equal.
        null: the hypothesis that is refuted where the claim holds.
        power: the smallest effect that would have been seen, or what it would take to decide.
    """

    verdict: str
    evidence: str
    tolerance: str
    null: str = ""
    power: str = ""


def decide(
    holds: bool, evidence: str, tolerance: str, null: str = "", power: str = "", fails: bool = True
) -> Verdict:
    """A verdict of what was found; neither for nor against where it does not fail either."""
    verdict = "holds" if holds else "fails" if fails else "not decidable"
    return Verdict(verdict, evidence, tolerance, null, power)


def undecidable(why: str, null: str = "", power: str = "") -> Verdict:
    """The verdict where a run is too small to decide."""
    return Verdict("not decidable", why, "at this scale", null, power)


def holm(p: Sequence[float], level: float = LEVEL) -> npt.NDArray[np.bool_]:
    """Which hypotheses are rejected at a joint error rate.

    >>> holm([0.004, 0.001, 0.2], 0.01).tolist()
    [True, True, False]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    passed = values[order] <= level / np.arange(len(values), 0, -1)
    rejected = np.zeros(len(values), dtype=bool)
    rejected[order[: len(values) if passed.all() else int(passed.argmin())]] = True
    return rejected


def listed(cells: list[str], most: int = 8) -> str:
    """The first cells by name, and how many more there are."""
    if not cells:
        return ""
    more = f" and {len(cells) - most} more" if len(cells) > most else ""
    return f" ({', '.join(cells[:most])}{more})"


def told(difference: float, unit: str, ways: tuple[str, str] | None = None) -> str:
    """A difference in words: of logarithms (``decades``) as a factor, else times 100 in points.

    Args:
        difference: of values.
        unit: ``decades`` or ``points``.
        ways: what is said of one below zero, and of one above.

    >>> told(-2.0, "decades"), told(0.0212, "decades"), told(0.005, "points", ("lower", "higher"))
    ('a factor of 100', 'a factor of 1.05', '0.5 points higher')
    """
    if ways and abs(difference) < 1e-6:
        return "the same"
    decades = f"a factor of {10 ** abs(difference):.3g}"
    text = decades if unit == "decades" else f"{100 * abs(difference):.2g} points"
    return f"{text} {ways[difference > 0]}" if ways else text


def with_single(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with tangents; fg-mean's single tangent is frog's too, unless it has its own."""
    single = frame[(frame["gradient"] == "fg-mean") & (frame["k"] == 1)]
    frog = frame[frame["gradient"] == "frog"]
    own = frame[frame["k"].notna()]
    if frog.empty or (frog["k"] == 1).any():
        return own
    return pd.concat([own, single.assign(gradient="frog")])


def cell_name(row: pd.Series, by: list[str]) -> str:
    """A cell in words: names bare, numbers with their column, what is missing left out."""
    present = [key for key in by if not pd.isna(row[key])]
    return " ".join(
        row[key] if isinstance(row[key], str) else f"{key}={row[key]:g}" for key in present
    )


def parts(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Groups of rows by name, in the order they appear; all of them where nothing parts them."""
    if not by:
        yield "all", frame
        return
    for _, part in frame.groupby(by, sort=False, dropna=False):
        yield cell_name(part.iloc[0], by), part
