"""Validation accuracy over the time of training (sections 4.4 and 4.5)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import intervals, style, training


def draw(frame: pd.DataFrame) -> Figure:
    """One panel for each network and data set, a line for each gradient and k, from epoch 1 on."""
    frame = frame[(frame["epoch"] > 0) & (frame["seconds_mean"] > 0)]
    if not np.isfinite(frame["train_loss_mean"]).any():
        return style.nothing()
    networks, pairs = style.networks(frame), style.methods(frame)
    figure, stacks = style.stacks(networks, 2.0, "validation accuracy (%)")
    for (_, part), (axis,) in zip(networks, stacks, strict=True):
        axis.set_xscale("log")
        axis.set_ylim(0, 102)
        for index, (gradient, k) in enumerate(pairs):
            one = style.of(part, gradient, k).sort_values("epoch")
            if one.empty:
                continue
            seconds, seen = one["seconds_mean"].to_numpy(dtype=float), training.validation(one)
            how = style.drawn(gradient, k) | seen.marks(index, len(pairs))
            training.curve(axis, seconds, seen, how)
        style.log_values(axis.xaxis)
        axis.set_xlabel("time of training (s)")
    also = [*intervals.explained(frame), *intervals.lost(frame, "train_loss")]
    style.legend(figure, pairs, also)
    return figure
