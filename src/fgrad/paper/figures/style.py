"""One way to draw in all figures: names, lines and markers of methods, axes, intervals, legends."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredText
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from fgrad.paper import names
from fgrad.paper.figures import look
from fgrad.paper.figures.look import GREY, colour
from fgrad.paper.seeds import LOWEST

LABELS = {
    "bp": r"$\nabla f$ (bp)",
    "fg-mean": "fg-mean",
    "frog": "frog",
    "projection": r"projection $P_U$ (frog)",
    "mean": "mean (fg-mean)",
    "mean, normalized": "mean, unit tangents",
    "sum, normalized": "sum, unit tangents",
}
FEW = 6
"""Ticks of an axis at most."""

NETWORK = ["model", "width", "dataset"]
"""What a panel is of, in summaries of networks."""

MARKERS = {1: "o", 2: "s", 4: "^", 8: "p", 16: "D", 32: "h", 64: "v", 128: "P", 256: "X"}
MARKERS |= {512: "<", 1024: ">"}
OTHERS = "d8H"
"""Of numbers of tangents that have none of their own."""

LINES = {"fg-mean": (0, (4, 1.2)), "bp": "-", "frog": "-"}
MINE = ((0, (4, 1.2, 1, 1.2)), (0, (1, 1.2)), (0, (6, 1.2, 1, 1.2, 1, 1.2)), (0, (2, 1.2)))
"""Of gradients that users add."""

FUNCTION_LABELS, NETWORK_LABELS = names.FUNCTION_LABELS, names.NETWORK_LABELS


def label(method: str, k: int | None = None) -> str:
    """Name of a method in a legend."""
    name = LABELS.get(method, method)
    return name if k is None or pd.isna(k) else f"{name}, $k$ = {k}"


def marker(k: int | None) -> str:
    """Marker of a number of tangents."""
    if k is None or pd.isna(k):
        return "*"
    return MARKERS.get(int(k), OTHERS[int(k) % len(OTHERS)])


def line_of(gradient: str) -> Any:
    """Line style of a gradient, so that it is told apart without colour too."""
    return LINES[gradient] if gradient in LINES else MINE[look.place(gradient) % len(MINE)]


def drawn(gradient: str, k: int | None) -> dict[str, Any]:
    """Colour, line and marker of a method, the same in all figures."""
    return {
        "color": colour(gradient, k),
        "ls": line_of(gradient),
        "marker": marker(k),
        "mew": 0,
        "ms": 4.5 if k is None else 3.2,
    }


def methods(frame: pd.DataFrame) -> list[tuple[str, int | None]]:
    """The (gradient, k) pairs of a summary, in order of appearance, k ascending."""
    pairs = frame[["gradient", "k"]].drop_duplicates()
    order = {name: i for i, name in enumerate(pairs["gradient"].drop_duplicates())}
    found = [(str(g), None if pd.isna(k) else int(k)) for g, k in pairs.itertuples(index=False)]
    return sorted(found, key=lambda pair: (order[pair[0]], pair[1] or 0))


def three(values: pd.Series) -> list[int]:
    """Three of some whole numbers, the largest among them; all, if they are no more."""
    known = sorted(int(value) for value in values.unique())
    count = len(known)
    return known if count <= 3 else [known[count // 3], known[2 * count // 3], known[-1]]


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
    figure = sheet(count > 1, lines * rows * height + 0.7)
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


def sheet(wide: bool, height: float) -> Figure:
    """An empty figure, of the page's width or a column's.

    Args:
        wide: whether it spans the page.
        height: in inches, at labels of `look.BASE` points; larger ones add to it.
    """
    width = look.page() if wide else look.column()
    return Figure(figsize=(width, height * (1 + look.points(1)) / 2))


def cell_title(function: str, n: int, panels: int) -> str:
    """Function and dimension of one of several panels beside each other, on two lines if narrow."""
    end = "\n" if panels > 1 and look.page() / panels < look.points(1.7) else " "
    return f"{FUNCTION_LABELS.get(function, function)},{end}$n$ = {n:,}"


def nothing() -> Figure:
    """What is drawn where a run has nothing to show."""
    figure = sheet(False, 1)
    figure.text(0.5, 0.5, "nothing to show at this scale", ha="center", va="center")
    return figure


def logarithmic(minimum: float) -> bool:
    """Whether values of a function are shown on a log scale: where its minimum is zero."""
    return minimum == 0


def shown(
    value: pd.Series, minimum: float, start: float, floor: float = LOWEST
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


def entry(gradient: str, k: int | None) -> Line2D:
    """A method in the legend."""
    return Line2D([], [], **drawn(gradient, k), label=label(gradient, k))


def legend(
    figure: Figure,
    pairs: Iterable[tuple[str, int | None]],
    also: Iterable[Line2D | Patch] = (),
    columns: int = 0,
) -> None:
    """One legend for all panels, below them.

    Args:
        figure: of the panels.
        pairs: methods.
        also: what else is explained.
        columns: entries beside each other; as many as fit if 0.
    """
    handles = [*(entry(*pair) for pair in pairs), *also]
    columns = columns or legend_columns(figure)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))


def legend_columns(figure: Figure) -> int:
    """Entries beside each other: 1.7 inches hold a gradient with its k."""
    return max(1, int(figure.get_figwidth() // look.points(1.7)))


def log_ticks(axis: Axes, values: Iterable[float]) -> None:
    """A logarithmic x axis that begins and ends beside the values, whole numbers, drawn over it.

    Few values are labelled as they are, many by powers of two, of long ranges by powers of ten.
    """
    known = sorted({int(value) for value in values})
    low, high = known[0], known[-1]
    if len(known) <= FEW:
        ticks = {value: f"{value:,}" if value < 10**5 else power(value) for value in known}
    elif high > 2**20:
        ticks = {10**i: f"$10^{{{i}}}$" for i in range(0, 19, 3) if low <= 10**i <= high}
    else:
        exponents = [i for i in range(21) if low <= 2**i <= high]
        step = -(-len(exponents) // FEW)
        ticks = {2**i: f"$2^{{{i}}}$" for i in exponents[::step]}
    axis.set_xscale("log")
    axis.set_xticks(list(ticks), labels=list(ticks.values()))
    axis.minorticks_off()
    room = (high / low) ** 0.04 * np.exp(APART * _room(known) / 2) if high > low else 2.0
    axis.set_xlim(low / room, high * room)


APART = 0.35
"""Part of the room between values on a logarithmic axis over which methods stand apart."""


def aside(values: npt.NDArray[np.float64], index: int, count: int) -> float:
    """Factor by which one of several methods stands beside a value, so that none hides another.

    Args:
        values: on the axis, ascending.
        index: of the method.
        count: of methods.
    """
    return float(np.exp(APART * _room(values) * ((index + 0.5) / count - 0.5)))


def _room(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Between values, as a difference of logarithms; of few on a long axis, a part of that."""
    if len(values) < 2:
        return float(2 * np.log(2))
    logs = np.log(np.asarray(values, dtype=float))
    return float(min(np.diff(logs).min(), max(np.log(2), 0.25 * np.ptp(logs))))


def log_values(axis: Axis) -> None:
    """Ticks of a logarithmic axis that is drawn: two of them at least, however short it is."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    subs = (1, 2, 5) if decades < 1.7 else (1,)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    if decades < 1.7 and low >= 1e-3 and high < 1e5:
        axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
    if decades < 1.7 or decades > 7:
        axis.set_minor_locator(NullLocator())


def power(value: int) -> str:
    """A long whole number as a power, if it is one of ten or two."""
    ten, two = round(np.log10(value)), round(np.log2(value))
    if value == 10**ten:
        return f"$10^{{{ten}}}$"
    return f"$2^{{{two}}}$" if value == 2**two else f"{value:,}"


def note(axis: Axes, text: str, where: str) -> None:
    """Something small said in a corner of a panel."""
    small = {"size": look.points(5.5), "color": GREY}
    axis.add_artist(AnchoredText(text, loc=where, frameon=False, prop=small, borderpad=0))
