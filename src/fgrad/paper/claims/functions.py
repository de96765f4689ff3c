"""Claims of sections 4.2 and 4.3: closed-form functions, tangents at an angle."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from fgrad.gradients import laws
from fgrad.options.functions import PAPER_STEPS
from fgrad.paper.claims.quality import plain, rising
from fgrad.paper.evidence import paired, trend
from fgrad.paper.evidence.check import (
    LEVEL,
    Verdict,
    cell_name,
    decide,
    listed,
    undecidable,
    with_single,
)
from fgrad.paper.evidence.share import rarely
from fgrad.paper.seeds import SOLVED

SAME = 1e-3
"""Curves this close, as a part of the starting gap, are the same."""

FAILED = 0.1
"""A descent has failed if it leaves more than this part of the starting gap f(x₀) − f*."""

BEHIND = "further behind", "less behind"

CAP = 1.0
"""A descent that ends above ten times its start, or diverges, counts as ten times."""

EQUAL = float(np.log10(1.05))
"""Parts of the gap within 5 % of each other are equal: rates within 5 % of the best are."""

DIVERGED = 0.05
"""Part of the runs that may diverge."""

LEFT = "the part of the starting gap that is left"
LIMITS = (
    "; a part below 10⁻⁶, which float32 does not resolve, counts as 10⁻⁶, one above 10 or of a "
    "descent that diverged as 10"
)

QUESTION = trend.Question(
    level="k",
    groups=[],
    strata=[],
    equal=EQUAL,
    unit="decades",
    text=LEFT,
    limits=LIMITS,
    steps=False,
    worst=CAP,
)
"""What is asked of descents, but for the level and what it is asked for."""


def more_tangents_optimise_better(seeds: pd.DataFrame) -> Verdict:
    """Whether less of the gap is left the more tangents, for each function and gradient."""
    question = replace(QUESTION, level="k", groups=["function", "gradient"], strata=["n"])
    question = replace(question, steps=True)
    return _on_judged(seeds, lambda frame: trend.judge(with_single(frame), question))


def projection_optimises_better(seeds: pd.DataFrame) -> Verdict:
    """Whether frog leaves no more of the gap than fg-mean, for each function."""
    by = ["function", "n"]
    pairing = paired.Pairing(["function"], by, EQUAL, "decades", LEFT, LIMITS, CAP)
    return _on_judged(seeds, lambda frame: paired.judge(frame, pairing))


def gap_to_the_gradient_grows(seeds: pd.DataFrame) -> Verdict:
    """Whether forward gradients fall behind ∇f with n, for each function, gradient and k."""
    groups, text = ["function", "gradient", "k"], f"the distance to bp in {LEFT}"
    question = replace(QUESTION, level="n", groups=groups, text=text, ways=BEHIND, worst=np.inf)

    def judge(frame: pd.DataFrame) -> Verdict:
        by = ["function", "n"]
        true = frame[frame["gradient"] == "bp"].groupby(by)["value"].mean().rename("true")
        own = frame[frame["k"].notna()].join(true, on=by).dropna(subset="true")
        return trend.judge(own.assign(value=own["true"] - own["value"]), question)

    return _on_judged(seeds, judge)


def multi_tangent_opens_dimensions(seeds: pd.DataFrame) -> Verdict:
    """Whether some k > 1 succeeds where the single tangent fails."""
    return _on_judged(seeds, _opens_dimensions)


def _opens_dimensions(frame: pd.DataFrame) -> Verdict:
    null = (
        f"wherever the single tangent leaves more than {FAILED:.0%} of the starting gap in half of "
        "the seeds, so do the most tangents of every gradient"
    )
    limit = np.log10(FAILED)
    opened, closed, fails, cells, ways, least = [], [], 0, 0, 0, 99
    for (function, n), cell in frame.groupby(["function", "n"], sort=False):
        single = cell[(cell["gradient"] == "fg-mean") & (cell["k"] == 1)]["value"]
        several = cell[cell["k"] > 1]
        most = several[several["k"] == several.groupby("gradient")["k"].transform("max")]
        if single.empty or most.empty:
            continue
        multi = [part["value"] for _, part in most.groupby("gradient", sort=False)]
        cells, ways, least = cells + 1, max(ways, len(multi)), min(least, len(single))
        if not (single > limit).all():
            continue
        fails += 1
        if any((values < limit).all() for values in multi):
            opened.append(f"{function} n={n}")
        closed.append(max(_above(values, limit) for values in multi))
    if not cells:
        return undecidable("the run has no single tangent beside several", null)
    by_chance = ways * 0.5**least
    if by_chance >= 1:
        return undecidable(f"{least} seeds decide nothing", null)
    chance = float(stats.binom.sf(len(opened) - 1, cells, by_chance))
    needed = int(stats.binom.isf(LEVEL, cells, by_chance)) + 1
    return decide(
        chance <= LEVEL,
        f"in every seed the single tangent fails in {fails} of {cells} cells; in {len(opened)} of "
        f"them some k > 1 succeeds in every seed{listed(opened)}; so many by chance: p = "
        f"{chance:.2g}",
        f"failing: more than {FAILED:.0%} of the starting gap left, in every seed (sign test in "
        f"each cell, binomial test over cells, {LEVEL:g}); fails if wherever the single tangent "
        f"does all others leave significantly more (t-test of the logarithms, {LEVEL:g} each)",
        null,
        f"{needed} such cells are enough",
        fails=bool(closed) and max(closed) <= LEVEL,
    )


def descents_rarely_diverge(seeds: pd.DataFrame) -> Verdict:
    """Whether at most 1 in 20 descents diverges, for each gradient."""

    def judge(frame: pd.DataFrame) -> Verdict:
        return rarely(frame["diverged"], frame["gradient"], DIVERGED, "diverge", "descents")

    return _on_judged(seeds, judge)


def quality_predicts_progress(seeds: pd.DataFrame) -> Verdict:
    """Whether approaches of higher expected cosine leave less, cell by cell."""
    return _on_judged(seeds, _predicts_progress)


def _predicts_progress(frame: pd.DataFrame) -> Verdict:
    # bp is the same in every seed, and above all others anyway
    frame = frame[frame["gradient"].isin(["fg-mean", "frog"])]
    frame = frame.assign(cosine=[_cosine(*row) for row in frame[["gradient", "n", "k"]].to_numpy()])
    frame["rank"] = frame.groupby(["function", "n"])["cosine"].rank("dense")
    question = replace(QUESTION, level="rank", groups=["function"], strata=["n"])
    verdict = trend.judge(frame, question)
    ranked = [
        (cell_name(cell.iloc[0], ["function", "n"]), float(tau))
        for _, cell in frame.groupby(["function", "n"], sort=False)
        if not np.isnan(tau := stats.kendalltau(cell["cosine"], -cell["value"])[0])
    ]
    if not ranked:
        return verdict
    taus = np.array([tau for _, tau in ranked])
    against = listed([f"{name}: {tau:.2f}" for name, tau in ranked if tau < 0])
    said = (
        "Kendall's τ between expected cosine and progress, over approaches and seeds of a cell: "
        f"median {np.median(taus):.2f}, from {taus.min():.2f} to {taus.max():.2f} over {len(taus)} "
        f"cells, below 0 in {(taus < 0).sum()}{against}"
    )
    return replace(verdict, evidence=f"{said}; {verdict.evidence}")


def mean_quality_needs_angle(frame: pd.DataFrame) -> Verdict:
    """Whether the mean's cosine rises with the angle, for each k."""
    return rising(plain(frame, "mean"), ["k"], "cosine", "angle_deg")


