"""What every learning rate reached in the searches of sections 4.4 and 4.5."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import search_functions, style
from fgrad.paper.figures.look import GREY


def draw(frame: pd.DataFrame) -> Figure:
    """One panel for each network and data set, one line for each gradient.

    Pruned trials are crosses, at the lowest loss they had reached.
    """
    if not np.isfinite(frame["loss"]).any():
        return style.nothing()
    networks = style.networks(frame)
    figure, stacks = style.stacks(networks, 2.2, "lowest validation loss")
    for (_, part), (axis,) in zip(networks, stacks, strict=True):
        axis.set_yscale("log")
        for gradient, k in style.methods(part):
            one = style.of(part, gradient, k).sort_values("lr")
            look = style.drawn(gradient, k)
            pruned = one["stop"] == "pruned"
            cross: dict[str, Any] = {"color": look["color"], "marker": "x", "ls": "", "mew": 0.8}
            axis.plot(one["lr"][pruned], one["loss"][pruned], **cross, markersize=4)
            search_functions.line(axis, one[~pruned], look)
        axis.set_xlabel("learning rate")
        style.log_values(axis.yaxis)
    handles = [style.entry(*pair) for pair in style.methods(frame)]
    if (frame["stop"] == "pruned").any():
        handles.append(Line2D([], [], color=GREY, marker="x", ls="", label="pruned"))
    search_functions.legend(figure, frame, handles)
    return figure
