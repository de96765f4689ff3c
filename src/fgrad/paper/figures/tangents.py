"""Test accuracy of networks over the number of tangents (sections 4.4 and 4.5)."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import intervals, look, style

MARKERS = "sDo^v"
"""Of gradients, so that they differ without colours too."""

APART = 1.06
"""Factor of k between gradients, so that no interval hides another."""


def draw(frame: pd.DataFrame) -> Figure:
    """Test accuracy at the epoch of the lowest validation loss."""
    least = frame[["test_accuracy_mean", "test_accuracy_low"]].min().min()
    begin = 10 * math.floor(10 * least) if least > 0 else 0
    return grid(frame, "test_accuracy", "test accuracy (%)", 100, (begin, 102 - begin / 50))


def grid(
    frame: pd.DataFrame, value: str, label: str, unit: float, ends: tuple[float, float]
) -> Figure:
    """One panel for each network and data set, one line for each gradient.

    Args:
        frame: a summary of networks.
        value: what is shown: mean and 95 % interval over the seeds.
        label: of the y axis.
        unit: what values are multiplied by.
        ends: of the y axis.
    """
    if frame.empty:
        return style.nothing()
    names = list(frame["gradient"].unique())
    forward = list(frame.loc[frame["k"].notna(), "gradient"].unique())
    looks: dict[str, dict[str, Any]] = {
        name: {"color": look.colour(name), "ls": style.line_of(name)} for name in names
    }
    for index, name in enumerate(forward):
        looks[name] |= {"marker": MARKERS[index % len(MARKERS)], "mew": 0}
    shift = {name: APART ** (i - (len(forward) - 1) / 2) for i, name in enumerate(forward)}
    frame = frame.assign(x=frame["k"].astype(float) * frame["gradient"].map(shift))
    networks = style.networks(frame)
    figure, stacks = style.stacks(networks, 1.7, label)

    def times_unit(values: pd.Series) -> intervals.Values:
        return unit * values.to_numpy(dtype=float)

    for (_, part), (axis,) in zip(networks, stacks, strict=True):
        for name in names:
            one = part[part["gradient"] == name].sort_values("k")
            seen = intervals.arithmetic(one, value, times_unit)
            if name in forward:
                seen.points(axis, one["x"].to_numpy(dtype=float), looks[name])
            else:
                level(axis, seen, looks[name])
        single(axis, part, f"{value}_mean", unit)
        style.log_ticks(axis, frame["k"].dropna() if forward else [1])
        axis.set_ylim(*ends)
        axis.set_xlabel("number of tangents $k$")
    handles = [Line2D([], [], **looks[name], label=style.label(name)) for name in names]
    style.legend(figure, [], [*handles, *intervals.explained(frame, points=True)])
    return figure


def level(axis: Axes, seen: intervals.Observed, look: dict[str, Any]) -> None:
    """What needs no tangents: a line across, with its interval, or with a line for each seed."""
    for mean, low, high in zip(seen.mean, seen.low, seen.high, strict=True):
        axis.axhline(mean, **look)
        if seen.count >= intervals.ENOUGH:
            axis.axhspan(low, high, color=look["color"], alpha=0.15, lw=0)
        else:
            for one in (low, high):
                axis.axhline(one, **look | {"lw": 0.5})


def single(axis: Axes, frame: pd.DataFrame, mean: str, unit: float) -> None:
    """A dotted line from fg-mean's single tangent, which is frog's up to length, to frog."""
    frog = frame[frame["gradient"] == "frog"].sort_values("k")
    ends = pd.concat([style.of(frame, "fg-mean", 1), frog.head(1)])
    height = unit * ends[mean].to_numpy(dtype=float)
    axis.plot(ends["x"], height, color=look.colour("frog"), ls=":", lw=0.7, zorder=1)
