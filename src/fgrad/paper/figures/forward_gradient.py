"""Concept: the forward gradient g_v = (∇f·v) v of a single tangent (section 3)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc

from fgrad.paper.figures import look, style

GRADIENT = np.array([1.6, 0.75])
TANGENTS = (np.array([0.75, 0.95]), np.array([-0.85, -0.1]))


def draw() -> Figure:
    """Two tangents and their forward gradients: always in the half plane of ∇f."""
    figure = style.sheet(False, 1.75)
    axes = figure.subplots(1, 2)
    for axis, tangent in zip(axes, TANGENTS, strict=True):
        _panel(axis, tangent)
    axes[0].set_title(r"$\nabla f \cdot v > 0$: along $v$")
    axes[1].set_title(r"$\nabla f \cdot v < 0$: against $v$")
    return figure


def _panel(axis: Axes, tangent: np.ndarray) -> None:
    estimate = (GRADIENT @ tangent) * tangent
    normal = np.array([-GRADIENT[1], GRADIENT[0]]) / np.linalg.norm(GRADIENT)
    half = np.array(
        [normal * 3, -normal * 3, -normal * 3 + GRADIENT * 3, normal * 3 + GRADIENT * 3]
    )
    axis.fill(*half.T, color="#F1F1F1", zorder=0)
    axis.plot(*np.array([normal * 3, -normal * 3]).T, color="#BBBBBB", lw=0.6, ls="--", zorder=1)
    arrow(axis, GRADIENT, look.colour("bp"), r"$\nabla f$", (4, -6))
    arrow(axis, estimate, look.colour("fg-mean"), r"$g_v$", (4, 1))
    arrow(axis, tangent, look.GREY, r"$v$", (-7, 2) if tangent[0] > 0 else (-2, 4))
    angles = np.degrees([np.arctan2(*GRADIENT[::-1]), np.arctan2(*estimate[::-1])])
    axis.add_patch(
        Arc(
            (0, 0),
            0.7,
            0.7,
            theta1=min(angles),
            theta2=max(angles),
            lw=0.8,
            color="#444444",
            zorder=2,
        )
    )
    frame(axis, (-1.15, 2.2), (-0.75, 2.2))


def arrow(
    axis: Axes,
    to: np.ndarray,
    colour: str | tuple[float, float, float],
    text: str,
    shift: tuple[float, float],
) -> None:
    """An arrow from the origin with its name at the tip; shift in points."""
    arrowprops = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    tip = (float(to[0]), float(to[1]))
    axis.annotate("", tip, (0, 0), arrowprops=arrowprops, zorder=3)
    axis.annotate(
        text, tip, shift, textcoords="offset points", color=colour, fontsize=look.points(8)
    )


def frame(axis: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Equal scales, no axes."""
    axis.set(xlim=x, ylim=y, aspect="equal")
    axis.set_axis_off()
