"""How far forward gradients stay behind ∇f, over n (section 4.2)."""

from collections import Counter

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.evidence.stats import half_width
from fgrad.paper.figures import intervals, look, style


def draw(frame: pd.DataFrame) -> Figure:
    """What is left of the starting gap, as a multiple of what ∇f leaves; a panel a function."""
    frame = behind(frame)
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    pairs = style.methods(frame)
    figure = style.sheet(len(names) > 1, 2.8)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, function in zip(axes, names, strict=True):
        own = frame[frame["function"] == function]
        axis.set_yscale("log")
        axis.axhline(1, color=look.colour("bp"), lw=1.1)
        style.log_ticks(axis, own["n"])
        n = np.sort(own["n"].unique()).astype(float)
        taken: Counter[int] = Counter()
        for index, pair in enumerate(pairs):
            one = style.of(own, *pair).sort_values("n")
            if one.empty:
                continue
            one = one.assign(x=one["n"].astype(float) * style.aside(n, index, len(pairs)))
            seen = intervals.geometric(one, "behind")
            seen.points(axis, one["x"].to_numpy(), style.drawn(*pair))
            intervals.crosses(axis, one, seen, look.colour(*pair), taken)
        style.log_values(axis.yaxis)
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
        axis.set_xlabel("dimension $n$")
    axes[0].set_ylabel(r"gap left, multiple of $\nabla f$'s")
    level = Line2D([], [], color=look.colour("bp"), lw=1.1, label=style.label("bp"))
    also = [*intervals.explained(frame, points=True), *intervals.lost(frame, "behind")]
    style.legend(figure, pairs, [level, *also])
    return figure


def behind(frame: pd.DataFrame) -> pd.DataFrame:
    """log₁₀ of the part of the starting gap that is left, less the one that ∇f leaves.

    Where ∇f is one descent for all seeds, its deviation is nought and that of the difference is the
    forward gradient's.

    Returns:
        ``function, n, gradient, k, count`` and ``behind_mean, behind_std, behind_low, behind_high``
        for each forward gradient of a function and dimension that ∇f descends in, too.
    """
    frame = frame[~frame["degenerate"] & frame["log_left_mean"].notna()]
    columns = ["function", "n", "log_left_mean", "log_left_std"]
    bp = frame.loc[(frame["gradient"] == "bp") & np.isfinite(frame["log_left_mean"]), columns]
    found = frame[frame["k"].notna()].merge(bp, on=["function", "n"], suffixes=("", "_bp"))
    mean = found["log_left_mean"] - found["log_left_mean_bp"]
    std: pd.Series = (found["log_left_std"] ** 2 + found["log_left_std_bp"].fillna(0) ** 2) ** 0.5
    half = half_width(std, found["count"])
    ends = {"behind_mean": mean, "behind_std": std}
    ends |= {"behind_low": mean - half, "behind_high": mean + half}
    return found[["function", "n", "gradient", "k", "count"]].assign(**ends)
