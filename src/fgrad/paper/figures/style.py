"""One look for all figures: sizes of a two-column paper, one colour for each method everywhere."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fgrad.paper import names
from fgrad.store.files import atomic

mpl.use("agg")
mpl.rcdefaults()  # what the user has set for other figures is not for these

COLUMN, PAGE = 3.5, 7.16
"""Widths of one column and of the page, in inches (IEEE two-column)."""

BLACK, BLUE, VERMILLION, GREEN, PURPLE, AMBER = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
)
"""Colours of Okabe and Ito, distinct for the colour-blind."""

FAMILIES = {
    "bp": BLACK,
    "fg-mean": VERMILLION,
    "mean": VERMILLION,
    "frog": BLUE,
    "projection": BLUE,
    "sum": GREEN,
}
LABELS = {
    "bp": r"$\nabla f$ (bp)",
    "fg-mean": "fg-mean",
    "frog": "frog",
    "projection": r"projection $P_U$ (frog)",
    "mean": "mean (fg-mean)",
    "mean, normalized": "mean, unit tangents",
    "sum, normalized": "sum, unit tangents",
}
NETWORK = ["model", "width", "dataset"]
"""What a panel is of, in summaries of networks."""

FLOOR = 1e-12
"""Values below are drawn at it on log scales."""

FUNCTION_LABELS, NETWORK_LABELS = names.FUNCTION_LABELS, names.NETWORK_LABELS
MARKERS = {1: "o", 2: "s", 4: "^", 16: "D", 64: "v"}
sns.set_theme(
    style="ticks",
    font="DejaVu Sans",  # comes with matplotlib, and so is the same everywhere
    rc={
        "font.size": 8,
        "axes.labelsize": 8,
        "axes.titlesize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.2,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "axes.grid": True,
        "grid.linewidth": 0.3,
        "grid.color": "#DDDDDD",
        "figure.constrained_layout.use": True,
        "pdf.fonttype": 42,
        "svg.hashsalt": "fgrad",
        "mathtext.fontset": "dejavusans",
        "axes.spines.top": False,
        "axes.spines.right": False,
    },
)


def colour(method: str, k: int | None = None) -> tuple[float, float, float]:
    """Colour of a method: the family's hue, the darker the more tangents.

    Args:
        method: gradient approach or aggregation.
        k: number of tangents; ``None`` for the family's own colour.
    """
    spare = (PURPLE, AMBER, GREEN)
    base = np.array(to_rgb(FAMILIES.get(method) or spare[sum(map(ord, method)) % len(spare)]))
    if k is None or pd.isna(k):
        return tuple(base)
    depth = min(1.0, np.log2(k) / 10)  # 0 at k = 1, 1 at k = 1024
    light = 0.55 * (1 - depth) ** 1.6
    mixed = base * (1 - light) + light
    return tuple(mixed * (1 - 0.45 * depth))


def label(method: str, k: int | None = None) -> str:
    """Name of a method in a legend."""
    name = LABELS.get(method, method)
    return name if k is None or pd.isna(k) else f"{name}, $k$ = {k}"


def marker(k: int | None) -> str:
    """Marker of a number of tangents."""
    return "*" if k is None or pd.isna(k) else MARKERS.get(int(k), ".")


def methods(frame: pd.DataFrame) -> list[tuple[str, int | None]]:
    """The (gradient, k) pairs of a summary, in order of appearance, k ascending."""
    pairs = frame[["gradient", "k"]].drop_duplicates()
    order = {name: i for i, name in enumerate(pairs["gradient"].drop_duplicates())}
    found = [(str(g), None if pd.isna(k) else int(k)) for g, k in pairs.itertuples(index=False)]
    return sorted(found, key=lambda pair: (order[pair[0]], pair[1] or 0))


def of(frame: pd.DataFrame, gradient: str, k: int | None) -> pd.DataFrame:
    """Rows of one method."""
    same = frame["k"].isna() if k is None else (frame["k"] == k).fillna(False)
    return frame[(frame["gradient"] == gradient) & same]


def networks(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each model, width and data set below the title of their panel."""
    found = []
    for _, part in frame.groupby(NETWORK, dropna=False, sort=False):
        first = part.iloc[0]
        model, dataset = (NETWORK_LABELS.get(name, name) for name in first[["model", "dataset"]])
        width = "" if pd.isna(first["width"]) else f", width {first['width']}"
        found.append((f"{model}{width}\n{dataset}", part))
    return found


