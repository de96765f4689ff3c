"""Cosine similarity and norm ratio over n for each k, drawn or by the law (section 4.1)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.gradients import laws
from fgrad.paper.figures import intervals, look, style

LAWS = {
    ("projection", "cosine"): laws.projection_ratio,
    ("projection", "norm_ratio"): laws.projection_ratio,
    ("mean", "cosine"): laws.mean_cosine,
    ("mean", "norm_ratio"): laws.mean_ratio,
}


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: projection and mean; columns: metrics; measured points on lines of theory."""
    frame = frame[~frame["normalized"] & frame["aggregation"].isin(["projection", "mean"])]
    if frame.empty:
        return style.nothing()
    present = [one for one in ("projection", "mean") if (frame["aggregation"] == one).any()]
    figure = style.sheet(True, 1.75 * len(present) + 0.8)
    axes = figure.subplots(len(present), 2, sharex=True, squeeze=False)
    for row, aggregation in zip(axes, present, strict=True):
        part = frame[frame["aggregation"] == aggregation]
        for axis, metric in zip(row, ("cosine", "norm_ratio"), strict=True):
            panel(axis, part, aggregation, metric)
        row[0].set_ylabel(f"{style.label(aggregation)}\ncosine similarity to $\\nabla f$")
        row[1].set_ylabel(r"norm ratio $\|g\| / \|\nabla f\|$")
    for axis in axes[-1]:
        axis.set_xlabel("dimension $n$")
    handles = [
        Line2D([], [], color=tint(k), marker=style.marker(k), ls="", label=f"$k$ = {k:,}")
        for k in numbers(frame)
    ]
    handles.append(Line2D([], [], color=look.GREY, lw=0.9, label="expectation"))
    also = intervals.explained(frame, points=True)
    style.legend(figure, [], [*handles, *also], columns=look.fits(0.95))
    return figure


def panel(axis: Axes, part: pd.DataFrame, aggregation: str, metric: str) -> None:
    """Mean with 95 % interval over n, a line of theory for each k."""
    lowest, largest = float(part["n"].min()), float(part["n"].max())
    n = np.geomspace(lowest, largest, 300)
    axis.set_yscale("log")
    for k in numbers(part):
        one = part[part["k"] == k].sort_values("n")
        colour = tint(k, aggregation)
        axis.plot(n, LAWS[aggregation, metric](n, k), color=colour, lw=0.9, zorder=1)
        how = {"color": colour, "ls": "", "marker": style.marker(k), "ms": 2.6, "mew": 0}
        seen = intervals.arithmetic(one, metric)
        seen.points(axis, one["n"].to_numpy(dtype=float), how)
    style.log_ticks(axis, part["n"])
    style.log_values(axis.yaxis)


def numbers(frame: pd.DataFrame) -> list[int]:
    """Numbers of tangents, ascending."""
    return sorted(int(k) for k in frame["k"].unique())


def tint(k: int, aggregation: str = "") -> look.Colour:
    """Colour of a number of tangents: the method's own hue, grey where methods share it."""
    if aggregation:
        return look.colour(aggregation, k)
    shade = 0.78 * (1 - min(1.0, float(np.log2(k)) / 10))
    return (shade, shade, shade)
