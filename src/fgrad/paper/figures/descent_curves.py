"""Descent curves: value over steps for each function at three dimensions (section 4.2)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgrad.paper.figures import intervals, style
from fgrad.paper.seeds import LOWEST

ABOVE = 30.0
"""On a log scale an axis ends at most at this factor above the start; on others at ABOVE_LINEAR."""
ABOVE_LINEAR = 1.3


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: functions; columns: dimensions."""
    frame = frame[~frame["degenerate"]]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    dimensions = style.three(frame["n"])
    figure = style.sheet(len(dimensions) > 1, 1.75 * len(names) + 0.8)
    axes = figure.subplots(len(names), len(dimensions), squeeze=False)
    pairs = style.methods(frame)
    shown = frame[frame["n"].isin(dimensions)]
    for row, function in zip(axes, names, strict=True):
        for axis, n in zip(row, dimensions, strict=True):
            part = frame[(frame["function"] == function) & (frame["n"] == n)]
            if part.empty:  # degenerate in this dimension
                axis.set_axis_off()
                continue
            looks = {pair: style.drawn(*pair) for pair in pairs}
            panel(axis, {pair: (style.of(part, *pair), looks[pair]) for pair in pairs})
            axis.set_title(style.cell_title(function, n, len(dimensions)))
            if axis is not row[0]:
                axis.set_ylabel("")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    also = [*intervals.explained(shown), *intervals.lost(shown, "value")]
    style.legend(figure, pairs, also)
    return figure


def panel(axis: Axes, curves: dict[Any, tuple[pd.DataFrame, dict[str, Any]]]) -> None:
    """Curves of one function in one dimension; those that diverge end in a cross.

    The axis is that of the others, so that one which diverges does not stretch it.

    Args:
        axis: where to draw.
        curves: rows of each curve, and how it is drawn.
    """
    present = {
        key: (one.sort_values("step"), how) for key, (one, how) in curves.items() if len(one)
    }
    first = next(iter(present.values()))[0]
    minimum, start = float(first["minimum"].iloc[0]), float(first["value_mean"].iloc[0])
    style.value_axis(axis, minimum)
    found = {key: intervals.of_function(one, "value", start) for key, (one, _) in present.items()}
    top = _top([one.mean for one in found.values() if np.isfinite(one.mean).all()], minimum, start)
    for index, (key, (one, how)) in enumerate(present.items()):
        step, seen = one["step"].to_numpy(dtype=float), found[key]
        diverged = not np.isfinite(seen.mean).all()
        last = _last(seen.mean, top) if diverged else len(step)
        until = intervals.Observed(seen.mean[:last], seen.low[:last], seen.high[:last], seen.count)
        until.curve(axis, step[:last], how | until.marks(index, len(present)))
        if diverged and last:
            height = min(float(seen.mean[last - 1]), top)
            axis.plot(step[last - 1], height, color=how["color"], **intervals.CROSS, zorder=4)
    bottom, highest = axis.get_ylim()
    if np.isfinite(minimum):  # an interval may reach below what there is
        bottom = max(bottom, LOWEST / 3 if style.logarithmic(minimum) else -0.05)
    axis.set_ylim(bottom, min(highest, top))
    if style.logarithmic(minimum):
        style.log_values(axis.yaxis)
    axis.margins(x=0.02)


def _top(means: list[intervals.Values], minimum: float, start: float) -> float:
    """Highest value of the curves that do not diverge, near the start at most."""
    highest = max((float(one.max()) for one in means), default=0.0)
    if not np.isfinite(minimum):
        return np.inf
    if style.logarithmic(minimum):
        return 1.5 * min(max(highest, start), ABOVE * start) or np.inf  # where nothing is known
    return min(max(highest, 1.0), ABOVE_LINEAR) + 0.05


def _last(mean: intervals.Values, top: float) -> int:
    """Points of a curve that diverges before it is infinite or leaves the axis."""
    gone = ~np.isfinite(mean) | (mean > top)
    return max(int(np.argmax(gone)), 1) if gone.any() else len(mean)