def stacks(
    frames: list[tuple[str, pd.DataFrame]], height: float, *labels: str
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of stacks of panels, four beside each other at most, and the panels of each stack.

    Args:
        frames: `networks`, one for each stack.
        height: of a panel, in inches.
        labels: y label of each panel of a stack.
    """
    count, rows = len(frames), len(labels)
    columns = min(4, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(COLUMN if count == 1 else PAGE, lines * rows * height + 0.7))
    grid = figure.subplots(lines * rows, columns, squeeze=False)
    grid = grid.reshape(lines, rows, columns).swapaxes(1, 2).reshape(-1, rows)
    for axis in grid[count:].flat:
        axis.remove()
    for stack in grid[:count:columns]:
        for axis, name in zip(stack, labels, strict=True):
            axis.set_ylabel(name)
    for index, ((title, _), stack) in enumerate(zip(frames, grid, strict=False)):
        stack[0].set_title(title)
        for axis in stack:
            axis.tick_params(labelleft=index % columns == 0)
            axis.tick_params(labelbottom=axis is stack[-1])
    return figure, grid[:count].tolist()


def nothing() -> Figure:
    """What is drawn where a run has nothing to show."""
    figure = Figure(figsize=(COLUMN, 1))
    figure.text(0.5, 0.5, "nothing to show at this scale", ha="center", va="center")
    return figure


def logarithmic(minimum: float) -> bool:
    """Whether values of a function are shown on a log scale: where its minimum is zero."""
    return minimum == 0


def shown(
    value: pd.Series, minimum: float, start: float, floor: float = FLOOR
) -> npt.NDArray[np.float64]:
    """What is plotted of values of a function.

    Values themselves where the minimum is zero, at least ``floor``; else the gap to the minimum as
    a part of the starting gap, (f(x) − f*)/(f(x₀) − f*), or the values again where there is no
    minimum. Infinite and missing values become NaN.
    """
    y = value.to_numpy(dtype=float)
    if logarithmic(minimum):
        y = np.maximum(y, floor)
    elif np.isfinite(minimum):
        y = (y - minimum) / (start - minimum)
    return np.where(np.isfinite(y), y, np.nan)


def value_axis(axis: Axes, minimum: float) -> None:
    """Scale and label that go with `shown`."""
    if logarithmic(minimum):
        axis.set_yscale("log")
    if logarithmic(minimum) or not np.isfinite(minimum):
        axis.set_ylabel(r"$f(x)$")
    else:
        axis.set_ylabel(r"$(f(x) - f^*) \, / \, (f(x_0) - f^*)$")


def legend(figure: Figure, pairs: Iterable[tuple[str, int | None]], columns: int) -> None:
    """One legend for all panels, below them."""
    handles = [
        Line2D([], [], color=colour(g, k), marker=marker(k), label=label(g, k)) for g, k in pairs
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def legend_columns(figure: Figure) -> int:
    """Entries beside each other: 1.7 inches hold a gradient with its k."""
    return int(figure.get_figwidth() // 1.7)


def log2_ticks(axis: Axes, largest: float) -> None:
    """A logarithmic axis of dimensions, labelled with powers of two or, for long ones, of ten."""
    if largest > 2**20:
        axis.set_xscale("log")
        axis.set_xticks([10.0**i for i in range(0, 11, 3) if 10**i <= largest])
    else:
        axis.set_xscale("log", base=2)
        highest = int(np.log2(largest))
        every = 1 if highest < 7 else 2 if highest < 11 else 4
        axis.set_xticks([2**i for i in range(0, highest + 1, every)])
    axis.minorticks_off()


def save(figure: Figure, pdf: str, png: str, note: str = "") -> None:
    """Write both formats, whole or not at all; without dates, so equal figures are equal files.

    Args:
        figure: what is drawn.
        pdf: path.
        png: path.
        note: said above the figure.
    """
    if note:
        figure.suptitle(note, fontsize=6, color=VERMILLION)
    for path, options in ((pdf, {"metadata": {"CreationDate": None}}), (png, {"dpi": 200})):
        drawn = BytesIO()  # matplotlib hides what a full file system says
        figure.savefig(drawn, format=Path(path).suffix[1:], **options)
        with atomic(Path(path)) as temporary:
            temporary.write_bytes(drawn.getbuffer())
