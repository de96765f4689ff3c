"""Claims of sections 4.2 and 4.3: closed-form functions, tangents at an angle."""

import numpy as np
import pandas as pd

from fgrad.paper.claims.check import (
    LEVEL,
    Verdict,
    decide,
    listed,
    monotone,
    projection_against_mean,
    undecidable,
    with_single,
)
from fgrad.paper.claims.quality import plain
from fgrad.paper.stats import worse
from fgrad.paper.summary import SOLVED

SAME = 1e-3
"""Curves this close, as a part of the starting gap, are the same."""

FAILED = 0.1
"""A descent has failed if it leaves more than this part of the starting gap f(x₀) − f*."""

LEFT = (
    "log₁₀ of the part of the starting gap that is left (below 10⁻⁶: solved; "
    "a run with a diverged seed is worse than any without)"
)


def more_tangents_optimise_better(frame: pd.DataFrame) -> Verdict:
    """Whether less of the gap is left the more tangents, for each function and n."""
    frame = with_single(_judged(frame))
    by, best = ["function", "n", "gradient"], float(np.log10(SOLVED))
    return monotone(frame, by, "log_left", "k", sign=1, best=best, text=LEFT)


def projection_optimises_better(frame: pd.DataFrame) -> Verdict:
    """Whether frog leaves no more of the gap than fg-mean, for each function, n and k."""
    return projection_against_mean(_judged(frame), ["function", "n"], "log_left", 1, LEFT)


def multi_tangent_opens_dimensions(frame: pd.DataFrame) -> Verdict:
    """Whether some k > 1 succeeds where the single tangent fails."""
    frame = _judged(frame)
    opened, single_fails, deciding = [], 0, 0
    for (function, n), cell in frame.groupby(["function", "n"], sort=False):
        single = cell[(cell["gradient"] == "fg-mean") & (cell["k"] == 1)]
        multi = cell[cell["k"] > 1]
        if single.empty or multi.empty:
            continue
        deciding += 1
        low, high = (
            10.0 ** cell[f"log_left_{side}"].fillna(cell["log_left_mean"])
            for side in ("low", "high")
        )
        if float(low[single.index[0]]) > FAILED:
            single_fails += 1
            if bool((high[multi.index] < FAILED).any()):
                opened.append(f"{function} n={n}")
    if not deciding:
        return undecidable("the run has no single tangent beside several")
    evidence = (
        f"the single tangent fails in {single_fails} of {deciding} cells; "
        f"in {len(opened)} of them some k > 1 succeeds" + listed(opened)
    )
    if not single_fails:
        return undecidable(evidence)
    return decide(
        bool(opened),
        evidence,
        f"failing: 95 % interval of the gap left above {FAILED:.0%} of the start's",
    )


def mean_quality_needs_angle(frame: pd.DataFrame) -> Verdict:
    """Whether the mean's cosine rises with the angle, for each k."""
    frame = plain(frame, "mean")
    return monotone(frame, ["k"], "cosine", "angle_deg", sign=-1, best=1.0)


def projection_descent_ignores_angle(curves: pd.DataFrame) -> Verdict:
    """Whether frog's curves are the same at every angle."""
    spread = _spread_over_angles(curves, "frog")
    if spread is None:
        return undecidable("frog needs two angles with one learning rate")
    return decide(
        spread <= SAME,
        f"the mean curves over the seeds differ by at most {spread:.1e} of the starting gap at any "
        "step and any two angles",
        f"{SAME:g} of the starting gap: a seed's tangents span the same space at every angle, so "
        "that only rounding may part the descents",
    )


def mean_descent_needs_angle(frame: pd.DataFrame) -> Verdict:
    """Whether fg-mean ends higher at the smallest angle, for each k."""
    return _worse_when_narrow(frame, "fg-mean")


def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Runs that can be told apart: of functions that vary and have a minimum."""
    return frame[~frame["degenerate"] & frame["log_left_mean"].notna()].reset_index(drop=True)


def _spread_over_angles(curves: pd.DataFrame, gradient: str) -> float | None:
    """Largest difference between the curves of two angles, as a part of the starting gap."""
    spreads = []
    for _, cell in curves[curves["gradient"] == gradient].groupby(["k", "lr"]):
        if cell["angle_deg"].nunique() > 1:
            values = cell.pivot(index="step", columns="angle_deg", values="value_mean").ffill()
            gap = values.iloc[0].mean() - cell["minimum"].iloc[0]
            spreads.append(float((values.max(axis=1) - values.min(axis=1)).max() / gap))
    return max(spreads, default=None)


def _worse_when_narrow(frame: pd.DataFrame, gradient: str) -> Verdict:
    """Compare what is left of the gap at every angle with what is left at the largest."""
    own = frame[frame["gradient"] == gradient]
    pairs = []
    for _, cell in own.sort_values("angle_deg").groupby("k", sort=False):
        pairs += [cell.iloc[[i, -1]] for i in range(len(cell) - 1)]
    if not pairs or (own["count"] < 2).any():
        return undecidable(f"{gradient} needs two angles and two seeds")
    columns = ["count", "log_left_mean", "log_left_std"]
    sides = [
        pd.DataFrame([pair.iloc[i][columns] for pair in pairs], dtype=float).reset_index(drop=True)
        for i in (0, 1)
    ]
    level = LEVEL / len(pairs)
    higher = worse(sides[0], sides[1], "log_left", level)
    lower = worse(sides[1], sides[0], "log_left", level)
    smallest = own["angle_deg"].min()
    narrowest = [i for i, pair in enumerate(pairs) if pair["angle_deg"].iloc[0] == smallest]
    return decide(
        bool(higher[narrowest].all()) and not lower.any(),
        f"{higher.sum()} of {len(pairs)} angles end higher than the largest, {lower.sum()} lower, "
        f"each with its own learning rate; final values: {_finals(own)}",
        f"the smallest angle ends higher for every k: Welch tests of {LEFT}, {LEVEL:g} over all",
    )


def _finals(frame: pd.DataFrame) -> str:
    return "; ".join(
        f"k = {k}: "
        + ", ".join(f"{row.angle_deg:g}° {row.final_mean:.5g}" for row in cell.itertuples())
        for k, cell in frame.sort_values("angle_deg").groupby("k")
    )
