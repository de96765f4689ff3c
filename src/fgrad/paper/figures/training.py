"""Training of networks, by width or data set (sections 4.4 and 4.5)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fgrad.options.networks import LOST
from fgrad.paper.figures import intervals, style


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: training loss and validation accuracy; columns: networks and data sets.

    A line for each gradient and k.
    """
    if not np.isfinite(frame["train_loss_mean"]).any():
        return style.nothing()
    networks, pairs = style.networks(frame), style.methods(frame)
    figure, stacks = style.stacks(networks, 1.7, "training loss", "validation accuracy (%)")
    every = max(1, int(frame["epoch"].max()) // 6)
    for (_, part), (loss, accuracy) in zip(networks, stacks, strict=True):
        loss_axis(loss, frame)
        accuracy.set_ylim(0, 102)
        accuracy.set_xlabel("epoch")
        for index, (gradient, k) in enumerate(pairs):
            one = style.of(part, gradient, k).sort_values("epoch")
            how = style.drawn(gradient, k)
            how["markevery"] = (index * every // len(pairs), every)  # none upon another
            epoch = one["epoch"].to_numpy(dtype=float)
            curve(loss, epoch, intervals.geometric(one, "log_train_loss"), how)
            curve(accuracy, epoch, validation(one), how)
        for axis in (loss, accuracy):
            whole = MaxNLocator(5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
            axis.xaxis.set_major_locator(whole)
    also = [*intervals.explained(frame), *intervals.lost(frame, "train_loss")]
    style.legend(figure, pairs, also)
    return figure


def loss_axis(axis: Axes, frame: pd.DataFrame) -> None:
    """All losses, but two decades below the forward gradients' lowest and `LOST` at most."""
    mean = 10.0 ** frame["log_train_loss_mean"].where(np.isfinite(frame["log_train_loss_mean"]))
    forward = mean[frame["k"].notna()].min()
    lowest = np.nanmax([mean.min(), forward / 100]) / 1.25
    highest = min(mean.max(), LOST) * 1.25
    axis.set_yscale("log")
    axis.set_ylim(lowest, highest)
    style.log_values(axis.yaxis)


def validation(frame: pd.DataFrame) -> intervals.Observed:
    """Accuracy in %, unknown once a seed has diverged."""
    lost = ~np.isfinite(frame["train_loss_mean"].to_numpy(dtype=float))

    def percent(accuracy: pd.Series) -> intervals.Values:
        return np.where(lost, np.nan, 100 * accuracy.to_numpy(dtype=float))

    return intervals.arithmetic(frame, "val_accuracy", percent)


def curve(axis: Axes, x: intervals.Values, seen: intervals.Observed, look: dict[str, Any]) -> None:
    """A curve with what is around it; a cross where a seed diverged."""
    top = axis.get_ylim()[1]
    seen.curve(axis, x, look)
    known = np.isfinite(seen.mean)
    if not known.all() and known.any():
        last = known.nonzero()[0][-1]
        height = min(float(seen.mean[last]), top)
        axis.plot(x[last], height, color=look["color"], **intervals.CROSS, zorder=4)