def projection_descent_ignores_angle(curves: pd.DataFrame) -> Verdict:
    """Whether frog's curves are the same at every angle."""
    spread = _spread_over_angles(curves, "frog")
    null = "some angle changes the descent"
    if spread is None:
        return undecidable(
            "frog needs two angles with one learning rate, and no seed diverged", null
        )
    return decide(
        spread <= SAME,
        f"the mean curves over the seeds differ by at most {spread:.1e} of the starting gap at any "
        "step and any two angles",
        f"{SAME:g} of the starting gap: a seed's tangents span the same space at every angle, so "
        "that only rounding may part the descents; no test, the curves are compared as they are",
        null,
        "any difference above the bound is seen: nothing is random in it",
    )


def mean_descent_needs_angle(seeds: pd.DataFrame) -> Verdict:
    """Whether fg-mean ends higher the narrower its tangents, for each k."""
    question = replace(QUESTION, level="angle_deg", groups=["k"], block="seed")

    def judge(frame: pd.DataFrame) -> Verdict:
        own = frame[frame["gradient"] == "fg-mean"]
        return trend.judge(own, question, where="each angle with a rate of its own: ")

    return _on_judged(seeds, judge)


def _judged(seeds: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Descents that the statement is about, with their ``value``; and what is left out, in words.

    Of functions that vary and have a minimum, with as many steps as their rates were tuned for.
    """
    frame = seeds[~seeds["degenerate"] & seeds["log_left"].notna()]
    tuned_for = frame["function"].map(PAPER_STEPS).astype(float).fillna(0)
    short = (frame["allowed"] < tuned_for) & ~frame["tuned"]
    left_out = [
        f"{name}: {part['allowed'].iloc[0]:,} of the {PAPER_STEPS[str(name)]:,} steps that its "
        "rates were tuned for"
        for name, part in frame[short].groupby("function", sort=False)
    ]
    inside = frame[~short]
    value = inside["log_left"].clip(float(np.log10(SOLVED)), CAP)
    return inside.assign(value=value), "; ".join(left_out)


def _on_judged(seeds: pd.DataFrame, judge: Callable[[pd.DataFrame], Verdict]) -> Verdict:
    """A verdict on what the statement is about; what is outside of its conditions is named."""
    frame, outside = _judged(seeds)
    verdict = judge(frame)
    if frame["seed"].nunique() == 1:
        verdict = undecidable("two seeds are needed", verdict.null)
    said = f"outside of the statement's conditions are {outside}"
    if frame.empty and outside:
        return undecidable(said, verdict.null, "as many steps as the rates were tuned for")
    return replace(verdict, evidence=f"{verdict.evidence}; {said}") if outside else verdict


def _cosine(gradient: str, n: int, k: float) -> float:
    """Expected cosine of an approach's estimate, of normal tangents."""
    if gradient == "bp":
        return 1.0
    law = laws.projection_ratio if gradient == "frog" else laws.mean_cosine
    return float(law(n, min(int(k), n) if gradient == "frog" else int(k)))


def _above(values: pd.Series, limit: float) -> float:
    """Probability that values so far above a limit are there by chance."""
    if len(values) < 2:
        return 1.0
    if values.std() == 0:
        return 1.0
    return float(stats.ttest_1samp(values, limit, alternative="greater").pvalue)


def _spread_over_angles(curves: pd.DataFrame, gradient: str) -> float | None:
    """Largest difference between the curves of two angles, as a part of the starting gap."""
    spreads = []
    for _, cell in curves[curves["gradient"] == gradient].groupby(["k", "lr"]):
        if cell["angle_deg"].nunique() > 1:
            values = cell.pivot(index="step", columns="angle_deg", values="value_mean").ffill()
            gap = values.iloc[0].mean() - cell["minimum"].iloc[0]
            if not np.isfinite(gap) or not np.isfinite(values).all(axis=None):
                return None
            spreads.append(float((values.max(axis=1) - values.min(axis=1)).max() / gap))
    return max(spreads, default=None)
