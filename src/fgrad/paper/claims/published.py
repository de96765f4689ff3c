"""The claim beside the numbers that the paper reports, once somebody has entered them.

For each number: our mean o against theirs t, from means, standard deviations and counts, which must
not differ by more than `SPREAD` of their standard deviations. What they do not report of a
deviation or a count is taken to be as ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fgrad.paper.evidence.check import Verdict

LEVEL = 0.01
"""Probability that a claim is decided wrongly, over all its numbers."""

SPREAD = 2.0
"""Standard deviations of a published number that a mean may be away from it."""

CLOSE = 1.0
"""Standard deviations that the means may be away in the root of the mean square, to hold."""

EQUAL = 1e-3
"""Part of a published number that counts as its deviation at least: numbers are rounded."""

DRAWS = 20_000

NULL = "the means are as far away from the published ones as these spread, or further"

Floats = npt.NDArray[np.float64]

NAMES = ("model", "width", "dataset", "function", "n", "angle_deg", "gradient", "aggregation", "k")


def within_spread(
    *frames: pd.DataFrame, published: Sequence[Mapping[str, Any]], unlike: str = ""
) -> Verdict:
    """Whether our means are within the spread of the published ones.

    *Fails* if a mean is significantly further away than `SPREAD` deviations: one-sided Welch
    tests of |o − t| − `SPREAD` s, `LEVEL` over all numbers (Bonferroni). *Holds* if all are within
    `SPREAD`, and the hypothesis is rejected at `LEVEL` that the root of the mean square of the true
    differences is `CLOSE` deviations or more. Else the seeds are too few to tell.

    Args:
        frames: summaries.
        published: what is reported, as `fgrad.plan.reported` reads it.
        unlike: how the run differs from the paper's, in words.
    """
    tolerance = (
        f"{SPREAD:g} published standard deviations for each number, {CLOSE:g} for the root of the "
        f"mean square; {LEVEL:g} over all numbers"
    )
    cells = [_cells(frame) for frame in frames]
    pairs = [_pair(row, cells) for row in published]
    known = [pair for pair in pairs if pair is not None]
    lost = [pair["name"] for pair in known if np.isinf(pair["ours"])]
    pairs_left = [pair for pair in known if np.isfinite(pair["ours"]) and pair["n_ours"] > 1]
    text = f"{len(published)} published numbers"
    if unlike:
        why = f"{text}, but the run is not the paper's: {unlike}"
        return Verdict("not decidable", why, tolerance)
    if not pairs_left:
        why = f"{text}, of which none has a finite mean of two seeds or more in this run"
        return Verdict("not decidable", why, tolerance)
    return _decided(pd.DataFrame(pairs_left), lost, text, tolerance)


def _decided(numbers: pd.DataFrame, lost: list[str], text: str, tolerance: str) -> Verdict:
    """The verdict on numbers that can be compared."""
    differences, errors, freedom = _standardised(numbers)
    size = np.abs(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(errors > 0, (size - SPREAD) / errors, np.where(size > SPREAD, np.inf, 0))
    outside = np.asarray(stats.t.sf(beyond, freedom) < LEVEL / len(size))
    apart = np.asarray(size > SPREAD) & ~outside
    p = closeness(differences, errors, freedom)
    evidence = [
        f"{text}, {len(size)} compared",
        f"{outside.sum()} significantly outside{_listed(numbers, outside)}",
        f"{apart.sum()} others further away than the spread{_listed(numbers, apart)}",
        f"root of the mean square difference {np.sqrt(np.mean(size**2)):.2g} deviations, "
        f"p = {p:.2g} that it is {CLOSE:g} or more",
        f"seeds: ours {_counts(numbers['n_ours'])}, theirs {_counts(numbers['n_theirs'])}",
    ]
    if taken := int(numbers["taken"].sum()):
        evidence.append(f"{taken} without a deviation or a count, which were taken as ours")
    if lost:
        evidence.append(f"seeds of ours diverged in {len(lost)} ({', '.join(lost[:4])})")
    held = not apart.any() and not lost and p < LEVEL
    verdict = "fails" if outside.any() else "holds" if held else "not decidable"
    power = f"a difference of {SPREAD + 3 * float(np.median(errors)):.2g} deviations in one number"
    return Verdict(verdict, "; ".join(evidence), tolerance, NULL, f"{power} (in the median)")


def closeness(differences: Floats, errors: Floats, freedom: Floats) -> float:
    """Probability of a sum of squares as small as this if its root mean square were `CLOSE`.

    Args:
        differences: [m], in units of the published deviations.
        errors: [m], their standard errors.
        freedom: [m], degrees of freedom of these.
    """
    noise = np.random.default_rng(0).standard_t(freedom, (DRAWS, len(freedom)))
    drawn = ((CLOSE + errors * noise) ** 2).sum(1)
    return float((drawn <= np.sum(differences**2)).mean())


def _standardised(numbers: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Differences and their standard errors in published deviations, and Welch's freedom."""
    ours, theirs, s_ours, s_theirs, n_ours, n_theirs = (
        numbers[name].to_numpy(dtype=float)
        for name in ("ours", "theirs", "s_ours", "s_theirs", "n_ours", "n_theirs")
    )
    unit = np.maximum(s_theirs, EQUAL * np.maximum(np.abs(theirs), np.finfo(float).tiny))
    a, b = s_ours**2 / n_ours, s_theirs**2 / n_theirs
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (a + b) ** 2 / (a**2 / (n_ours - 1) + b**2 / np.maximum(n_theirs - 1, 1))
    return (ours - theirs) / unit, np.sqrt(a + b) / unit, np.where(a + b > 0, freedom, 1.0)


