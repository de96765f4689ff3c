"""Final value of every descent over n, for each function and gradient (section 4.2)."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import intervals, look, style
from fgrad.paper.figures.look import GREY
from fgrad.paper.seeds import LOWEST

Method = tuple[str, int | None]

START: dict[str, Any] = {"color": GREY, "ls": ":", "lw": 1.0}


def draw(frame: pd.DataFrame) -> Figure:
    """Mean over the seeds of the final value and 95 % interval; dotted: the start."""
    frame = frame[~frame["degenerate"]]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    figure = style.sheet(len(names) > 1, 3.0)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    pairs = style.methods(frame)
    for axis, function in zip(axes, names, strict=True):
        _panel(axis, frame[frame["function"] == function], pairs)
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
        axis.set_xlabel("dimension $n$")
    also = [*intervals.explained(frame, points=True), *intervals.lost(frame, "final")]
    style.legend(figure, pairs, [Line2D([], [], **START, label="start"), *also])
    return figure


def _panel(axis: Axes, frame: pd.DataFrame, pairs: list[Method]) -> None:
    minimum = float(frame["minimum"].iloc[0])
    style.value_axis(axis, minimum)
    starts = frame.drop_duplicates("n").sort_values("n")
    n = starts["n"].to_numpy(dtype=float)
    start = _each(starts, "start")
    style.log_ticks(axis, n)
    if len(n) > 1:
        axis.plot(n, start, **START)
    else:
        axis.axhline(start[0], **START)
    taken: Counter[int] = Counter()
    for index, (gradient, k) in enumerate(pairs):
        one = style.of(frame, gradient, k).sort_values("n")
        if one.empty:
            continue
        seen = _over_n(one)
        one = one.assign(x=one["n"].astype(float) * style.aside(n, index, len(pairs)))
        seen.points(axis, one["x"].to_numpy(), style.drawn(gradient, k))
        intervals.crosses(axis, one, seen, look.colour(gradient, k), taken)
    if style.logarithmic(minimum):
        bottom, top = axis.get_ylim()
        axis.set_ylim(max(bottom, LOWEST / 3), max(top, 10 * start.max() if taken else top))
        style.log_values(axis.yaxis)
    elif np.isfinite(minimum):
        axis.set_ylim(bottom=max(axis.get_ylim()[0], -0.05), top=1.2 if taken else None)


def _over_n(frame: pd.DataFrame) -> intervals.Observed:
    """Of one method, whose starts differ between dimensions."""
    rows = [
        intervals.of_function(frame.iloc[[i]], "final", s) for i, s in enumerate(frame["start"])
    ]
    mean, low, high = (
        np.concatenate([getattr(row, side) for row in rows]) for side in ("mean", "low", "high")
    )
    return intervals.Observed(mean, low, high, max(row.count for row in rows))


def _each(frame: pd.DataFrame, column: str) -> intervals.Values:
    values = [
        style.shown(pd.Series([value]), minimum, start)[0]
        for value, minimum, start in frame[[column, "minimum", "start"]].itertuples(index=False)
    ]
    return np.array(values, dtype=float)
