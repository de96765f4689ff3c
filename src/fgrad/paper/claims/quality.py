"""Claims of sections 3 and 4.1: approximation quality."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fgrad.gradients import laws
from fgrad.paper.evidence.check import (
    LEVEL,
    POWER,
    Verdict,
    cell_name,
    decide,
    holm,
    listed,
    undecidable,
)
from fgrad.paper.evidence.stats import half_width
from fgrad.paper.evidence.welch import welch

OFF = 0.02
"""Relative deviation from a law that counts as none."""

SLOPE = 0.05
"""Deviation of an exponent that counts as none."""

FINEST = 1e-3
"""No cell counts as more certain than this, relative, where cells are taken together."""

SAME = 0.001
"""Difference of cosines that counts as none."""

FAR, NEAR = 1 / 64, 1 / 2
"""k/n below which the projection gains nothing over the mean, and above which it surely does."""

GAIN = 0.05
"""A relative gain in the cosine that is nothing below, and something above."""


Pairs = list[tuple[pd.Series, pd.Series]]


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
        "10⁻⁴ for rounding in float32, sample by sample: an inequality, no test",
        "some sample has a higher cosine by another aggregation of the same tangents",
        "any sample is enough",
    )


def more_tangents_approximate_better(frame: pd.DataFrame) -> Verdict:
    """Whether the projection's cosine rises with k, for each n."""
    return rising(plain(frame, "projection"), ["n"], "cosine", "k")


def single_tangent_fades(frame: pd.DataFrame) -> Verdict:
    """Whether the cosine falls with slope −1/2 over n, on log scales."""
    frame = plain(frame, "projection")
    frame = frame[(frame["k"] == 1) & (frame["n"] >= 16)]
    null = f"the slope is off −0.5 by more than {SLOPE:g}"
    if len(frame) < 3 or (frame["count"] < 2).any():
        return undecidable("fewer than three dimensions n ≥ 16 with k = 1", null)
    x = np.log(frame["n"].to_numpy(dtype=float))
    error = (frame["cosine_std"] / frame["cosine_mean"] / frame["count"] ** 0.5).to_numpy()
    weight = 1 / error**2
    centred = x - np.average(x, weights=weight)
    spread = float((weight * centred**2).sum())
    slope = float((weight * centred * np.log(frame["cosine_mean"])).sum()) / spread
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) / spread**0.5
    off = abs(slope + 0.5)
    return decide(
        off + reach <= SLOPE,
        f"slope of log cosine over log n: {slope:.3f} ± {reach:.3f} for {len(frame)} n ≥ 16",
        f"the {1 - LEVEL:.0%} interval of a weighted regression lies within −0.5 ± {SLOPE:g}; "
        "fails if it lies outside",
        null,
        _seen(reach, "in the slope"),
        fails=off - reach > SLOPE,
    )


