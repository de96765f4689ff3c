"""What the paper reports of a result: the values whose distributions are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log10

import numpy as np
import pandas as pd

from fgrad.comparing import columns
from fgrad.comparing.pairs import Row, row_of
from fgrad.comparing.sides import Result
from fgrad.paper import seeds
from fgrad.paper.results import each
from fgrad.store import schemas


@dataclass(frozen=True)
class Metric:
    """A value of each seed or sample.

    Args:
        name: column of it in `by_row`.
        text: in words.
        unit: ``decades`` for logarithms, ``points`` for shares, empty for numbers.
        extent: the largest difference there is: a test that would not have seen it tells nothing.
    """

    name: str
    text: str
    unit: str = ""
    extent: float = inf


METRICS = {
    "descent": (
        Metric("log_gap", "final value above the minimum", "decades", -log10(seeds.SOLVED)),
        Metric("final", "final value"),
    ),
    "training": (
        Metric("test_accuracy", "test accuracy", "points", 1),
        Metric("log_train_loss", "training loss", "decades", 2),
    ),
    "quality": (Metric("cosine", "cosine"), Metric("norm_ratio", "norm ratio")),
    "search": (
        Metric("log_lr", "rate found", "decades"),
        Metric("loss", "loss with it"),
    ),
}
"""Of each kind of result; of descents the second where there is no minimum."""

SCHEMAS = {
    "descent": schemas.FUNCTIONS,
    "training": schemas.NETWORKS,
    "quality": schemas.QUALITY,
    "search": schemas.SEARCH,
}


def by_row(result: Result) -> dict[Row, pd.DataFrame]:
    """A result's metrics by row: a line for each seed or sample.

    Raises:
        ConfigError: if the file lacks what results of its kind have.
    """
    kind = columns.kind(result.frame)
    (frame,) = each(lambda _: _MADE[kind](result), [str(result.path)], SCHEMAS[kind])
    names = columns.rows(frame)
    groups = frame.assign(kind=kind).groupby(names, dropna=False, sort=False)
    return {row_of(dict(zip(names, key, strict=True))): part for key, part in groups}


def of(values: pd.DataFrame) -> tuple[Metric, ...]:
    """The metrics that some results' values, of one kind, are compared by."""
    kind = values["kind"].iloc[0]
    if kind == "descent":
        gap, final = METRICS[kind]
        return (final if values[gap.name].isna().any() else gap,)
    return METRICS[kind]


def _descents(result: Result) -> pd.DataFrame:
    parts = [result.frame]
    if "source" in result.frame:
        parts = [part for _, part in result.frame.groupby("source", sort=False)]
    found = []
    for part in parts:
        made = seeds.by_seed(part, result.known)
        with np.errstate(invalid="ignore"):
            made.loc[~np.isfinite(made["minimum"]), "log_gap"] = np.nan
        if "source" in part:
            made["source"] = part["source"].iloc[0]
        found.append(made)
    return pd.concat(found, ignore_index=True)


def _search(result: Result) -> pd.DataFrame:
    chosen = result.frame[result.frame["selected"].astype(bool)]
    return chosen.assign(log_lr=np.log10(chosen["lr"]))


_MADE: dict[str, Callable[[Result], pd.DataFrame]] = {
    "descent": _descents,
    "training": lambda result: seeds.of_training(str(result.path)).drop(columns="n"),
    "quality": lambda result: result.frame,
    "search": _search,
}
