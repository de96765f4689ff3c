"""Final value of every descent over n, for each function and gradient (section 4.2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgrad.paper.figures import style


def draw(frame: pd.DataFrame) -> Figure:
    """Mean over the seeds of the final value and 95 % interval; dotted: the start."""
    frame = frame[~frame["degenerate"]]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    figure = Figure(figsize=(style.PAGE, 2.75))
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    pairs = style.methods(frame)
    for axis, function in zip(axes, names, strict=True):
        _panel(axis, frame[frame["function"] == function], pairs)
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
        axis.set_xlabel("dimension $n$")
    style.legend(figure, pairs, columns=4)
    return figure


def _panel(axis: Axes, frame: pd.DataFrame, pairs: list[tuple[str, int | None]]) -> None:
    minimum = float(frame["minimum"].iloc[0])
    style.value_axis(axis, minimum)
    starts = frame.drop_duplicates("n").sort_values("n")
    dimension = starts["n"].to_numpy(dtype=float)
    start = np.array([_shown(row, "start") for _, row in starts.iterrows()])
    axis.plot(dimension, start, color="#888888", ls=":", lw=1)
    axis.text(
        dimension[-1], start[-1], "start", color="#666666", fontsize=6.5, ha="right", va="bottom"
    )
    top = start.max() * (10 if style.logarithmic(minimum) else 1.1)
    for gradient, k in pairs:
        one = style.of(frame, gradient, k).sort_values("n")
        n = one["n"].to_numpy(dtype=float)
        mean, low, high = (
            np.array([_shown(row, f"final_{side}") for _, row in one.iterrows()])
            for side in ("mean", "low", "high")
        )
        colour = style.colour(gradient, k)
        axis.plot(n, mean, color=colour, marker=style.marker(k), mew=0)
        if style.logarithmic(minimum):  # an interval that reaches below zero has no logarithm
            low = np.maximum(low, mean / 30)
        axis.fill_between(n, low, high, color=colour, alpha=0.15, lw=0)
        lost = np.isnan(mean)
        axis.plot(n[lost], np.full(lost.sum(), top), "x", color=colour, ms=5, mew=1)
    style.log2_ticks(axis, float(frame["n"].max()))


def _shown(row: pd.Series, column: str) -> float:
    return float(style.shown(pd.Series([row[column]]), row["minimum"], row["start"])[0])
