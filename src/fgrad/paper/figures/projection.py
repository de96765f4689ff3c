"""Concept: the orthogonal projection of ∇f onto the span of two tangents (section 3)."""

import numpy as np
from matplotlib.figure import Figure

from fgrad.paper.figures import look, style
from fgrad.paper.figures.forward_gradient import arrow, frame

GRADIENT = np.array([1.0, 1.15, 1.5])
UP = np.array([0.0, 0.0, 1.0])
TANGENTS = np.array([[1.35, 0.1, 0.0], [1.0, 0.7, 0.0]])
VIEW = np.array([[0.98, 0.32, 0.0], [-0.2, 0.42, 0.95]])
"""Maps space to the page; U is the horizontal plane."""


def draw() -> Figure:
    """∇f, its projection P_U, and the mean of the two forward gradients, which lies in U too."""
    figure = style.sheet(False, 2.2)
    axis = figure.subplots()
    derivatives = TANGENTS @ GRADIENT
    projected = TANGENTS.T @ np.linalg.solve(TANGENTS @ TANGENTS.T, derivatives)
    mean = TANGENTS.T @ derivatives / len(TANGENTS)
    plane = np.array([[-0.4, -0.75, 0], [3.6, -0.75, 0], [3.6, 1.6, 0], [-0.4, 1.6, 0]])
    axis.fill(*(VIEW @ plane.T), color="#EAF2F8", ec="#B5CFE2", lw=0.6, zorder=0)
    name = r"$U = \mathrm{span}(v_1, v_2)$"
    corner_x, corner_y = VIEW @ [3.2, 0.1, 0]
    axis.annotate(name, (corner_x, corner_y), ha="right", va="bottom", color="#4A7899")
    axis.plot(*(VIEW @ np.array([GRADIENT, projected]).T), color=look.colour("bp"), lw=0.8, ls=":")
    inward = -projected / np.linalg.norm(projected)
    corner = projected + 0.14 * np.array([inward, inward + UP, UP])
    axis.plot(*(VIEW @ corner.T), color=look.colour("bp"), lw=0.6)
    grey = look.GREY
    arrow(axis, VIEW @ mean, look.colour("fg-mean"), r"mean $(d_1 v_1 + d_2 v_2) / 2$", (3, 0))
    arrow(axis, VIEW @ TANGENTS[0], grey, "$v_1$", (2, -8))
    arrow(axis, VIEW @ TANGENTS[1], grey, "$v_2$", (3, -3))
    arrow(axis, VIEW @ projected, look.colour("frog"), r"$P_U(\nabla f)$", (4, 2))
    arrow(axis, VIEW @ GRADIENT, look.colour("bp"), r"$\nabla f$", (4, 0))
    frame(axis, (-0.75, 4.15), (-1.1, 1.95))
    return figure
