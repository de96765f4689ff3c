"""What the paper reports of a result: the values whose distributions are compared."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fgrad.comparing import columns
from fgrad.comparing.pairs import Row, row_of
from fgrad.comparing.sides import Result
from fgrad.paper import seeds


@dataclass(frozen=True)
class Metric:
    """A value of each seed or sample.

    Args:
        name: column of it in `by_row`.
        text: in words.
        unit: ``decades`` for logarithms, ``points`` for shares, empty for numbers.
    """

    name: str
    text: str
    unit: str = ""


METRICS = {
    "descent": (
        Metric("log_gap", "final value above the minimum", "decades"),
        Metric("final", "final value"),
    ),
    "training": (
        Metric("test_accuracy", "test accuracy", "points"),
        Metric("log_train_loss", "training loss", "decades"),
    ),
    "quality": (Metric("cosine", "cosine"), Metric("norm_ratio", "norm ratio")),
    "search": (
        Metric("log_lr", "rate found", "decades"),
        Metric("loss", "loss with it"),
    ),
}
"""Of each kind of result; of descents the second where there is no minimum."""


def by_row(result: Result) -> dict[Row, pd.DataFrame]:
    """A result's metrics by row: a line for each seed or sample."""
    frame = _MADE[columns.kind(result.frame)](result)
    names = columns.rows(frame)
    found = {}
    for key, part in frame.groupby(names, dropna=False, sort=False):
        found[row_of(dict(zip(names, key, strict=True)))] = part
    return found


def of(kind: str, values: pd.DataFrame) -> tuple[Metric, ...]:
    """The metrics that results of a kind, with such values, are compared by."""
    gap, *rest = METRICS[kind]
    if kind == "descent":
        return tuple(rest) if values[gap.name].isna().any() else (gap,)
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
