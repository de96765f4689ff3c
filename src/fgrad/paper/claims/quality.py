"""Claims of sections 3 and 4.1: approximation quality."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from fgrad.gradients import laws
from fgrad.paper.claims.check import LEVEL, Verdict, decide, monotone, undecidable
from fgrad.paper.stats import half_width


def projection_follows_theory(frame: pd.DataFrame) -> Verdict:
    """Whether the projection's mean cosine is what theory says, cell by cell."""
    frame = plain(frame, "projection")
    frame = frame[frame["k"] < frame["n"]]
    return _against_theory(frame, "cosine", laws.projection_ratio(frame["n"], frame["k"]))


def mean_is_unbiased(frame: pd.DataFrame) -> Verdict:
    """Whether the component along ∇f is ‖∇f‖ on average, cell by cell."""
    frame = plain(frame, "mean").copy()
    for part in ("mean", "std"):
        frame[f"along_{part}"] = frame[f"dot_{part}"] / frame["true_norm_mean"] ** 2
    return _against_theory(frame, "along", np.ones(len(frame)))


def mean_norm_follows_theory(frame: pd.DataFrame) -> Verdict:
    """Whether the mean squared norm ratio is what theory says, cell by cell."""
    frame = plain(frame, "mean")
    return _against_theory(frame, "squared_ratio", laws.mean_squared_ratio(frame["n"], frame["k"]))


def projection_is_best(frame: pd.DataFrame) -> Verdict:
    """Whether no other aggregation is closer in direction, sample by sample."""
    others = frame[(frame["aggregation"] != "projection") & frame["margin_min"].notna()]
    if others.empty:
        return undecidable("the run has no other aggregation beside the projection")
    worst = others.iloc[int(others["margin_min"].to_numpy().argmin())]
    strict = others[(others["k"] > 1) & (others["n"] > 1)]
    gain = (strict["margin_min"] > 0).mean() if len(strict) else 0.0
    return decide(
        float(worst["margin_min"]) >= -1e-4,
        f"smallest cos(P_U∇f) − cos(g) over every sample of {len(others)} cells: "
        f"{worst['margin_min']:.1e} ({worst['aggregation']}, n = {worst['n']}, k = {worst['k']}); "
        f"above zero in every sample of {gain:.0%} of the cells with k > 1 and n > 1",
        "10⁻⁴ for rounding in float32, sample by sample",
    )


def more_tangents_approximate_better(frame: pd.DataFrame) -> Verdict:
    """Whether the projection's cosine rises with k, for each n."""
    frame = plain(frame, "projection")
    return monotone(frame, ["n"], "cosine", "k", sign=-1, best=1.0)


def single_tangent_fades(frame: pd.DataFrame) -> Verdict:
    """Whether the cosine falls with slope −1/2 over n, on log scales."""
    frame = plain(frame, "projection")
    frame = frame[(frame["k"] == 1) & (frame["n"] >= 16)]
    if len(frame) < 3:
        return undecidable("fewer than three dimensions n ≥ 16 with k = 1")
    slope = np.polyfit(np.log(frame["n"].astype(float)), np.log(frame["cosine_mean"]), 1)[0]
    spread = np.log(frame["n"].max() / frame["n"].min())
    error = (frame["cosine_std"] / frame["cosine_mean"] / frame["count"] ** 0.5).max()
    tolerance = 0.02 + 4 * float(error / spread)
    evidence = f"slope of log cosine over log n: {slope:.3f} for n ≥ 16"
    return decide(abs(slope + 0.5) <= tolerance, evidence, f"−0.5 ± {tolerance:.3f}")


def plain(frame: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    """Rows of an aggregation of tangents that are not normalised."""
    return frame[(frame["aggregation"] == aggregation) & ~frame["normalized"]]


def _against_theory(frame: pd.DataFrame, value: str, expected: npt.ArrayLike) -> Verdict:
    """Whether every mean is within its interval, widened for the number of cells."""
    if frame.empty:
        return undecidable("the run has no cell with k < n")
    off = (frame[f"{value}_mean"] - np.asarray(expected)).abs()
    # where theory leaves no spread (n = 1) only rounding is left
    narrow = half_width(frame[f"{value}_std"], frame["count"]) + 1e-5
    wide = half_width(frame[f"{value}_std"], frame["count"], 1 - LEVEL / len(frame)) + 1e-5
    worst = frame.loc[(off / wide).idxmax()]
    return decide(
        bool((off <= wide).all()),
        f"{(off <= narrow).mean():.1%} of {len(frame)} cells within their own 95 % interval, "
        f"{(off <= wide).sum()} of {len(frame)} within the joint one; furthest off at "
        f"n = {worst['n']}, k = {worst['k']}: {worst[f'{value}_mean']:.5g} "
        f"where theory says {np.asarray(expected)[(off / wide).to_numpy().argmax()]:.5g}",
        f"t-interval, joint confidence {1 - LEVEL:.0%} over all cells, plus 10⁻⁵ for rounding",
    )
