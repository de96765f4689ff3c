"""One table, four renderings: numbers as CSV, Markdown and HTML for people, LaTeX for the paper."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fgrad.paper.names import FUNCTION_LABELS, NETWORK_LABELS
from fgrad.paper.page.render import render
from fgrad.paper.tables import latex
from fgrad.paper.tables.digits import DIVERGED, plus_minus, shortest
from fgrad.paper.tables.latex import Column
from fgrad.store.files import atomic

Published = Sequence[Mapping[str, Any]]
"""Rows of ``published_results.csv`` that a table has room for, as plain values."""

TITLES = {
    "function": "function",
    "n": "n",
    "k": "k",
    "angle_deg": "angle",
    "gradient": "gradient",
    "aggregation": "aggregation",
}
"""Columns that name a row → how they are headed."""


@dataclass(frozen=True)
class Table:
    """What a table says.

    Args:
        data: numbers alone and the names of what they are of: a row for each observed cell.
        columns: what people are shown of it, as texts; those that name a row come first.
    """

    data: pd.DataFrame
    columns: tuple[Column, ...]

    @property
    def shown(self) -> pd.DataFrame:
        """The columns as a frame, headed as in Markdown."""
        return pd.DataFrame({one.heading: list(one.cells) for one in self.columns}, dtype=object)


def named(frame: pd.DataFrame, rows: Iterable[str]) -> list[Column]:
    """Columns that name the rows of a frame, in words; those that are empty are left out."""
    columns = []
    for name in rows:
        if name in frame and frame[name].notna().any():
            cells = tuple(_name(name, value) for value in frame[name])
            text = not pd.api.types.is_numeric_dtype(frame[name])
            columns.append(Column(TITLES.get(name, name), cells, names=True, text=text))
    return columns


def wide(
    data: pd.DataFrame,
    rows: Sequence[str],
    cell: Callable[[Any], str],
    across: Sequence[str] = ("gradient", "k"),
    published: Callable[[Any], str] | None = None,
) -> tuple[Column, ...]:
    """A row for each value of ``rows``, a column for each of ``across``, in order of appearance.

    Args:
        data: a row for each cell.
        rows: columns that name a row.
        cell: a row of ``data`` (as of ``itertuples``) → text.
        across: columns whose values the table has beside each other; the first is the heading
            above the others.
        published: a row of ``data`` → what was published of it; a column of its own beside those
            of which something was.
    """
    keys = data[list(rows)].drop_duplicates()
    where = pd.MultiIndex.from_frame(keys.astype(object).fillna(""))
    columns = named(keys, rows)
    groups = list(data.groupby(list(across), sort=False, dropna=False))
    groups.sort(key=lambda one: bool(one[1][across[-1]].notna().all()))  # what has no k comes first
    for values, part in groups:
        own = pd.MultiIndex.from_frame(part[list(rows)].astype(object).fillna(""))
        under, title = heading(dict(zip(across, values, strict=True)))
        for say, words in ((cell, title), (published, f"{title}, published".lstrip(", "))):
            texts = [] if say is None else [say(row) for row in part.itertuples(index=False)]
            if say is cell or any(texts):
                cells = pd.Series(texts, index=own).reindex(where).fillna("")
                columns.append(Column(words, tuple(cells), under=under))
    return tuple(columns)


def heading(values: Mapping[str, Any]) -> tuple[str, str]:
    """What a column is of: what stands above it and its neighbours, and its own heading."""
    present = {name: _name(name, value) for name, value in values.items() if not pd.isna(value)}
    gradient = present.pop("gradient", "")
    own = ", ".join(f"{name} = {value}" for name, value in present.items())
    return (gradient, own) if own else ("", gradient)


def true_first(data: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    """The data with the true gradient, which has no k, before the others of each row."""
    where = data.groupby([name for name in rows if name in data], sort=False, dropna=False).ngroup()
    return data.iloc[np.lexsort((data["k"].notna(), where))].reset_index(drop=True)


def method(gradient: Any, k: Any) -> str:
    """A gradient and its number of tangents."""
    return str(gradient) if pd.isna(k) else f"{gradient}, k = {int(k):,}"


def network(row: Any) -> str:
    """A network, its width and its data set."""
    width = getattr(row, "width", None)
    size = "" if width is None or pd.isna(width) else f" {int(width):,}"
    labels = [NETWORK_LABELS.get(one, one) for one in (row.model, row.dataset)]
    return f"{labels[0]}{size}, {labels[1]}"


def with_published(
    data: pd.DataFrame, published: Published, metric: str, by: Sequence[str]
) -> pd.DataFrame:
    """The data with what was published of a metric, where something was.

    Args:
        data: a row for each cell.
        published: rows of ``published_results.csv``.
        metric: columns ``published_METRIC_mean``, ``…_std`` and ``…_count`` are added.
        by: columns that name a cell.
    """
    rows = [row for row in published if row["metric"] == metric]
    if not rows:
        return data
    by = [name for name in by if name in data]
    theirs = pd.DataFrame(rows).reindex(columns=[*by, "mean", "std", "count"])
    kinds = {name: data[name].dtype for name in by}
    theirs = theirs.astype(kinds | {"mean": float, "std": float, "count": "Int64"})
    names = {name: f"published_{metric}_{name}" for name in ("mean", "std", "count")}
    return data.merge(theirs.rename(columns=names), on=by, how="left")


def said(metric: str) -> Callable[[Any], str]:
    """Mean ± standard deviation of a metric of a row; how many seeds diverged where some did."""

    def cell(row: Any) -> str:
        text = plus_minus(getattr(row, f"{metric}_mean"), getattr(row, f"{metric}_std"))
        lost = int(getattr(row, "diverged", 0))
        if not lost:
            return text
        of = f"{lost}/{row.count} diverged"
        return of if text in ("", DIVERGED) else f"{text} ({of})"

    return cell


def theirs(metric: str) -> Callable[[Any], str]:
    """What was published of a metric of a row, or nothing."""

    def cell(row: Any) -> str:
        mean, std = (getattr(row, f"published_{metric}_{of}", math.nan) for of in ("mean", "std"))
        return as_published(mean, std)

    return cell


def as_published(mean: float, std: float) -> str:
    """A published number; without a deviation with the digits it was entered with."""
    return shortest(mean) if math.isnan(std) else plus_minus(mean, std)


def write(
    table: Table, csv: str, markdown: str, tex: str, html: str, caption: str, note: str = ""
) -> None:
    """Write a table in the four formats, each whole or not at all.

    Args:
        table: what it says.
        csv: path; missing numbers are left empty, infinite ones are ``inf``.
        markdown: path.
        tex: path; needs the package booktabs; its label is ``tab:NAME``, of the file's name.
        html: path; a page of its own.
        caption: of the LaTeX table and of the page, as in `fgrad.paper.contents`.
        note: said below the Markdown and at the end of the caption.
    """
    caption = f"{caption} {note}".strip()
    texts = {
        csv: table.data.to_csv(index=False),
        markdown: for_people(table) + (f"\n\n{note}\n" if note else "\n"),
        tex: latex.floats(table.columns, caption, f"tab:{Path(tex).stem}"),
        html: render(
            "table.html.j2", name=Path(html).stem, caption=caption, note=note, columns=table.columns
        ),
    }
    for path, content in texts.items():
        with atomic(Path(path)) as temporary:
            temporary.write_text(content, encoding="utf-8")


def for_people(table: Table) -> str:
    """The table in Markdown."""
    text: str = table.shown.to_markdown(
        index=False, disable_numparse=True, colalign=_aligned(table)
    )
    return text


def _aligned(table: Table) -> tuple[str, ...] | None:
    return (
        tuple("left" if one.text else "right" for one in table.columns) if len(table.data) else None
    )


def _name(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if column == "angle_deg":
        return f"{value:g}°"
    if isinstance(value, str):
        return FUNCTION_LABELS.get(value) or NETWORK_LABELS.get(value) or value
    return f"{int(value):,}" if float(value).is_integer() else shortest(float(value))
