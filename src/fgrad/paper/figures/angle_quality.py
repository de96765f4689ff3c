"""Quality of the estimates when all tangents lie at an angle to the first (section 4.3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.gradients import laws
from fgrad.paper.figures import style


def draw(frame: pd.DataFrame) -> Figure:
    """Cosine similarity and norm ratio over the angle, projection and mean, for each k."""
    frame = frame[~frame["normalized"] & frame["aggregation"].isin(["projection", "mean"])]
    sizes = sorted(int(k) for k in frame["k"].unique())
    angles = sorted(frame["angle_deg"].unique())
    figure = Figure(figsize=(style.PAGE, 2.5))
    axes = figure.subplots(1, 2)
    for axis, metric in zip(axes, ("cosine", "norm_ratio"), strict=True):
        for k in sizes:
            expected = laws.projection_ratio(int(frame["n"].iloc[0]), k)
            axis.axhline(float(expected), color=style.colour("projection", k), lw=0.7, ls=":")
            for aggregation in ("projection", "mean"):
                one = frame[(frame["k"] == k) & (frame["aggregation"] == aggregation)]
                if one.empty:
                    continue
                one = one.sort_values("angle_deg")
                mean = one[f"{metric}_mean"]
                half = one[f"{metric}_high"] - mean
                axis.errorbar(
                    one["angle_deg"],
                    mean,
                    half,
                    color=style.colour(aggregation, k),
                    marker=style.marker(k),
                    capsize=1.5,
                )
        axis.set_xlabel("angle to the first tangent (degrees)")
        axis.set_xticks(angles)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel(r"cosine similarity to $\nabla f$")
    axes[1].set_ylabel(r"norm ratio $\|g\| / \|\nabla f\|$")
    pairs = [(aggregation, k) for aggregation in ("projection", "mean") for k in sizes]
    handles = [
        Line2D([], [], color=style.colour(a, k), marker=style.marker(k), label=style.label(a, k))
        for a, k in pairs
    ]
    handles.append(Line2D([], [], color="#555555", ls=":", lw=0.9, label="theory, projection"))
    figure.legend(handles=handles, loc="outside lower center", ncols=int(np.ceil(len(handles) / 2)))
    return figure
