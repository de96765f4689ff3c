"""All aggregations side by side, with and without normalised tangents (section 4.1)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.figures import style

FLOOR = 1e-4
"""Smaller means are not drawn on the log scales."""

METRICS = {
    "cosine": r"cosine similarity",
    "norm_ratio": r"norm ratio $\|g\| / \|\nabla f\|$",
    "difference_norm": r"relative error $\|g - \nabla f\| / \|\nabla f\|$",
}


def draw(frame: pd.DataFrame) -> Figure:
    """Rows: metrics over n; columns: two numbers of tangents."""
    sizes = sorted(int(k) for k in frame["k"].unique())
    shown = [k for k in (4, 64) if k in sizes] or sizes[-1:]
    figure = Figure(figsize=(style.PAGE, 5.2))
    axes = figure.subplots(len(METRICS), len(shown), sharex=True, sharey="row", squeeze=False)
    pairs = [
        (str(a), bool(b))
        for a, b in frame[["aggregation", "normalized"]].drop_duplicates().to_numpy()
    ]
    for column, k in zip(axes.T, shown, strict=True):
        for axis, metric in zip(column, METRICS, strict=True):
            for aggregation, normalized in pairs:
                chosen = (frame["aggregation"] == aggregation) & (frame["normalized"] == normalized)
                part = frame[chosen & (frame["k"] == k)].sort_values("n")
                scale = part["true_norm_mean"] if metric == "difference_norm" else 1.0
                look = appearance(aggregation, normalized)
                mean, low, high = (part[f"{metric}_{s}"] / scale for s in ("mean", "low", "high"))
                seen = mean > FLOOR  # exact estimates, up to rounding, are below the axis
                top = 3 if aggregation == "projection" else 2
                axis.plot(part["n"][seen], mean[seen], **look, zorder=top)
                band = {"color": look["color"], "alpha": 0.2, "lw": 0}
                axis.fill_between(part["n"][seen], low[seen].clip(FLOOR), high[seen], **band)
            axis.set_yscale("log")
            style.log2_ticks(axis, float(frame["n"].max()))
        column[0].set_title(f"$k$ = {k} tangents")
        column[-1].set_xlabel("dimension $n$")
    for axis, name in zip(axes[:, 0], METRICS.values(), strict=True):
        axis.set_ylabel(name)
    handles = [Line2D([], [], **appearance(*pair), label=title(*pair)) for pair in pairs]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def appearance(aggregation: str, normalized: bool) -> dict[str, Any]:
    """Colour by method, line and marker by normalisation."""
    return {
        "color": style.colour(aggregation),
        "ls": "--" if normalized else "-",
        "marker": "s" if normalized else "o",
        "mfc": "white" if normalized else style.colour(aggregation),
        "ms": 4 if normalized else 2.6,
    }


def title(aggregation: str, normalized: bool) -> str:
    """Name in the legend."""
    return style.label(f"{aggregation}, normalized" if normalized else aggregation)
