"""Cosine similarity and norm ratio over n for each k, drawn or by the law (section 4.1)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.gradients import laws
from fgrad.paper.figures import style

LAWS = {
    ("projection", "cosine"): laws.projection_ratio,
    ("projection", "norm_ratio"): laws.projection_ratio,
    ("mean", "cosine"): laws.mean_cosine,
    ("mean", "norm_ratio"): laws.mean_ratio,
}


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: projection and mean; columns: metrics; measured points on lines of theory."""
    frame = frame[~frame["normalized"]]
    figure = Figure(figsize=(style.PAGE, 4.3))
    axes = figure.subplots(2, 2, sharex=True)
    for row, aggregation in zip(axes, ("projection", "mean"), strict=True):
        part = frame[frame["aggregation"] == aggregation]
        for axis, metric in zip(row, ("cosine", "norm_ratio"), strict=True):
            panel(axis, part, aggregation, metric)
        name = style.label(aggregation)
        row[0].set_ylabel(f"{name}\ncosine similarity to $\\nabla f$")
        row[1].set_ylabel(r"norm ratio $\|g\| / \|\nabla f\|$")
    for axis in axes[1]:
        axis.set_xlabel("dimension $n$")
    handles = [
        Line2D([], [], color=tint(k), marker="o", ls="", label=f"$k$ = {k}") for k in numbers(frame)
    ]
    handles.append(Line2D([], [], color="#555555", label="theory, expectation"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def panel(axis: Axes, part: pd.DataFrame, aggregation: str, metric: str) -> None:
    """Mean with 95 % interval over n, a line of theory for each k."""
    if part.empty:
        axis.set_axis_off()
        return
    largest = float(part["n"].max())
    n = np.geomspace(1, largest, 300)
    for k in numbers(part):
        one = part[part["k"] == k].sort_values("n")
        mean = one[f"{metric}_mean"]
        half = one[f"{metric}_high"] - mean
        axis.plot(n, LAWS[aggregation, metric](n, k), color=tint(k, aggregation), lw=0.9, zorder=1)
        axis.errorbar(
            one["n"], mean, half, fmt="o", ms=2.2, lw=0.7, color=tint(k, aggregation), zorder=2
        )
    style.log2_ticks(axis, largest)
    axis.set_yscale("log")


def numbers(frame: pd.DataFrame) -> list[int]:
    """Numbers of tangents, ascending."""
    return sorted(int(k) for k in frame["k"].unique())


def tint(k: int, aggregation: str = "") -> tuple[float, float, float]:
    """Colour of a number of tangents: the method's own hue, grey where methods share it."""
    if aggregation:
        return style.colour(aggregation, k)
    shade = 0.78 * (1 - min(1.0, np.log2(k) / 10))
    return (shade, shade, shade)
