"""Training of fully connected networks, by hidden width (section 4.4)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fgrad.figures import style

LOST = 10.0
"""A loss of this much ends a run."""


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """Rows: training loss and validation accuracy; columns: widths."""
    return grid(summaries["fc_curves"])


def grid(frame: pd.DataFrame) -> Figure:
    """The figure for any network and data set: one column each, a line for each gradient and k."""
    if frame.empty:
        return style.nothing()
    networks, pairs = style.networks(frame), style.methods(frame)
    figure, stacks = style.stacks(len(networks), 1.7, rows=2)
    limits = _loss_limits(frame)
    every = max(1, int(frame["epoch"].max()) // 6)  # epochs between two markers
    for (title, part), (loss, accuracy) in zip(networks, stacks, strict=True):
        loss.set_title(title)
        _loss_axis(loss, limits)
        accuracy.set_ylim(0, 100)
        for index, (gradient, k) in enumerate(pairs):
            one = style.of(part, gradient, k).sort_values("epoch")
            look = {"color": style.colour(gradient, k), "marker": style.marker(k)}
            look["markevery"] = (index * every // len(pairs), every)  # none upon another
            curve(loss, one, "train_loss", 1, look)
            curve(accuracy, one, "val_accuracy", 100, look)
        accuracy.set_xlabel("epoch")
        for axis in (loss, accuracy):
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        loss.tick_params(labelbottom=False)
    for axis, name in zip(stacks[0], ("training loss", "validation accuracy (%)"), strict=True):
        axis.set_ylabel(name)
    style.legend(figure, pairs, columns=4)
    return figure
