"""What every learning rate reached in the searches of section 4.2, at three dimensions."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from fgrad.paper.figures import style
from fgrad.paper.figures.look import GREY

FLOOR = 1e-40
"""Lower than in other figures: also among rates that solve a function one is selected."""


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: functions; columns: dimensions."""
    frame = frame[frame["start"] > frame["minimum"]]
    if not np.isfinite(frame["loss"]).any():
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    chosen = style.three(frame["n"])
    figure = style.sheet(len(chosen) > 1, 1.75 * len(names) + 0.7)
    axes = figure.subplots(len(names), len(chosen), sharex=True, sharey="row", squeeze=False)
    pairs = style.methods(frame)
    for row, function in zip(axes, names, strict=True):
        for axis, n in zip(row, chosen, strict=True):
            part = frame[(frame["function"] == function) & (frame["n"] == n)]
            if part.empty:  # degenerate in this dimension
                axis.set_axis_off()
                continue
            for gradient, k in pairs:
                line(axis, style.of(part, gradient, k), style.drawn(gradient, k))
            axis.set_title(style.cell_title(function, n, len(chosen)))
            style.value_axis(axis, float(part["minimum"].iloc[0]))
            if axis is not row[0]:
                axis.set_ylabel("")
        below(row[0], frame[frame["function"] == function])
    for axis in axes[-1]:
        axis.set_xlabel("learning rate")
    legend(figure, frame, [style.entry(*pair) for pair in pairs])
    return figure


def line(axis: Axes, frame: pd.DataFrame, look: dict[str, Any]) -> None:
    """Loss of a search over the rate; filled the selected rate, open the published one.

    A dot is a rate that was tried, a stroke at the top one that diverged.

    Args:
        axis: where to draw.
        frame: one search of `fgrad.paper.summary.searches`.
        look: colour, line and marker.
    """
    frame = frame.sort_values("lr")
    diverged = frame["lr"][np.isinf(frame["loss"])]
    stroke: dict[str, Any] = {"marker": "|", "ls": "", "transform": axis.get_xaxis_transform()}
    axis.plot(
        diverged, np.ones(len(diverged)), color=look["color"], markersize=6, mew=0.7, **stroke
    )
    frame = frame[np.isfinite(frame["loss"])]
    if frame.empty:
        return
    lr = frame["lr"].to_numpy(dtype=float)
    first = frame.iloc[0]
    loss = style.shown(frame["loss"], float(first["minimum"]), float(first["start"]), FLOOR)
    marks(axis, frame, lr, loss, look)
    dot: dict[str, Any] = {"marker": ".", "markersize": 2}
    axis.plot(lr, loss, color=look["color"], ls=look.get("ls", "-"), lw=0.9, zorder=2, **dot)
    axis.set_xscale("log")
    axis.xaxis.set_minor_locator(NullLocator())


def below(axis: Axes, frame: pd.DataFrame) -> None:
    """End the axis above the start: rates that end far higher are as good as diverged."""
    minimum, start = float(frame["minimum"].iloc[0]), float(frame["start"].max())
    if style.logarithmic(minimum):
        axis.set_ylim(top=100 * start)
    elif np.isfinite(minimum):
        axis.set_ylim(-0.08, 1.3)


def marks(axis: Axes, frame: pd.DataFrame, lr: Any, loss: Any, look: dict[str, Any]) -> None:
    """The selected rate and the published one, this at the height of the line."""
    selected = frame["selected"].to_numpy(dtype=bool)
    shape = look | {"ls": "", "mew": 0.8}
    axis.plot(lr[selected], loss[selected], **shape | {"ms": 5.5}, zorder=4)
    published = float(frame["published"].iloc[0])
    if lr[0] <= published <= lr[-1]:  # what it reaches beyond was not seen
        log_scale = axis.get_yscale() == "log" or bool(frame["minimum"].iloc[0] == 0)
        heights = np.log(loss) if log_scale else loss
        height = np.interp(np.log(published), np.log(lr), heights)
        height = np.exp(height) if log_scale else height
        axis.plot(published, height, **shape | {"ms": 7}, fillstyle="none", zorder=3)


def legend(figure: Figure, frame: pd.DataFrame, handles: list[Line2D]) -> None:
    """What lines are of, and what markers and strokes mean."""
    shape: dict[str, Any] = {"color": GREY, "marker": "o", "ls": ""}
    found = Line2D([], [], **shape, markersize=5.5, label="selected")
    published = Line2D([], [], **shape, markersize=7, fillstyle="none", label="published")
    tried = Line2D([], [], color=GREY, marker=".", markersize=2, lw=0.9, label="tried")
    handles = [*handles, tried, found, *([published] if frame["published"].notna().any() else [])]
    if np.isinf(frame["loss"]).any():
        handles.append(Line2D([], [], color=GREY, marker="|", ls="", label="diverged"))
    style.legend(figure, [], handles)
