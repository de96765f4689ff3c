"""Descent with tangents at an angle to the first (section 4.3)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import style
from fgrad.paper.figures.descent_curves import curve


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: gradients; columns: numbers of tangents; one line for each angle."""
    gradients = list(frame["gradient"].drop_duplicates())
    sizes = sorted(int(k) for k in frame["k"].unique())
    angles = sorted(float(a) for a in frame["angle_deg"].unique())
    figure = Figure(figsize=(style.PAGE, 1.9 * len(gradients) + 0.5))
    axes = figure.subplots(len(gradients), len(sizes), sharex=True, sharey=True, squeeze=False)
    for row, gradient in zip(axes, gradients, strict=True):
        for axis, k in zip(row, sizes, strict=True):
            part = style.of(frame, gradient, k)
            for angle in angles:
                one = part[part["angle_deg"] == angle]
                curve(axis, one, shade(gradient, angle), line(angle, angles))
            axis.set_title(style.label(gradient, k))
            style.value_axis(axis, float(part["minimum"].iloc[0]))
            axis.label_outer()
    for axis in axes[-1]:
        axis.set_xlabel("step")
    handles = [
        Line2D([], [], color=shade("", angle), ls=line(angle, angles), label=f"{angle:g}°")
        for angle in angles
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(angles))
    return figure


def shade(gradient: str, angle: float) -> tuple[float, float, float]:
    """The gradient's hue, darker for smaller angles; grey without a gradient."""
    depth = 1 - min(angle, 90) / 90
    if gradient:
        return style.colour(gradient, round(2 ** (10 * depth)))
    grey = 0.7 * (1 - depth)
    return (grey, grey, grey)


def line(angle: float, angles: list[float]) -> str:
    """Line style by rank, so that overlapping lines can be told apart."""
    return ("-", "--", "-.", ":")[angles.index(angle) % 4]