def projection_gains_with_k_over_n(frame: pd.DataFrame) -> Verdict:
    """Whether cos(P_U∇f)/cos(mean) follows its law: no gain for n ≫ k, some for k near n."""
    by = ["n", "k"]
    columns = [*by, "cosine_mean", "cosine_std", "count"]
    projected, averaged = (plain(frame, name)[columns] for name in ("projection", "mean"))
    pairs = projected.merge(averaged, on=by, suffixes=("_p", "_m"))
    pairs = pairs[pairs["k"] <= pairs["n"]].reset_index(drop=True)
    ratio = (pairs["k"] / pairs["n"]).astype(float)
    null = (
        f"the gain is above {GAIN:.0%} for k/n ≤ 1/{1 / FAR:.0f}, or below {GAIN:.0%} in some "
        f"cell with k/n ≥ {NEAR:g}, or off √B's law by more than {OFF:.0%}"
    )
    far, near = (ratio <= FAR).to_numpy(), ((ratio >= NEAR) & (pairs["k"] > 1)).to_numpy()
    if not far.any() or not near.any() or (pairs[["count_p", "count_m"]] < 2).any(axis=None):
        return undecidable(
            f"the run has no cell with k/n ≤ 1/{1 / FAR:.0f} beside k/n ≥ {NEAR:g}", null
        )
    gain = np.log((pairs["cosine_mean_p"] / pairs["cosine_mean_m"]).to_numpy())
    parts = [
        pairs[f"cosine_std_{s}"] / pairs[f"cosine_mean_{s}"] / pairs[f"count_{s}"] ** 0.5
        for s in "pm"
    ]
    error = np.hypot(*(part.to_numpy() for part in parts)) + 1e-5  # rounding
    n, k = pairs["n"].to_numpy(), pairs["k"].to_numpy()
    law = np.log(laws.projection_ratio(n, k) / laws.mean_cosine(n, k))
    reach = float(stats.norm.ppf(1 - LEVEL / 2))
    centre, width = _pooled(gain[far], error[far], n[far], reach)
    surplus = (gain[near] - np.log1p(GAIN)) / error[near]
    sure = stats.norm.sf(surplus) <= LEVEL
    none = holm(stats.norm.cdf(surplus).tolist())
    off, off_width = _pooled(gain - law, error, n, reach)
    odd = holm((2 * stats.norm.sf(np.abs(gain - law) / error)).tolist())
    limit = float(np.log1p(GAIN))
    return decide(
        centre + width <= limit and bool(sure.all()) and abs(off) + off_width <= OFF
        and not odd.any(),
        f"for k/n ≤ 1/{1 / FAR:.0f} the gain is {np.expm1(centre):.2%} ± {width:.2%} over "
        f"{far.sum()} cells; for k/n ≥ {NEAR:g} {np.expm1(gain[near].min()):.0%} to "
        f"{np.expm1(gain[near].max()):.0%}, surely above {GAIN:.0%} in {sure.sum()} of "
        f"{near.sum()}; over all {len(pairs)} cells {off:+.2%} ± {off_width:.2%} off the law, "
        f"about √(1 + k/n), {odd.sum()} cells significantly",
        f"{1 - LEVEL:.0%} intervals; fails if one lies outside: a gain above {GAIN:.0%} far from "
        f"k = n, below {GAIN:.0%} near it, or a cell off the law (Holm, {LEVEL:g} over all)",
        null,
        f"{_seen(width, 'in the gain far from k = n')}, {_seen(off_width, 'off the law')}",
        fails=centre - width > limit or bool(none.any()) or bool(odd.any()),
    )  # fmt: skip


def rising(frame: pd.DataFrame, by: list[str], value: str, over: str) -> Verdict:
    """Whether a cosine rises with ``over`` from end to end in every cell, and never falls."""
    null = f"the {value} of some cell ({', '.join(by)}) is no higher at the largest {over}"
    if (frame["count"] < 2).any():
        return undecidable("two observations of each cell are needed", null)
    ends: Pairs = []
    steps: Pairs = []
    for _, cell in frame.sort_values(over).groupby(by, sort=False, dropna=False):
        steps += [(cell.iloc[i], cell.iloc[i + 1]) for i in range(len(cell) - 1)]
        if len(cell) > 1 and 1 - cell[f"{value}_mean"].iloc[0] > 1e-6:  # something to gain
            ends.append((cell.iloc[0], cell.iloc[-1]))
    if not ends:
        return undecidable(f"no cell has two values of {over} and something to gain", null)
    late, early = _sides(ends, 1), _sides(ends, 0)
    p = welch(late, early, value)
    gain = (late[f"{value}_mean"] - early[f"{value}_mean"]).to_numpy()
    errors = [(side[f"{value}_std"] / side["count"] ** 0.5).to_numpy() for side in (early, late)]
    reach = stats.norm.ppf(1 - LEVEL / 2) * np.hypot(*errors)
    before, after = _sides(steps, 0), _sides(steps, 1)
    fall = (before[f"{value}_mean"] - after[f"{value}_mean"]).to_numpy()
    alike = stats.norm.sf((SAME - np.abs(gain)) / np.maximum(np.hypot(*errors), 1e-9))
    against = holm([*welch(before, after, value), *alike])
    fallen, flat = against[: len(steps)] & (fall > SAME), against[len(steps) :]

    def named(pairs: Pairs, chosen: npt.NDArray[np.bool_]) -> str:
        found = [pairs[i] for i in np.flatnonzero(chosen)]
        return listed([f"{cell_name(a, by)} {over} {a[over]:g}→{b[over]:g}" for a, b in found])

    return decide(
        bool((p <= LEVEL).all()) and not fallen.any(),
        f"{(p <= LEVEL).sum()} of {len(ends)} cells with something to gain are better at the "
        f"largest {over}, by {gain.min():.3g} to {gain.max():.3g}{named(ends, p > LEVEL)}; of "
        f"{len(steps)} steps {fallen.sum()} fall{named(steps, fallen)}",
        f"one-sided Welch tests, {LEVEL:g} in each cell; fails if a step falls by more than "
        f"{SAME:g} or a cell's gain is shown to be below that (Holm, {LEVEL:g} over all)",
        null,
        _seen(float(reach.max()), "in the cosine of every cell"),
        fails=bool(fallen.any() or flat.any()),
    )


