"""The figure of a report: the difference of each row, in standard errors, with its interval."""

from collections.abc import Sequence
from io import StringIO
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.comparing.pairs import EQUAL, IDENTICAL
from fgrad.comparing.verdict import DIFFERENT, SAME, UNDECIDED, Effect, Judged
from fgrad.paper.figures import look, style

MARKS: dict[str, dict[str, Any]] = {
    IDENTICAL: {"color": look.GREY, "marker": "|", "ms": 5, "mew": 0.8},
    EQUAL: {"color": look.BLACK, "marker": "_", "ms": 5, "mew": 1.2},
    SAME: {"color": look.BLUE, "marker": "o", "ms": 2.6, "mew": 0},
    UNDECIDED: {"color": look.AMBER, "marker": "D", "ms": 3.2, "mew": 0},
    DIFFERENT: {"color": look.VERMILLION, "marker": "X", "ms": 4.2, "mew": 0},
}
"""How verdicts are drawn; told apart without colour too."""

EDGE = 300.0
"""Standard errors at which what is further is drawn."""

LINEAR = 10.0
"""Standard errors up to which the axis is linear."""


def draw(rows: Sequence[Judged]) -> Figure:
    """A point for each row that both sides have, section by section."""
    shown = [row for row in rows if row.verdict in MARKS]
    figure = style.sheet(True, 2.6)
    axis = figure.subplots()
    for x, row in enumerate(shown):
        y, half = _place(row)
        how = MARKS[row.verdict]
        if np.isfinite(half):
            ends = np.clip([y - half, y + half], -EDGE, EDGE)
            axis.vlines(x, *ends, color=how["color"], lw=0.6, alpha=0.6)
        axis.plot(x, np.clip(y, -EDGE, EDGE), ls="", **how)
    axis.set_yscale("symlog", linthresh=LINEAR, linscale=1.5)
    axis.set_ylim(-1.3 * EDGE, 1.3 * EDGE)
    ticks = [-100, -10, -5, 0, 5, 10, 100]
    axis.set_yticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    axis.minorticks_off()
    axis.set_ylabel("B − A in standard errors")
    axis.set_xlim(-1, len(shown))
    _sections(axis, shown)
    axis.grid(visible=False, axis="x")
    present = {row.verdict for row in shown}
    handles = [
        Line2D([], [], ls="", label=name, **how) for name, how in MARKS.items() if name in present
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def svg(rows: Sequence[Judged]) -> str:
    """The figure as an element of a page."""
    drawn = StringIO()
    draw(rows).savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def _sections(axis: Any, shown: Sequence[Judged]) -> None:
    """Name the sections below the axis, with lines between them."""
    middles, names, start = [], [], 0
    for section, group in groupby(shown, key=lambda row: row.section):
        end = start + len(list(group))
        middles.append((start + end - 1) / 2)
        names.append(section)
        if start:
            axis.axvline(start - 0.5, color=look.GREY, lw=0.4)
        start = end
    narrow = any(b - a < len(shown) / 10 for a, b in pairwise(middles))
    turned = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if narrow else {}
    axis.set_xticks(middles, names, **turned)
    axis.tick_params(axis="x", length=0)


def _place(row: Judged) -> tuple[float, float]:
    """The largest difference among a row's metrics in standard errors, and its interval's half."""
    found = [_scaled(effect) for effect in row.effects]
    return max(found, key=lambda one: abs(one[0]), default=(0.0, np.nan))


def _scaled(effect: Effect) -> tuple[float, float]:
    difference, error = effect.test.difference, effect.test.error
    if error > 0 and np.isfinite(difference):
        return difference / error, effect.half / error
    if np.isnan(difference) or difference == 0:
        return 0.0, np.nan
    return float(np.copysign(np.inf, difference)), np.nan
