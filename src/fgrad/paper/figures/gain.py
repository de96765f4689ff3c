"""What the projection gains over the mean, over k/n (section 4.1)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper.evidence.stats import half_width
from fgrad.paper.figures import intervals, look, style

LAW: dict[str, Any] = {"color": look.GREY, "lw": 0.9}
NONE: dict[str, Any] = {"color": look.GREY, "lw": 0.9, "ls": ":"}


def draw(frame: pd.DataFrame) -> Figure:
    """A point for each n and k, with its 95 % interval, on the line √(1 + k/n) of the law."""
    frame = ratios(frame)
    if frame.empty:
        return style.nothing()
    figure = style.sheet(False, 2.9)
    axis = figure.subplots()
    sizes = sorted(int(k) for k in frame["k"].unique())
    axis.set_xscale("log")
    axis.set_yscale("log")
    for k in sizes:
        one = frame[frame["k"] == k].sort_values("x")
        how = {"color": look.colour("frog", k), "marker": style.marker(k), "ls": "", "mew": 0}
        seen = intervals.arithmetic(one, "gain")
        seen.points(axis, one["x"].to_numpy(dtype=float), how)
    x = np.geomspace(frame["x"].min(), frame["x"].max(), 200)
    axis.plot(x, np.sqrt(1 + np.minimum(x, 1)), **LAW, zorder=1)
    axis.axhline(1, **NONE)
    axis.set_yticks([1, 1.1, 1.2, 1.3, 1.4, 1.5], labels=["1", "1.1", "1.2", "1.3", "1.4", "1.5"])
    axis.minorticks_off()
    axis.set_xlabel("tangents for each dimension $k/n$")
    axis.set_ylabel("cosine, projection / mean")
    handles = [
        Line2D(
            [],
            [],
            color=look.colour("frog", k),
            marker=style.marker(k),
            ls="",
            label=f"$k$ = {k:,}",
        )
        for k in sizes
    ]
    handles.append(Line2D([], [], **LAW, label=r"$\sqrt{1 + k/n}$"))
    handles.append(Line2D([], [], **NONE, label="no gain"))
    also = intervals.explained(frame, points=True)
    style.legend(figure, [], [*handles, *also], columns=3)
    return figure


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean cosine of the projection over that of the mean, for each n and k ≤ n.

    With means p, m and deviations s, t of cosines that vary together, as they are of the same
    tangents, the ratio p/m has to first order the deviation p/m √(s²/p² + t²/m² − 2c/(pm)); the
    covariance c is (s² + t² − d²)/2 of the deviation d of their difference.

    Returns:
        ``n, k, count, x`` (k/n) and ``gain_mean, gain_std, gain_low, gain_high``.
    """
    frame = frame[~frame["normalized"] & (frame["k"] <= frame["n"])]
    columns = ["n", "k", "count", "cosine_mean", "cosine_std", "margin_std"]
    projection, mean = (
        frame.loc[frame["aggregation"] == name, columns] for name in ("projection", "mean")
    )
    projection = projection.drop(columns=["count", "margin_std"])
    found = mean.merge(projection, on=["n", "k"], suffixes=("", "_p"))
    p, s = found["cosine_mean_p"], found["cosine_std_p"]
    m, t = found["cosine_mean"], found["cosine_std"]
    c = (s**2 + t**2 - found["margin_std"] ** 2) / 2
    variance = (s / p) ** 2 + (t / m) ** 2 - 2 * c / (p * m)
    std: pd.Series = p / m * variance.clip(lower=0) ** 0.5
    half = half_width(std, found["count"])
    ends = {
        "gain_mean": p / m,
        "gain_std": std,
        "gain_low": p / m - half,
        "gain_high": p / m + half,
    }
    return found[["n", "k", "count"]].assign(x=found["k"] / found["n"], **ends)
