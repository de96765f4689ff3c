"""All aggregations side by side, with and without normalised tangents (section 4.1)."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import intervals, look, style

PANELS: list[int] = [4, 64]
"""Numbers of tangents; the fewest and the most, where one of these was not measured."""

FLOOR = 1e-4
"""Smaller means are not drawn on the log scales."""

SAME = 0.02
"""Lines that differ by no more than this part for half of the n at least lie upon each other."""

METRICS = {
    "cosine": r"cosine similarity",
    "norm_ratio": r"norm ratio $\|g\| / \|\nabla f\|$",
    "difference_norm": r"relative error $\|g - \nabla f\| / \|\nabla f\|$",
}

Pair = tuple[str, bool]
"""Aggregation, and whether its tangents are normalised."""


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: metrics over n; columns: two numbers of tangents."""
    sizes = sorted(int(k) for k in frame["k"].unique())
    shown = [k for k in PANELS if k in sizes]
    shown = sorted({sizes[0], sizes[-1]}) if len(shown) < len(PANELS) else shown
    pairs = [
        (str(a), bool(b))
        for a, b in frame[["aggregation", "normalized"]].drop_duplicates().to_numpy()
    ]
    figure = style.sheet(len(shown) > 1, 5.4 + 0.1 * max(0, len(pairs) - 5))
    axes = figure.subplots(len(METRICS), len(shown), sharex=True, sharey="row", squeeze=False)
    for column, k in zip(axes.T, shown, strict=True):
        for axis, metric in zip(column, METRICS, strict=True):
            panel(axis, frame[frame["k"] == k], metric, pairs)
            style.log_ticks(axis, frame["n"])
        column[0].set_title(f"$k$ = {k} tangents")
        column[-1].set_xlabel("dimension $n$")
    for row in axes:
        style.log_values(row[0].yaxis)
    for axis, name in zip(axes[:, 0], METRICS.values(), strict=True):
        axis.set_ylabel(name)
    handles = [Line2D([], [], **appearance(*pair), label=title(*pair)) for pair in pairs]
    also = intervals.explained(frame)
    style.legend(figure, [], [*handles, *also], columns=max(1, int(figure.get_figwidth() // 1.75)))
    return figure


def panel(axis: Axes, frame: pd.DataFrame, metric: str, pairs: list[Pair]) -> None:
    """A metric over n; those that lie upon each other are named in the panel."""
    axis.set_yscale("log")
    drawn: dict[Pair, intervals.Values] = {}
    for pair in pairs:
        aggregation, normalized = pair
        chosen = (frame["aggregation"] == aggregation) & (frame["normalized"] == normalized)
        part = frame[chosen].sort_values("n")
        scale = part["true_norm_mean"].to_numpy(dtype=float) if metric == "difference_norm" else 1.0

        def shown(values: pd.Series, scale: float | intervals.Values = scale) -> intervals.Values:
            relative = values.to_numpy(dtype=float) / scale
            # exact estimates, up to rounding, are below the axis
            return np.where(relative > FLOOR, relative, np.nan)

        seen = intervals.arithmetic(part, metric, shown)
        top = 3 if aggregation == "projection" else 2
        seen.curve(axis, part["n"].to_numpy(dtype=float), appearance(*pair) | {"zorder": top})
        drawn[pair] = seen.mean
    together = coinciding(drawn)
    if together:
        groups = (" ≈ ".join(short(*pair) for pair in group) for group in together)
        said = "\n".join(
            fill(group, 48, subsequent_indent="  ", break_on_hyphens=False) for group in groups
        )
        style.note(axis, said, "lower left" if metric == "cosine" else "upper left")


def coinciding(lines: dict[Pair, intervals.Values]) -> list[list[Pair]]:
    """Groups of lines that lie upon each other."""
    groups: list[list[Pair]] = []
    for pair, line in lines.items():
        for group in groups:
            if _same(lines[group[0]], line):
                group.append(pair)
                break
        else:
            groups.append([pair])
    return [group for group in groups if len(group) > 1]


def _same(a: intervals.Values, b: intervals.Values) -> bool:
    if len(a) != len(b):
        return False
    return bool(2 * (np.abs(a - b) <= SAME * np.abs(a)).sum() >= len(a) > 0)


def appearance(aggregation: str, normalized: bool) -> dict[str, Any]:
    """Colour by method, line and marker by normalisation; the sum is broad, to be seen below."""
    colour = look.colour(aggregation)
    return {
        "color": colour,
        "ls": "--" if normalized else "-",
        "lw": 2.2 if aggregation == "sum" else 1.1,
        "marker": "s" if normalized else "o",
        "mfc": "white" if normalized else colour,
        "ms": (4 if normalized else 2.6) + 1.5 * (aggregation == "sum"),
    }


def title(aggregation: str, normalized: bool) -> str:
    """Name in the legend."""
    return style.label(f"{aggregation}, normalized" if normalized else aggregation)


def short(aggregation: str, normalized: bool) -> str:
    """Name in a panel."""
    return f"{aggregation} (unit)" if normalized else aggregation
