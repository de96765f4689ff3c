"""Several observations in one figure: their mean, and its interval or, of two, the observations.

On a log scale all of it is of logarithms: the geometric mean, and the interval of the mean log.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fgrad.paper.figures import look, style
from fgrad.paper.figures.look import GREY

Values = npt.NDArray[np.float64]

ENOUGH = 3
"""Observations from which an interval is drawn; with fewer it says nothing, and fills the panel."""

CROSS: dict[str, Any] = {"ls": "", "marker": "x", "ms": 4.5, "mew": 1.0}
"""Where a seed has diverged."""


@dataclass(frozen=True)
class Observed:
    """Means, and what is drawn around them.

    Args:
        mean: NaN where an observation is infinite.
        low: lower end of the 95 % interval; of two observations the lower one, of one NaN.
        high: likewise.
        count: observations of each mean at most.
    """

    mean: Values
    low: Values
    high: Values
    count: int

    def curve(self, axis: Axes, x: Values, how: dict[str, Any]) -> None:
        """A line, and a band or two thin lines."""
        axis.plot(x, self.mean, **how)
        if self.count >= ENOUGH:
            axis.fill_between(x, self.low, self.high, color=how["color"], alpha=0.15, lw=0)
        elif self.count > 1:
            for side in (self.low, self.high):
                axis.plot(x, side, color=how["color"], ls=how.get("ls", "-"), lw=0.5)

    def marks(self, index: int, curves: int) -> dict[str, Any]:
        """How a line is marked: at four spots along it, one of several curves' none upon another's.

        Every point of few is marked: spots along a line need one.
        """
        if np.isfinite(self.mean).sum() <= 4:
            return {}
        return {"markevery": (0.25 * (index + 0.5) / curves, 0.25)}

    def points(self, axis: Axes, x: Values, how: dict[str, Any]) -> None:
        """Points on a line, with error bars or a dash for each of two observations."""
        axis.plot(x, self.mean, **how)
        colour = how["color"]
        if self.count >= ENOUGH:
            axis.vlines(x, self.low, self.high, color=colour, lw=0.7)
        elif self.count > 1:
            for side in (self.low, self.high):
                axis.plot(x, side, color=colour, ls="", marker="_", ms=4, mew=0.7)


def arithmetic(
    frame: pd.DataFrame, value: str, shown: Callable[[pd.Series], Values] | None = None
) -> Observed:
    """Of the values themselves.

    Args:
        frame: a summary.
        value: described in it.
        shown: what is plotted of values; they themselves if there is none.
    """
    return _observed(frame, value, shown or (lambda one: one.to_numpy(dtype=float)))


def geometric(frame: pd.DataFrame, log_value: str) -> Observed:
    """Of values whose log₁₀ is described in a summary."""
    return _observed(frame, log_value, lambda one: 10 ** one.to_numpy(dtype=float))


def of_function(frame: pd.DataFrame, value: str, start: float) -> Observed:
    """Of values of one function, on the scale that `fgrad.paper.figures.style.value_axis` sets.

    Args:
        frame: a summary with ``minimum`` and ``log_gap``.
        value: described in it.
        start: value at step 0.
    """
    minimum = float(frame["minimum"].iloc[0])
    if style.logarithmic(minimum):
        return geometric(frame, "log_gap")
    return arithmetic(frame, value, lambda one: style.shown(one, minimum, start))


def explained(frame: pd.DataFrame, points: bool = False) -> list[Line2D | Patch]:
    """Entries of a legend for what is drawn around means.

    Args:
        frame: a summary.
        points: whether points are drawn, not curves.
    """
    count = int(frame["count"].max())
    if count < 2:
        return []
    if count >= ENOUGH and points:
        return [Line2D([], [], color=GREY, ls="", marker="|", ms=7, mew=0.7, label="95 % interval")]
    if count >= ENOUGH:
        return [Patch(color=GREY, alpha=0.25, lw=0, label="95 % interval")]
    one: dict[str, Any] = {"ls": "", "marker": "_", "ms": 4, "mew": 0.7} if points else {"lw": 0.5}
    return [Line2D([], [], color=GREY, **one, label="each of two seeds")]


def lost(frame: pd.DataFrame, value: str) -> list[Line2D | Patch]:
    """An entry for crosses, if a mean is infinite."""
    means = frame[f"{value}_mean"].to_numpy(dtype=float)
    if np.isfinite(means).all():
        return []
    return [Line2D([], [], color=GREY, **CROSS, label="a seed diverged")]


def crosses(
    axis: Axes, at: pd.DataFrame, seen: Observed, colour: look.Colour, taken: Counter[int]
) -> None:
    """A cross at the top for each dimension in which a seed of a method diverged.

    Args:
        axis: over n.
        at: ``n`` and ``x``, where the method stands beside it.
        seen: of these.
        colour: of the method.
        taken: crosses there are for each n, so that one stands below the other.
    """
    for n, x in at.loc[np.isnan(seen.mean), ["n", "x"]].itertuples(index=False):
        height = 0.97 - 0.06 * taken[n]
        axis.plot(x, height, color=colour, **CROSS, transform=axis.get_xaxis_transform())
        taken[n] += 1


def _observed(frame: pd.DataFrame, value: str, shown: Callable[[pd.Series], Values]) -> Observed:
    count = int(frame["count"].max()) if len(frame) else 0
    mean = frame[f"{value}_mean"]
    low, high = frame[f"{value}_low"], frame[f"{value}_high"]
    if count < ENOUGH:
        apart = frame[f"{value}_std"] / np.sqrt(2)  # of two observations, mean ± this is they
        low, high = mean - apart, mean + apart
    with np.errstate(over="ignore", invalid="ignore"):
        middle, lower, upper = (_finite(shown(one)) for one in (mean, low, high))
    return Observed(middle, lower, upper, count)


def _finite(values: Values) -> Values:
    return np.where(np.isfinite(values), values, np.nan)
