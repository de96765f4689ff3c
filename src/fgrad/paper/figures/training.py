"""Training of networks, by width or data set (sections 4.4 and 4.5)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fgrad.options.networks import LOST
from fgrad.paper.figures import style


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
            look = {
                "color": style.colour(gradient, k),
                "marker": style.marker(k),
                "markevery": (index * every // len(pairs), every),  # none upon another
                "mew": 0,
            }
            curve(loss, one, "train_loss", 1, look)
            curve(accuracy, one, "val_accuracy", 100, look)
        for axis in (loss, accuracy):
            whole = MaxNLocator(5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
            axis.xaxis.set_major_locator(whole)
    style.legend(figure, pairs, style.legend_columns(figure))
    return figure


def loss_axis(axis: Axes, frame: pd.DataFrame) -> None:
    """All losses, but two decades below the forward gradients' lowest and `LOST` at most."""
    mean = frame["train_loss_mean"].where(np.isfinite(frame["train_loss_mean"]))
    forward = mean[frame["k"].notna()].min()
    lowest = np.nanmax([mean.min(), forward / 100, style.FLOOR]) / 1.25
    highest = min(mean.max(), LOST) * 1.25
    axis.set_yscale("log")
    axis.set_ylim(lowest, highest)
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if highest < 100 * lowest else (1,)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def curve(axis: Axes, frame: pd.DataFrame, metric: str, unit: float, look: dict[str, Any]) -> None:
    """Mean over the seeds with its 95 % interval; a cross where a seed diverged."""
    bottom, top = axis.get_ylim()
    epoch = frame["epoch"].to_numpy()
    mean, low, high = (
        unit * frame[f"{metric}_{side}"].to_numpy(dtype=float) for side in ("mean", "low", "high")
    )
    known = np.isfinite(mean) & np.isfinite(frame["train_loss_mean"].to_numpy())
    mean = np.where(known, np.minimum(mean, top), np.nan)
    axis.plot(epoch, mean, **look)
    low = np.maximum(low, bottom)  # an interval that reaches below zero has no logarithm
    axis.fill_between(epoch, low, high, where=known, color=look["color"], alpha=0.15, lw=0)
    if not known.all():
        last = known.nonzero()[0][-1:]
        axis.plot(epoch[last], mean[last], "x", color=look["color"], ms=5, mew=1, zorder=3)
