"""Quality of the estimates when all tangents lie at an angle to the first (section 4.3)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.gradients import laws
from fgrad.paper.figures import intervals, look, style

THEORY: dict[str, Any] = {"ls": ":", "lw": 0.9}


def draw(frame: pd.DataFrame) -> Figure:
    """Cosine similarity and norm ratio over the angle, projection and mean, for each k."""
    frame = frame[~frame["normalized"] & frame["aggregation"].isin(["projection", "mean"])]
    if frame.empty:
        return style.nothing()
    sizes = sorted(int(k) for k in frame["k"].unique())
    angles = sorted(frame["angle_deg"].unique())
    pairs = [(a, k) for a in ("projection", "mean") for k in sizes]
    figure = style.sheet(True, 2.6)
    axes = figure.subplots(1, 2)
    for axis, metric in zip(axes, ("cosine", "norm_ratio"), strict=True):
        for k in sizes:
            expected = laws.projection_ratio(int(frame["n"].iloc[0]), k)
            axis.axhline(float(expected), color=look.colour("projection", k), **THEORY)
        for aggregation, k in pairs:
            one = frame[(frame["k"] == k) & (frame["aggregation"] == aggregation)]
            if len(one):
                one = one.sort_values("angle_deg")
                seen = intervals.arithmetic(one, metric)
                seen.points(axis, one["angle_deg"].to_numpy(dtype=float), how(aggregation, k))
        axis.set_xlabel("angle to the first tangent (degrees)")
        axis.set_xticks(angles)
        axis.set_xlim(min(angles) - 4, max(angles) + 4)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel(r"cosine similarity to $\nabla f$")
    axes[1].set_ylabel(r"norm ratio $\|g\| / \|\nabla f\|$")
    handles = [Line2D([], [], **how(*pair), label=style.label(*pair)) for pair in pairs]
    handles.append(Line2D([], [], color=look.GREY, **THEORY, label="expectation of the projection"))
    also = intervals.explained(frame, points=True)
    style.legend(figure, [], [*handles, *also], columns=min(len(sizes) + 1, look.fits(1.9)))
    return figure


def how(aggregation: str, k: int) -> dict[str, Any]:
    """As gradients made of the aggregation are drawn elsewhere."""
    gradient = "fg-mean" if aggregation == "mean" else "frog"
    return style.drawn(gradient, k)
