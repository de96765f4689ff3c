"""Test accuracy of networks over the number of tangents (sections 4.4 and 4.5)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import style

MARKERS = "sDo^v"
"""Of gradients, so that they differ without colours too."""

APART = 1.06
"""Factor of k between gradients, so that no interval hides another."""


def draw(frame: pd.DataFrame) -> Figure:
    """Test accuracy at the epoch of the lowest validation loss."""
    return grid(frame, "test_accuracy", "test accuracy (%)", 100, 102)


def grid(frame: pd.DataFrame, value: str, label: str, unit: float, highest: float) -> Figure:
    """One panel for each network and data set, one line for each gradient.

    Args:
        frame: a summary of networks.
        value: what is shown: mean and 95 % interval over the seeds.
        label: of the y axis.
        unit: what values are multiplied by.
        highest: end of the y axis, which begins at 0.
    """
    if frame.empty:
        return style.nothing()
    sides = {f"{value}_{side}": side for side in ("mean", "low", "high")}
    frame = frame.rename(columns=sides)
    frame[list(sides.values())] *= unit
    names = list(frame["gradient"].unique())
    looks: dict[str, dict[str, Any]] = {
        name: {"color": style.colour(name), "label": style.label(name)} for name in names
    }
    forward = list(frame.loc[frame["k"].notna(), "gradient"].unique())
    for index, name in enumerate(forward):
        looks[name]["marker"] = MARKERS[index % len(MARKERS)]
    shift = {name: APART ** (i - (len(forward) - 1) / 2) for i, name in enumerate(forward)}
    frame["x"] = frame["k"].astype(float) * frame["gradient"].map(shift)
    largest = float(frame["k"].fillna(1).max())
    networks = style.networks(frame)
    figure, stacks = style.stacks(networks, 1.7, label)
    for (_, part), (axis,) in zip(networks, stacks, strict=True):
        for name in names:
            one = part[part["gradient"] == name].sort_values("k")
            (line if name in forward else level)(axis, one, looks[name])
        single(axis, part)
        style.log2_ticks(axis, largest)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlim(1 / 1.25, largest * 1.25)
        axis.set_ylim(0, highest)
        axis.set_xlabel("number of tangents $k$")
    handles = [Line2D([], [], **look) for look in looks.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=style.legend_columns(figure))
    return figure


def line(axis: Axes, frame: pd.DataFrame, look: dict[str, Any]) -> None:
    """Mean over k with its 95 % interval."""
    half = frame["high"] - frame["mean"]
    axis.errorbar(frame["x"], frame["mean"], half, elinewidth=0.7, mew=0, **look)


def level(axis: Axes, frame: pd.DataFrame, look: dict[str, Any]) -> None:
    """What needs no tangents: a line across, with its interval."""
    for mean, low, high in frame[["mean", "low", "high"]].itertuples(index=False):
        axis.axhline(mean, **look)
        axis.axhspan(low, high, color=look["color"], alpha=0.15, lw=0)


def single(axis: Axes, frame: pd.DataFrame) -> None:
    """A dashed line from fg-mean's single tangent, which is frog's up to length, to frog."""
    frog = frame[frame["gradient"] == "frog"].sort_values("k")
    ends = pd.concat([style.of(frame, "fg-mean", 1), frog.head(1)])
    axis.plot(ends["x"], ends["mean"], color=style.colour("frog"), ls="--", lw=0.7, zorder=1)
