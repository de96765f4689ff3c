"""How figures look: widths, fonts and colours, as ``figures`` in the configuration asks for them.

Matplotlib's own defaults are restored first, so that what the user has set for other figures does
not count, and fonts come with matplotlib, so that they are the same everywhere.
"""

from dataclasses import dataclass
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

Colour = tuple[float, float, float]

BLACK, BLUE, VERMILLION, GREEN, PURPLE, AMBER = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
)
"""Colours of Okabe and Ito, distinct for the colour-blind."""

MORE = ("#56B4E9", "#882255", "#999933", "#117733")
"""Of Okabe and Ito, and of Paul Tol's muted scheme."""

PALETTES = {
    "okabe-ito": (BLACK, VERMILLION, BLUE, GREEN, (PURPLE, AMBER, *MORE)),
    "tol": ("#000000", "#CC3311", "#0077BB", "#009988", ("#EE3377", "#EE7733", *MORE)),
    "grey": ("#000000", "#6E6E6E", "#1A1A1A", "#9A9A9A", ("#4D4D4D", "#808080", "#B0B0B0")),
}
"""Colours of ∇f, the mean, the projection, the sum, and of what users add.

*okabe-ito* and *tol* (Paul Tol's vibrant scheme) are distinct for the colour-blind; *grey* leaves
it to lines and markers to tell methods apart, which they do in the others too.
"""

ROLES = {"bp": 0, "fg-mean": 1, "mean": 1, "frog": 2, "projection": 2, "sum": 3}
"""Methods with a colour of their own; an aggregation has that of the gradient made of it."""

FONTS = {"sans": ("DejaVu Sans", "dejavusans"), "serif": ("STIXGeneral", "stix")}
"""Families for text and for mathematics; STIX has the shapes of Times."""

BASE = 8.0
"""Font size in points that sizes in the modules of figures are meant for."""


@dataclass(frozen=True)
class Look:
    """What can be chosen.

    Args:
        column_width: inches of one column.
        page_width: inches of both columns.
        font_size: of labels, in points; ticks and legends are an eighth smaller.
        font: one of `FONTS`.
        palette: one of `PALETTES`.
    """

    column_width: float = 3.5
    page_width: float = 7.16
    font_size: float = BASE
    font: str = "sans"
    palette: str = "okabe-ito"


class _Current:
    look = Look()
    own: ClassVar[dict[str, int]] = {}
    """Place of each method without a role among the spare colours and lines."""


def use(look: Look) -> None:
    """Draw like this from now on."""
    family, mathematics = FONTS[look.font]
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "font.family": family,
            "mathtext.fontset": mathematics,
            "font.size": look.font_size,
            "axes.labelsize": look.font_size,
            "axes.titlesize": look.font_size,
            "xtick.labelsize": look.font_size * 7 / 8,
            "ytick.labelsize": look.font_size * 7 / 8,
            "legend.fontsize": look.font_size * 7 / 8,
            "legend.frameon": False,
            "legend.handlelength": 2.4,
            "lines.linewidth": 1.1,
            "lines.markersize": 3.2,
            "lines.solid_capstyle": "round",
            "axes.linewidth": 0.6,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "xtick.minor.width": 0.4,
            "ytick.minor.width": 0.4,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "grid.linewidth": 0.3,
            "grid.color": "#DDDDDD",
            "figure.constrained_layout.use": True,
            "pdf.fonttype": 42,
            "svg.hashsalt": "fgrad",
        }
    )
    _Current.look = look
    _Current.own = {}


INK, GREY = "#262626", "#666666"
"""Of text and axes; of what belongs to no method."""


def column() -> float:
    """Inches of one column."""
    return _Current.look.column_width


def page() -> float:
    """Inches of the page."""
    return _Current.look.page_width


def points(size: float) -> float:
    """A font size that is meant for labels of `BASE` points."""
    return size * _Current.look.font_size / BASE


def fits(inches: float) -> int:
    """How often something as wide, at labels of `BASE` points, fits beside itself on a page."""
    return max(1, int(page() // points(inches)))


def colour(method: str, k: int | None = None) -> Colour:
    """Colour of a method: the family's hue, the darker the more tangents.

    Args:
        method: gradient approach or aggregation.
        k: number of tangents; ``None`` for the family's own colour.
    """
    *own, spare = PALETTES[_Current.look.palette]
    role = ROLES.get(method)
    name = own[role] if role is not None else spare[place(method) % len(spare)]
    base = np.array(to_rgb(str(name)))
    if k is None or pd.isna(k):
        return _rgb(base)
    depth = min(1.0, np.log2(k) / 10)  # 0 at k = 1, 1 at k = 1024
    light = 0.55 * (1 - depth) ** 1.6
    mixed = base * (1 - light) + light
    return _rgb(mixed * (1 - 0.45 * depth))


def place(method: str) -> int:
    """Number of a method that has no colour of its own, another for each method of a figure.

    The same in all figures, but for those whose methods would have one number.
    """
    count = len(PALETTES[_Current.look.palette][-1])
    if method not in _Current.own:
        free = sum(map(ord, method)) % count
        while free in _Current.own.values():
            ring = len(_Current.own) // count * count
            free = ring + (free + 1) % count
        _Current.own[method] = free
    return _Current.own[method]


def _rgb(values: np.ndarray) -> Colour:
    red, green, blue = map(float, values)
    return red, green, blue


use(Look())
