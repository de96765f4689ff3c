r"""Tables as floats of a two-column paper in LaTeX; they need the package booktabs.

A table takes a column of the page where it fits one (``table``), else both (``table*``) in small
print, else in smaller print; one that is still too wide is cut into parts below each other, each
with the columns that name its rows, and one that is too long into several floats of the same
number, which are said to be continued. No line is longer than the page is wide: widths are
reckoned from the characters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil

from fgrad.paper.tables.typeset import typeset, width

COLUMN, PAGE = 252.0, 516.0
"""Widths of one column and of both, in points: IEEEtran on US letter."""

HEIGHT = 640.0
"""What a float takes of a page at most, in points; the page has 696."""

ROW, SPACE, RULES = 9.8, 3.0, 40.0
"""Heights of a row in small print, between groups of rows, and of headings with their rules."""

GAP = 4.0
"""Points left and right of a column."""

SMALL, SMALLER = 8.0, 7.0
"""Sizes of print in points: footnotesize and scriptsize."""


@dataclass(frozen=True)
class Column:
    """A column as texts.

    Args:
        title: its heading.
        cells: from top to bottom.
        under: heading above this and neighbouring columns.
        names: whether it names the rows.
        text: whether it is flush left.
    """

    title: str
    cells: tuple[str, ...]
    under: str = ""
    names: bool = False
    text: bool = False

    @property
    def heading(self) -> str:
        """Both headings in one line."""
        return f"{self.under} {self.title}".strip()

    @property
    def width(self) -> float:
        """In ems."""
        return max(map(width, (self.title, *self.cells)))


def floats(columns: Sequence[Column], caption: str, label: str) -> str:
    """A table with its caption above it.

    Args:
        columns: those that name a row come first; the first of several stands in lines of its own
            above the rows of each of its values, if it is text.
        caption: words with the markup of `typeset`.
        label: that of the first float.
    """
    place, size, parts = _fitted(columns)
    words = _height_of_words(caption, COLUMN if place == "table" else PAGE)
    height = (HEIGHT - words) * SMALL / size
    pieces = [piece for part in parts for piece in _evenly(part, height)]
    written = []
    for number, piece in enumerate(pieces):
        above = f"{caption.partition('. ')[0]} (continued)." if number else caption
        lines = [rf"\begin{{{place}}}[!t]"]
        lines += [r"\addtocounter{table}{-1}"] if number else []
        lines += [rf"\caption{{{typeset(above)}}}"]
        lines += [] if number else [rf"\label{{{label}}}"]
        lines += [r"\centering", r"\footnotesize" if size == SMALL else r"\scriptsize"]
        lines += [rf"\setlength{{\tabcolsep}}{{{GAP:g}pt}}", *_tabular(piece), rf"\end{{{place}}}"]
        written.append("\n".join(lines))
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(written) + "\n"


def _groups(columns: Sequence[Column]) -> tuple[Column | None, list[Column]]:
    """The column that names groups of rows, if there is one, and the others."""
    first, *others = columns
    if first.text and others and others[0].names:
        return first, others
    return None, [first, *others]


def _fitted(columns: Sequence[Column]) -> tuple[str, float, list[list[Column]]]:
    """Environment, size of print, and the columns in parts that fit."""
    names = [one for one in columns if one.names]
    values = [one for one in columns if not one.names]
    for place, room, size in (
        ("table", COLUMN, SMALL),
        ("table*", PAGE, SMALL),
        ("table*", PAGE, SMALLER),
    ):
        if _width(columns, size) <= room:
            return place, size, [[*names, *values]]
    for count in range(2, len(values) + 1):
        each = ceil(len(values) / count)
        parts = [[*names, *values[i : i + each]] for i in range(0, len(values), each)]
        if max(_width(part, SMALL) for part in parts) <= PAGE:
            return "table*", SMALL, parts
    return "table*", SMALLER, [[*names, one] for one in values]


def _width(columns: Sequence[Column], size: float) -> float:
    """In points, with headings that span several columns and the space between columns."""
    total = 0.0
    for under, run in groupby(_groups(columns)[1], lambda one: one.under):
        members = list(run)
        inner = sum(one.width * size for one in members) + 2 * GAP * (len(members) - 1)
        total += max(inner, width(under) * size) + 2 * GAP
    return total - 2 * GAP


def _height_of_words(caption: str, room: float) -> float:
    """Of a caption, which is set in small capitals."""
    return (1 + ceil(1.25 * width(caption) * SMALL / room)) * 10.0


def _evenly(columns: Sequence[Column], height: float) -> list[list[Column]]:
    """As many floats as are needed, of about the same height."""
    pieces = list(_cut(columns, height))
    while len(pieces) > 1 and len(lower := list(_cut(columns, 0.95 * height))) == len(pieces):
        height, pieces = 0.95 * height, lower
    return pieces


def _cut(columns: Sequence[Column], height: float) -> Iterator[list[Column]]:
    """The columns with as many rows as a float holds."""
    group, own = _groups(columns)
    names = group.cells if group else ("",) * len(own[0].cells)
    start, used = 0, RULES
    for number, name in enumerate(names):
        begins = group is not None and (number == start or name != names[number - 1])
        needed = 2 * ROW + SPACE if begins else ROW
        if used + needed > height and number > start:
            yield _between(columns, start, number)
            start, used, needed = number, RULES, 2 * ROW if group else ROW
        used += needed
    yield _between(columns, start, len(names))


def _between(columns: Sequence[Column], start: int, stop: int) -> list[Column]:
    return [replace(one, cells=one.cells[start:stop]) for one in columns]


def _tabular(columns: Sequence[Column]) -> list[str]:
    group, own = _groups(columns)
    alignment = "".join("l" if one.text else "r" for one in own)
    lines = [rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}", r"\toprule"]
    lines += [*_headings(own), r"\midrule", *_rows(group, own)]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _headings(own: Sequence[Column]) -> list[str]:
    lines = []
    if any(one.under for one in own):
        spans, rules, at = [], "", 1
        for under, run in groupby(own, lambda one: one.under):
            count = len(list(run))
            if under:
                spans.append(rf"\multicolumn{{{count}}}{{c}}{{{typeset(under)}}}")
                rules += rf"\cmidrule(lr){{{at}-{at + count - 1}}}"
            else:
                spans += [""] * count
            at += count
        lines = [" & ".join(spans) + r" \\", rules]
    return [*lines, " & ".join(typeset(one.title) for one in own) + r" \\"]


def _rows(group: Column | None, own: Sequence[Column]) -> Iterator[str]:
    """Rows, a group's name above them; a name that is the same as above is said once."""
    names = sum(one.names for one in own)
    above: tuple[str, ...] = ()
    for number, cells in enumerate(zip(*(one.cells for one in own), strict=True)):
        if group and (number == 0 or group.cells[number] != group.cells[number - 1]):
            above = ()
            yield from [r"\addlinespace"] if number else []
            name = typeset(group.cells[number])
            yield rf"\multicolumn{{{len(own)}}}{{@{{}}l@{{}}}}{{\emph{{{name}}}}} \\"
        same = 0
        while above and same < names - 1 and above[same] == cells[same]:
            same += 1
        yield " & ".join([""] * same + [typeset(cell) for cell in cells[same:]]) + r" \\"
        above = cells