def plain(frame: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    """Rows of an aggregation of tangents that are not normalised."""
    return frame[(frame["aggregation"] == aggregation) & ~frame["normalized"]]


def _sides(pairs: Pairs, side: int) -> pd.DataFrame:
    columns = [name for name in pairs[0][0].index if name.endswith(("_mean", "_std", "count"))]
    return (
        pd.DataFrame([pair[side][columns] for pair in pairs]).astype(float).reset_index(drop=True)
    )


def _pooled(
    values: npt.ArrayLike, errors: npt.ArrayLike, n: npt.ArrayLike, reach: float
) -> tuple[float, float]:
    """Mean weighted by precision, and half of its interval.

    Cells of one n share their tangents: their errors are added as if they were the same.
    """
    error = np.maximum(np.asarray(errors, dtype=float), FINEST)
    weight = error**-2.0
    frame = pd.DataFrame({"n": np.asarray(n, dtype=float), "each": weight * error})
    together = frame.groupby("n")["each"].sum().to_numpy(dtype=float)
    width = reach * float(np.linalg.norm(together)) / float(weight.sum())
    return float(np.average(np.asarray(values, dtype=float), weights=weight)), width


def _seen(half: float, where: str) -> str:
    """The smallest difference that would have been seen, of half a two-sided interval."""
    factor = 1 + stats.norm.ppf(POWER) / stats.norm.ppf(1 - LEVEL / 2)
    return f"a difference of {half * factor:.2g} {where} would have been seen with {POWER:.0%}"


def _against_theory(frame: pd.DataFrame, value: str, expected: npt.ArrayLike) -> Verdict:
    """Whether no cell is significantly off the law, and all together are within `OFF` of it."""
    null = f"the mean is off the law by more than {OFF:.0%} over all cells"
    if frame.empty:
        return undecidable("the run has no cell with k < n", null)
    if (frame["count"] < 2).any():
        return undecidable("two samples of each cell are needed", null)
    law = np.asarray(expected, dtype=float)
    off = (frame[f"{value}_mean"] - law).abs()
    # where theory leaves no spread (n = 1) only rounding is left
    narrow = half_width(frame[f"{value}_std"], frame["count"]) + 1e-5
    wide = half_width(frame[f"{value}_std"], frame["count"], 1 - LEVEL / len(frame)) + 1e-5
    worst = frame.loc[(off / wide).idxmax()]
    error = frame[f"{value}_std"] / np.sqrt(frame["count"]) / law + 1e-5
    reach = float(stats.norm.ppf(1 - LEVEL / 2))
    centre, width = _pooled(frame[f"{value}_mean"] / law - 1, error, frame["n"], reach)
    inside = bool((off <= wide).all())
    return decide(
        inside and abs(centre) + width <= OFF,
        f"over all {len(frame)} cells {centre:+.2%} ± {width:.2%} off; {(off <= narrow).mean():.1%}"
        f" of them within their own 95 % interval, {(off <= wide).sum()} within the joint one; "
        f"furthest off at n = {worst['n']}, k = {worst['k']}: {worst[f'{value}_mean']:.5g} "
        f"where theory says {law[(off / wide).to_numpy().argmax()]:.5g}",
        f"t-intervals, joint confidence {1 - LEVEL:.0%} over all cells, plus 10⁻⁵ for rounding; "
        f"holds if their weighted mean is within {OFF:.0%} besides; fails if a cell is outside",
        null,
        f"{_seen(width, '(relative) over all cells')}, of "
        f"{float((wide / law).median()) * 1.2:.2g} in the median cell",
        fails=not inside or abs(centre) - width > OFF,
    )
