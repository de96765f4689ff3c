"""Tables of sections 4.4 and 4.5: what networks reach, and what it costs."""

from typing import Any

import pandas as pd

from fgrad.paper.tables.digits import number
from fgrad.paper.tables.latex import Column
from fgrad.paper.tables.table import (
    Published,
    Table,
    method,
    network,
    said,
    theirs,
    true_first,
    with_published,
)

NETWORK = ["model", "width", "dataset"]
PERCENT = "test_accuracy_percent"


def accuracy(summary: pd.DataFrame, published: Published = ()) -> Table:
    """Test accuracy in %, mean ± standard deviation over the seeds, and seconds of an epoch.

    A row for each gradient and k, columns for each model, width and data set; how many seeds
    diverged in the end is added where some did.
    """
    rows = ["gradient", "k"]
    data = summary[[*NETWORK, *rows, "n", "lr", "count"]].reset_index(drop=True)
    for of in ("mean", "std"):
        data[f"{PERCENT}_{of}"] = (100 * summary[f"test_accuracy_{of}"]).round(10).to_numpy()
    for name in ("train_seconds_mean", "train_seconds_std"):
        data[name] = summary[name].to_numpy()
    data["diverged"] = summary["diverged"].to_numpy(dtype=int)
    data = true_first(data, NETWORK)
    data = with_published(data, published, PERCENT, [*NETWORK, *rows])
    return Table(data, _columns(data, rows))


def _columns(data: pd.DataFrame, rows: list[str]) -> tuple[Column, ...]:
    methods = data[rows].drop_duplicates()
    keys = pd.MultiIndex.from_frame(methods.astype(object).fillna(0))
    names = tuple(method(*pair) for pair in methods.itertuples(index=False))
    columns = [Column("gradient", names, names=True, text=True)]
    ways = {"accuracy (%)": said(PERCENT), "published": theirs(PERCENT), "s/epoch": _seconds}
    for _, part in data.groupby(NETWORK, sort=False, dropna=False):
        where = pd.MultiIndex.from_frame(part[rows].astype(object).fillna(0))
        cells = list(part.itertuples(index=False))
        for title, say in ways.items():
            texts = pd.Series(list(map(say, cells)), index=where).reindex(keys).fillna("")
            if title != "published" or texts.any():
                columns.append(Column(title, tuple(texts), under=network(cells[0])))
    return tuple(columns)


def _seconds(row: Any) -> str:
    return number(row.train_seconds_mean, 3)
