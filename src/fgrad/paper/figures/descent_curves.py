"""Descent curves: value over steps for each function at three dimensions (section 4.2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgrad.paper.figures import style


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: functions; columns: dimensions."""
    frame = frame[~frame["degenerate"]]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    dimensions = sorted(int(n) for n in frame["n"].unique())
    shown = sorted(
        {dimensions[len(dimensions) // 3], dimensions[2 * len(dimensions) // 3], dimensions[-1]}
    )
    figure = Figure(figsize=(style.PAGE, 1.75 * len(names) + 0.6))
    axes = figure.subplots(len(names), len(shown), sharex="row", sharey="row", squeeze=False)
    pairs = style.methods(frame)
    for row, function in zip(axes, names, strict=True):
        for axis, n in zip(row, shown, strict=True):
            part = frame[(frame["function"] == function) & (frame["n"] == n)]
            if part.empty:  # degenerate in this dimension
                axis.set_axis_off()
                continue
            for gradient, k in pairs:
                curve(axis, style.of(part, gradient, k), style.colour(gradient, k))
            axis.set_title(f"{style.FUNCTION_LABELS.get(function, function)}, $n$ = {n}")
            style.value_axis(axis, float(part["minimum"].iloc[0]))
            if axis is not row[0]:
                axis.set_ylabel("")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    style.legend(figure, pairs, columns=4)
    for handle in figure.legends[0].get_lines():
        handle.set_marker("")
        handle.set_linewidth(1.8)
    return figure


def curve(axis: Axes, frame: pd.DataFrame, colour: object, ls: str = "-") -> None:
    """Mean over the seeds with its 95 % interval."""
    if frame.empty:
        return
    frame = frame.sort_values("step")
    minimum = float(frame["minimum"].iloc[0])
    start = float(frame["value_mean"].iloc[0])
    mean, low, high = (
        style.shown(frame[f"value_{side}"], minimum, start) for side in ("mean", "low", "high")
    )
    axis.plot(frame["step"], mean, color=colour, ls=ls)
    if style.logarithmic(minimum):  # an interval that reaches below zero has no logarithm
        low = np.maximum(low, mean / 30)
    axis.fill_between(frame["step"], low, high, color=colour, alpha=0.15, lw=0)