def _cells(frame: pd.DataFrame) -> dict[frozenset[tuple[str, Any]], dict[str, Any]]:
    """Rows of a summary by what names them; what is empty names nothing."""
    if "normalized" in frame:
        frame = frame[~frame["normalized"]]
    rows = [{str(name): one for name, one in row.items()} for row in frame.to_dict("records")]
    names = [name for name in NAMES if name in frame]
    return {
        frozenset((name, row[name]) for name in names if not pd.isna(row[name])): row
        for row in rows
    }


def _pair(
    row: Mapping[str, Any], cells: Sequence[dict[frozenset[tuple[str, Any]], dict[str, Any]]]
) -> dict[str, Any] | None:
    """A published number and ours, or nothing where this run has none."""
    metric = row["metric"].removesuffix("_percent")
    scale = 100.0 if metric != row["metric"] else 1.0
    own = [(name, row[name]) for name in NAMES if name in row]
    # descents are named by their gradients, qualities by what aggregates
    wanted = [
        frozenset(one for one in own if one[0] != name) for name in ("aggregation", "gradient")
    ]
    found = (frame[key] for frame in cells for key in wanted if key in frame)
    ours = next((one for one in found if f"{metric}_mean" in one), None)
    if ours is None:
        return None
    deviation = scale * float(ours[f"{metric}_std"])
    name = " ".join(f"{one:g}" if isinstance(one, float) else str(one) for _, one in own)
    return {
        "name": f"{name} {row['metric']}",
        "ours": scale * float(ours[f"{metric}_mean"]),
        "s_ours": deviation,
        "n_ours": int(ours["count"]),
        "theirs": float(row["mean"]),
        "s_theirs": float(row.get("std", deviation)),
        "n_theirs": int(row.get("count", ours["count"])),
        "taken": "std" not in row or "count" not in row,
    }


def _listed(numbers: pd.DataFrame, chosen: npt.NDArray[np.bool_], most: int = 6) -> str:
    names = [str(name) for name in numbers["name"][chosen]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f" ({', '.join(names[:most])}{more})" if names else ""


def _counts(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"
