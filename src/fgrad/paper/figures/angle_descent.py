"""Descent with tangents at an angle to the first (section 4.3)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import descent_curves, intervals, look, style


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: gradients; columns: numbers of tangents; one line for each angle."""
    if frame.empty:
        return style.nothing()
    gradients = list(frame["gradient"].drop_duplicates())
    sizes = sorted(int(k) for k in frame["k"].unique())
    angles = sorted(float(a) for a in frame["angle_deg"].unique())
    figure = style.sheet(len(sizes) > 1, 1.9 * len(gradients) + 0.6)
    axes = figure.subplots(len(gradients), len(sizes), squeeze=False)
    for row, gradient in zip(axes, gradients, strict=True):
        for axis, k in zip(row, sizes, strict=True):
            part = style.of(frame, gradient, k)
            if part.empty:
                axis.set_axis_off()
                continue
            looks = {a: {"color": shade(gradient, a), "ls": line(a, angles)} for a in angles}
            curves = {a: (part[part["angle_deg"] == a], looks[a]) for a in angles}
            descent_curves.panel(axis, curves)
            axis.set_title(style.label(gradient, k))
            if axis is not row[0]:
                axis.set_ylabel("")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    also = [*intervals.explained(frame), *intervals.lost(frame, "value")]
    style.legend(figure, [], [*handles(angles), *also], columns=look.fits(0.9))
    return figure


def handles(angles: list[float]) -> list[Any]:
    """Entries of a legend."""
    return [
        Line2D([], [], color=shade("", angle), ls=line(angle, angles), label=f"{angle:g}°")
        for angle in angles
    ]


def shade(gradient: str, angle: float) -> look.Colour:
    """The gradient's hue, darker for smaller angles; grey without a gradient."""
    depth = 1 - min(angle, 90) / 90
    if gradient:
        return look.colour(gradient, round(2 ** (10 * depth)))
    grey = 0.7 * (1 - depth)
    return (grey, grey, grey)


def line(angle: float, angles: list[float]) -> Any:
    """Line style by rank, so that overlapping lines can be told apart."""
    styles = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)))
    return styles[angles.index(angle) % len(styles)]
