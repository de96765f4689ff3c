"""The paper's statements of sections 4.1 to 4.3, each as a check that could fail.

A claim is a function from the summaries to a `Verdict`. Every statistical decision states its
tolerance; where many cells are tested at once the level of each test is divided by their number
(Bonferroni), so that a true claim fails with probability `LEVEL` at most where means are normal;
means of few or skewed observations are only nearly so, which adds to it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fgrad import theory
from fgrad.results import atomic
from fgrad.stats import half_width, worse
from fgrad.summary import SOLVED

LEVEL = 0.01
"""Probability that a true claim fails, over all its tests."""

SAME = 1e-3
"""Curves this close, as a part of the starting gap, are the same."""

FAILED = 0.1
"""A descent has failed if it leaves more than this part of the starting gap f(x₀) − f*."""

LEFT = (
    "log₁₀ of the part of the starting gap that is left (below 10⁻⁶: solved; "
    "a run with a diverged seed is worse than any without)"
)

Summaries = dict[str, pd.DataFrame]


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


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and how it is checked."""

    name: str
    section: str
    statement: str
    check: Callable[[Summaries], Verdict]


CLAIMS: list[Claim] = []


def claim(
    section: str, statement: str
) -> Callable[[Callable[[Summaries], Verdict]], Callable[[Summaries], Verdict]]:
    """Register a check under its name, with the section and the statement it decides."""

    def register(check: Callable[[Summaries], Verdict]) -> Callable[[Summaries], Verdict]:
        CLAIMS.append(Claim(check.__name__.replace("_", "-"), section, statement, check))
        return check

    return register


def judge(summaries: Summaries) -> list[dict[str, str]]:
    """Every claim with its verdict, in the paper's order."""
    judged = []
    for one in CLAIMS:
        verdict = one.check(summaries)
        entry = {"name": one.name, "section": one.section, "statement": one.statement}
        judged.append(entry | asdict(verdict))
    return judged


