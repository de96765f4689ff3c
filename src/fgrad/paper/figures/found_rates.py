"""Learning rates found and published over the dimension (section 4.2)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from fgrad.paper.figures import look, style

OPEN: dict[str, Any] = {"ls": "", "fillstyle": "none", "mew": 0.8, "ms": 6}
"""Markers of published rates."""


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: gradients; columns: functions."""
    frame = frame[frame["selected"] & (frame["start"] > frame["minimum"])]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    gradients = list(frame["gradient"].drop_duplicates())
    pairs = style.methods(frame)
    figure = style.sheet(len(names) > 1, 1.45 * len(gradients) + 0.8)
    axes = figure.subplots(len(gradients), len(names), sharex=True, sharey=True, squeeze=False)
    for row, gradient in zip(axes, gradients, strict=True):
        for axis, function in zip(row, names, strict=True):
            own = frame[frame["function"] == function]
            for _, k in (pair for pair in pairs if pair[0] == gradient):
                one = style.of(own, gradient, k).sort_values("n")
                n, how = one["n"].to_numpy(dtype=float), style.drawn(gradient, k)
                axis.plot(n, one["lr"], **how)
                axis.plot(n, one["published"], **how | OPEN)
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(numticks=6))
            axis.yaxis.set_minor_locator(NullLocator())
            style.log_ticks(axis, frame["n"])
        row[0].set_ylabel(f"{style.label(gradient)}\nlearning rate")
    for axis, function in zip(axes[0], names, strict=True):
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
    for axis in axes[-1]:
        axis.set_xlabel("dimension $n$")
    found = Line2D([], [], color=look.GREY, marker="o", label="found")
    published = Line2D([], [], color=look.GREY, marker="o", **OPEN, label="published")
    also = [found, *([published] if frame["published"].notna().any() else [])]
    style.legend(figure, pairs, also)
    return figure
