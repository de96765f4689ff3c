"""Learning rates found and published over the dimension (section 4.2)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fgrad.paper.figures import style
from fgrad.paper.figures.search_functions import entry, legend


def draw(frame: pd.DataFrame) -> Figure:
    """One panel for each function."""
    frame = frame[frame["selected"] & (frame["start"] > frame["minimum"])]
    if frame.empty:
        return style.nothing()
    names = list(frame["function"].drop_duplicates())
    figure = Figure(figsize=(style.PAGE, 2.9))
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    pairs = style.methods(frame)
    for axis, function in zip(axes, names, strict=True):
        own = frame[frame["function"] == function]
        for gradient, k in pairs:
            one = style.of(own, gradient, k).sort_values("n")
            look = {"color": style.colour(gradient, k), "marker": style.marker(k)}
            n = one["n"].to_numpy(dtype=float)
            axis.plot(n, one["lr"], **look, mew=0)
            open_ = look | {"ls": "", "fillstyle": "none", "markeredgewidth": 0.8}
            axis.plot(n, one["published"], **open_, markersize=6)
        axis.set_yscale("log")
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_title(style.FUNCTION_LABELS.get(function, function))
        axis.set_xlabel("dimension $n$")
        style.log2_ticks(axis, float(np.max(frame["n"])))
    axes[0].set_ylabel("learning rate")
    legend(figure, frame, [entry(*pair) for pair in pairs])
    return figure