def write(judged: list[dict[str, str]], markdown: str, as_json: str, scale: str) -> None:
    """Write the verdicts for people and for programs.

    Args:
        judged: from `judge`.
        markdown: path.
        as_json: path.
        scale: what the run covered, in words.
    """
    counts = pd.Series([one["verdict"] for one in judged]).value_counts()
    lines = ["# Claims of the paper", "", scale, ""]
    lines += [", ".join(f"{verdict}: {count}" for verdict, count in counts.items()) + ".", ""]
    for one in judged:
        lines += [
            f"## {one['name']}: {one['verdict']}",
            "",
            f"Section {one['section']}. {one['statement']}",
            "",
        ]
        lines += [f"- Evidence: {one['evidence']}", f"- Tolerance: {one['tolerance']}", ""]
    content = {
        markdown: "\n".join(lines),
        as_json: json.dumps(judged, indent=2, ensure_ascii=False) + "\n",
    }
    for path, text in content.items():
        with atomic(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")


@claim(
    "3, 4.1",
    "The projection's cosine similarity is Γ((k+1)/2)Γ(n/2) / (Γ(k/2)Γ((n+1)/2)) on average.",
)
def projection_follows_theory(summaries: Summaries) -> Verdict:
    return _projection_follows_theory(summaries["quality"])


@claim(
    "3, 4.1",
    "The mean of k forward gradients is unbiased: its component along ∇f is ‖∇f‖ on average.",
)
def mean_is_unbiased(summaries: Summaries) -> Verdict:
    frame = _plain(summaries["quality"], "mean").copy()
    for part in ("mean", "std"):
        frame[f"along_{part}"] = frame[f"dot_{part}"] / frame["true_norm_mean"] ** 2
    return _against_theory(frame, "along", np.ones(len(frame)))


@claim("3, 4.1", "The mean's norm is too large by E‖mean‖²/‖∇f‖² = (n + k + 1)/k.")
def mean_norm_follows_theory(summaries: Summaries) -> Verdict:
    frame = _plain(summaries["quality"], "mean")
    return _against_theory(
        frame, "squared_ratio", theory.mean_squared_ratio(frame["n"], frame["k"])
    )


@claim(
    "4.1",
    "The law continues to n = 10⁹: sampled from it, the projection follows theory at every scale.",
)
def extension_follows_theory(summaries: Summaries) -> Verdict:
    return _projection_follows_theory(summaries["exact"])


@claim(
    "4.1",
    "No aggregation of the same tangents comes closer to ∇f in direction than the projection.",
)
def projection_is_best(summaries: Summaries) -> Verdict:
    frame = summaries["quality"]
    others = frame[(frame["aggregation"] != "projection") & frame["margin_min"].notna()]
    if others.empty:
        return _undecidable("the run has no other aggregation beside the projection")
    worst = others.iloc[int(others["margin_min"].to_numpy().argmin())]
    strict = others[(others["k"] > 1) & (others["n"] > 1)]
    gain = (strict["margin_min"] > 0).mean() if len(strict) else 0.0
    return _decide(
        float(worst["margin_min"]) >= -1e-4,
        f"smallest cos(P_U∇f) − cos(g) over every sample of {len(others)} cells: "
        f"{worst['margin_min']:.1e} ({worst['aggregation']}, n = {worst['n']}, k = {worst['k']}); "
        f"above zero in every sample of {gain:.0%} of the cells with k > 1 and n > 1",
        "10⁻⁴ for rounding in float32, sample by sample",
    )


@claim(
    "4.1", "More tangents approximate better: the cosine similarity of the projection rises with k."
)
def more_tangents_approximate_better(summaries: Summaries) -> Verdict:
    frame = _plain(summaries["quality"], "projection")
    return _monotone(frame, ["n"], "cosine", "k", sign=-1, best=1.0)


@claim("4.1", "The cosine similarity of a single tangent falls like n^(−1/2).")
def single_tangent_fades(summaries: Summaries) -> Verdict:
    frame = _plain(summaries["quality"], "projection")
    frame = frame[(frame["k"] == 1) & (frame["n"] >= 16)]
    if len(frame) < 3:
        return _undecidable("fewer than three dimensions n ≥ 16 with k = 1")
    slope = np.polyfit(np.log(frame["n"].astype(float)), np.log(frame["cosine_mean"]), 1)[0]
    spread = np.log(frame["n"].max() / frame["n"].min())
    error = (frame["cosine_std"] / frame["cosine_mean"] / frame["count"] ** 0.5).max()
    tolerance = 0.02 + 4 * float(error / spread)
    evidence = f"slope of log cosine over log n: {slope:.3f} for n ≥ 16"
    return _decide(abs(slope + 0.5) <= tolerance, evidence, f"−0.5 ± {tolerance:.3f}")


@claim("4.2", "More tangents optimise better: for every function and n less of the gap is left.")
def more_tangents_optimise_better(summaries: Summaries) -> Verdict:
    frame = _functions(summaries)
    parts = []
    for gradient in frame["gradient"].drop_duplicates():
        own = frame[(frame["gradient"] == gradient) & frame["k"].notna()]
        if not len(own):
            continue
        single = frame[(frame["gradient"] == "fg-mean") & (frame["k"] == 1)]
        if gradient != "fg-mean":  # a single tangent is every approach's k = 1
            own = pd.concat([single, own])
        parts.append(own.assign(gradient=gradient))
    if not parts:
        return _undecidable("the run has no gradients with tangents")
    by = ["function", "n", "gradient"]
    return _monotone(pd.concat(parts), by, "log_left", "k", sign=1, best=np.log10(SOLVED))


@claim("4.2", "With the same tangents the projection optimises at least as well as the mean.")
def projection_optimises_better(summaries: Summaries) -> Verdict:
    frame = _functions(summaries)
    mean, frog = (frame[frame["gradient"] == name] for name in ("fg-mean", "frog"))
    pairs = mean.merge(frog, on=["function", "n", "k"], suffixes=("_mean_", "_frog_"))
    if pairs.empty:
        return _undecidable("no k is run with both fg-mean and frog")
    if (frame["count"] < 2).any():
        return _undecidable("two seeds are needed")
    a, b = _sides(pairs, "frog", "log_left"), _sides(pairs, "mean", "log_left")
    lost, won = (
        worse(a, b, "log_left", LEVEL / len(pairs)),
        worse(b, a, "log_left", LEVEL / len(pairs)),
    )
    cells = [f"{row.function} n={row.n} k={row.k}" for row in pairs[lost].itertuples()]
    return _decide(
        not cells,
        f"of {len(pairs)} cells frog is significantly better in {won.sum()}, worse in {len(cells)}"
        + _listed(cells),
        f"one-sided Welch tests of {LEFT}, {LEVEL:g} over all cells",
    )


@claim(
    "4.2", "Multi-tangent forward gradients optimise in dimensions where the single tangent fails."
)
def multi_tangent_opens_dimensions(summaries: Summaries) -> Verdict:
    frame = _functions(summaries)
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
        return _undecidable("the run has no single tangent beside several")
    evidence = (
        f"the single tangent fails in {single_fails} of {deciding} cells; "
        f"in {len(opened)} of them some k > 1 succeeds" + _listed(opened)
    )
    if not single_fails:
        return _undecidable(evidence)
    return _decide(
        bool(opened),
        evidence,
        f"failing: 95 % interval of the gap left above {FAILED:.0%} of the start's",
    )


@claim("4.3", "The quality of the projection does not depend on the angle between the tangents.")
def projection_quality_ignores_angle(summaries: Summaries) -> Verdict:
    return _projection_follows_theory(summaries["angle_quality"])


@claim(
    "4.3",
    "The quality of the mean does: the narrower the tangents, the lower its cosine similarity.",
)
def mean_quality_needs_angle(summaries: Summaries) -> Verdict:
    frame = _plain(summaries["angle_quality"], "mean")
    return _monotone(frame, ["k"], "cosine", "angle_deg", sign=-1, best=1.0)


@claim("4.3", "Descent with the projection does not depend on the angle between the tangents.")
def projection_descent_ignores_angle(summaries: Summaries) -> Verdict:
    spread = _spread_over_angles(summaries["angle_curves"], "frog")
    if spread is None:
        return _undecidable("frog needs two angles with one learning rate")
    return _decide(
        spread <= SAME,
        f"the mean curves over the seeds differ by at most {spread:.1e} of the starting gap at any "
        "step and any two angles",
        f"{SAME:g} of the starting gap: a seed's tangents span the same space at every angle, so "
        "that only rounding may part the descents",
    )


@claim("4.3", "Descent with the mean does depend on it: narrower tangents end higher.")
def mean_descent_needs_angle(summaries: Summaries) -> Verdict:
    return _worse_when_narrow(summaries["angle_functions"], "fg-mean")


def _plain(frame: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    return frame[(frame["aggregation"] == aggregation) & ~frame["normalized"]]


def _functions(summaries: Summaries) -> pd.DataFrame:
    frame = summaries["functions"]
    return frame[~frame["degenerate"] & frame["log_left_mean"].notna()].reset_index(drop=True)


def _projection_follows_theory(frame: pd.DataFrame) -> Verdict:
    frame = _plain(frame, "projection")
    frame = frame[frame["k"] < frame["n"]]
    return _against_theory(frame, "cosine", theory.projection_ratio(frame["n"], frame["k"]))


def _against_theory(frame: pd.DataFrame, value: str, expected: npt.ArrayLike) -> Verdict:
    """Whether every mean is within its interval, widened for the number of cells."""
    if frame.empty:
        return _undecidable("the run has no cell with k < n")
    off = (frame[f"{value}_mean"] - np.asarray(expected)).abs()
    # where theory leaves no spread (n = 1) only rounding is left
    narrow = half_width(frame[f"{value}_std"], frame["count"]) + 1e-5
    wide = half_width(frame[f"{value}_std"], frame["count"], 1 - LEVEL / len(frame)) + 1e-5
    worst = frame.loc[(off / wide).idxmax()]
    return _decide(
        bool((off <= wide).all()),
        f"{(off <= narrow).mean():.1%} of {len(frame)} cells within their own 95 % interval, "
        f"{(off <= wide).sum()} of {len(frame)} within the joint one; furthest off at "
        f"n = {worst['n']}, k = {worst['k']}: {worst[f'{value}_mean']:.5g} "
        f"where theory says {np.asarray(expected)[(off / wide).to_numpy().argmax()]:.5g}",
        f"t-interval, joint confidence {1 - LEVEL:.0%} over all cells, plus 10⁻⁵ for rounding",
    )


def _monotone(
    frame: pd.DataFrame, by: list[str], value: str, over: str, sign: int, best: float
) -> Verdict:
    """Whether a value never gets worse as ``over`` grows, and better from end to end in every cell.

    Cells that are at the best value from the start have nothing to gain. Sign +1: it should fall.
    """
    if (frame["count"] < 2).any():
        return _undecidable("two observations of each cell are needed")
    steps, ends = [], []
    for _, cell in frame.sort_values(over).groupby(by, sort=False):
        steps += [cell.iloc[i : i + 2] for i in range(len(cell) - 1)]
        if len(cell) > 1 and abs(cell[f"{value}_mean"].iloc[0] - best) > 1e-6:
            ends.append(cell.iloc[[0, -1]])
    if not steps or not ends:
        return _undecidable(f"no cell has two values of {over} and something to gain")

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
            where = " ".join(str(first[k]) if k == "function" else f"{k}={first[k]}" for k in by)
            names.append(f"{where} {over} {first[over]:g}→{last[over]:g}")
        return names

    bad = named(steps, tested(steps, first_worse=False))
    flat = named(ends, ~tested(ends, first_worse=True))
    return _decide(
        not bad and not flat,
        f"{len(steps)} steps to the next larger {over}: {len(bad)} significantly worse"
        f"{_listed(bad)}; from the smallest to the largest {over} {len(ends) - len(flat)} of "
        f"{len(ends)} cells with something to gain are significantly better, not so {len(flat)}"
        f"{_listed(flat)}",
        f"one-sided Welch tests of {LEFT if value == 'log_left' else value}, {LEVEL:g} over all",
    )


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
        return _undecidable(f"{gradient} needs two angles and two seeds")
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
    return _decide(
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


def _sides(pairs: pd.DataFrame, side: str, value: str) -> pd.DataFrame:
    names = ("count", f"{value}_mean", f"{value}_std")
    return pd.DataFrame({name: pairs[f"{name}_{side}_"] for name in names})


def _decide(holds: bool, evidence: str, tolerance: str) -> Verdict:
    return Verdict("holds" if holds else "fails", evidence, tolerance)


def _undecidable(why: str) -> Verdict:
    return Verdict("not decidable", why, "at this scale")


def _listed(cells: list[str], most: int = 8) -> str:
    if not cells:
        return ""
    more = f" and {len(cells) - most} more" if len(cells) > most else ""
    return f" ({', '.join(cells[:most])}{more})"
