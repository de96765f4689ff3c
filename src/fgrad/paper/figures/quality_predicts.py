"""How far the quality of gradients predicts the progress of a descent (sections 4.1 and 4.2)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.gradients import laws
from fgrad.paper.figures import intervals, look, style
from fgrad.paper.seeds import SOLVED

EXPECTED = {"fg-mean": laws.mean_cosine, "frog": laws.projection_ratio}
"""Gradient → its expected cosine similarity to ∇f, of normal tangents, which the paper's have."""

NAMED = 4
"""Dimensions that are labelled, at most."""


def draw(frame: pd.DataFrame) -> Figure:
    """What is left of the starting gap over the expected cosine; a grey line joins one n."""
    frame = expected(frame)
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    pairs = style.methods(frame)
    figure = style.sheet(len(names) > 1, 2.9)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, function in zip(axes, names, strict=True):
        own = frame[frame["function"] == function].sort_values("cosine")
        axis.set_xscale("log")
        axis.set_yscale("log")
        dimensions = sorted(own["n"].unique(), reverse=True)
        named = dimensions[:: -(-len(dimensions) // NAMED)]
        for n, one in own.groupby("n"):
            left = intervals.geometric(one, "log_left").mean
            known = np.isfinite(left)
            axis.plot(one["cosine"][known], left[known], color="#BBBBBB", lw=0.6, zorder=1)
            if n in named and known.any() and left[known][0] > 2 * SOLVED:
                at = (float(one["cosine"][known].iloc[0]), float(left[known][0]))
                small: dict[str, Any] = {"fontsize": look.points(5.5), "color": look.GREY}
                place: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
                axis.annotate(f"{n:,}", at, (0, 4), **place, **small)
        for pair in pairs:
            one = style.of(own, *pair)
            seen = intervals.geometric(one, "log_left")
            seen.points(axis, one["cosine"].to_numpy(dtype=float), style.drawn(*pair) | {"ls": ""})
        axis.margins(x=0.12)
        style.log_values(axis.xaxis)
        style.log_values(axis.yaxis)
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
        axis.set_xlabel(r"expected cosine to $\nabla f$")
    highest = frame["log_left_mean"].where(np.isfinite(frame["log_left_mean"])).max()
    axes[0].set_ylim(SOLVED / 3, 2 * 10 ** max(0.0, highest))
    axes[0].set_ylabel("part of the starting gap left")
    joined = Line2D([], [], color="#BBBBBB", lw=0.6, label="one $n$ (some labelled)")
    style.legend(figure, pairs, [joined, *intervals.explained(frame, points=True)])
    for handle, pair in zip(figure.legends[0].get_lines(), pairs, strict=False):
        handle.set_linestyle("")
        handle.set_color(look.colour(*pair))
    return figure


def expected(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of gradients with a known expectation, with it in ``cosine``."""
    frame = frame[~frame["degenerate"] & frame["log_left_mean"].notna()]
    frame = frame[(frame["gradient"] == "bp") | frame["gradient"].isin(EXPECTED)]
    cosines = [
        1.0 if pd.isna(k) else float(EXPECTED[gradient](int(n), int(k)))
        for gradient, n, k in frame[["gradient", "n", "k"]].itertuples(index=False)
    ]
    return frame.assign(cosine=cosines)
