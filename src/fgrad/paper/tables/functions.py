"""Tables of sections 4.2 and 4.3: functions, and the learning rates of all runs."""

from typing import Any

import pandas as pd

from fgrad.paper.tables.digits import shortest
from fgrad.paper.tables.latex import Column
from fgrad.paper.tables.table import (
    Published,
    Table,
    method,
    named,
    network,
    said,
    theirs,
    true_first,
    wide,
    with_published,
)

ROWS = ["function", "n", "angle_deg"]
CELL = [*ROWS, "gradient", "k"]


def learning_rates(summary: pd.DataFrame) -> Table:
    """Learning rates as in the paper's appendix.

    A row for each function, n and angle, or for each network, width and data set.
    """
    of = CELL if "function" in summary else ["model", "width", "dataset", "gradient", "k"]
    data = _present(summary, [*of, "lr"])
    if "function" in summary:
        return Table(data, wide(data, [name for name in ROWS if name in data], _rate))
    networks = data.assign(network=[network(row) for row in data.itertuples(index=False)])
    return Table(data, wide(networks, ["network"], _rate))


def final_values(summary: pd.DataFrame, published: Published = ()) -> Table:
    """Final value, mean ± standard deviation over the seeds, for each function, n and gradient."""
    known = summary[~summary["degenerate"]]
    own = ["lr", "count", "final_mean", "final_std", "diverged"]
    data = with_published(_present(known, [*CELL, *own]), published, "final", CELL)
    rows = [name for name in ROWS if name in data]
    return Table(data, wide(data, rows, said("final"), published=theirs("final")))


def stops(summary: pd.DataFrame, published: Published = ()) -> Table:
    """Best value, steps and stop reasons for each function, n and gradient."""
    own = ["lr", "count", "best_mean", "best_std", "steps_mean", "steps_std"]
    reasons = ["completed", "stalled", "diverged"]
    data = true_first(_present(summary, [*CELL, *own, *reasons]), ROWS)
    data[reasons] = data[reasons].astype(int)
    for metric in ("best", "steps"):
        data = with_published(data, published, metric, CELL)
    rows = list(data.drop(columns="diverged").itertuples(index=False))  # has a column of its own
    methods = tuple(method(row.gradient, row.k) for row in rows)
    columns = [*named(data, ROWS), Column("gradient", methods, names=True, text=True)]
    for metric in ("best", "steps"):
        columns.append(Column(metric, tuple(map(said(metric), rows))))
        if f"published_{metric}_mean" in data:
            columns.append(Column(f"{metric}, published", tuple(map(theirs(metric), rows))))
    columns += [Column(reason, tuple(map(str, data[reason]))) for reason in reasons]
    return Table(data, tuple(columns))


def _rate(row: Any) -> str:
    return shortest(row.lr)


def _present(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns that are there and not empty, and always those that have no alternative."""
    optional = ("width", "angle_deg", "k")
    kept = [one for one in columns if one not in optional or frame[one].notna().any()]
    return frame[kept].reset_index(drop=True)
