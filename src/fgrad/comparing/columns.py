"""What each column of a result says: which row it is of, which observation, or a value; and how far
values may be apart that differ by rounding.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fgrad.paper.summary import ROW as TABLE_ROW

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ROW = [*TABLE_ROW, "aggregation", "normalized", "source"]
"""Columns that name a row of a table, whatever the rate."""

INDEX = ["seed", "sample", "trial", "step", "epoch"]
"""Columns that tell the observations of a row apart."""

KINDS = {"step": "descent", "epoch": "training", "sample": "quality", "trial": "search"}
"""The column that a kind of result has alone."""

CORE = {
    "descent": ("seed", "step", "value"),
    "training": ("epoch", "train_loss", "val_loss", "test_accuracy"),
    "quality": ("sample", "cosine", "norm_ratio"),
    "search": ("trial", "lr", "loss", "selected"),
}
"""Of each kind of result, the columns without which there is nothing to compare."""

TIMES = "seconds"
"""End of the names of columns that are no numbers of a run's."""

TOLERANCES = {
    "value": (1e-5, 1e-6),
    "true_norm": (1e-6, 0),
    "estimate_norm": (1e-4, 1e-5),
    "norm_ratio": (1e-4, 1e-5),
    "difference_norm": (1e-4, 1e-5),
    "dot": (1e-4, 1e-5),
    "cosine": (1e-4, 1e-5),
    "train_loss": (1e-4, 1e-6),
    "val_loss": (1e-4, 1e-6),
    "test_loss": (1e-4, 1e-6),
    "train_accuracy": (0, 2e-3),
    "val_accuracy": (0, 2e-3),
    "test_accuracy": (0, 2e-3),
    "gradient_norm": (1e-4, 1e-6),
    "lr": (1e-6, 0),
    "loss": (1e-4, 1e-6),
    "loss_std": (1e-3, 1e-5),
}
"""Column → (relative, absolute): |a − b| ≤ relative · max(|a|, |b|) + absolute · unit is rounding.

Units are in `UNITS`, else 1. A column of the user's own has the tolerance `OTHER`."""

OTHER = (1e-5, 1e-8)

UNITS = {
    "value": "the value at step 0",
    "estimate_norm": "the norm of ∇f",
    "difference_norm": "the norm of ∇f",
    "dot": "the norm of ∇f",
}
"""What absolute tolerances are multiplied by."""


def kind(columns: Any) -> str:
    """What kind of result has such columns; empty for none of this project.

    >>> kind(["function", "seed", "step", "value"]), kind(["a"])
    ('descent', '')
    """
    return next((name for column, name in KINDS.items() if column in columns), "")


def values(frame: pd.DataFrame) -> list[str]:
    """Columns that are compared: all but keys and the rate that a run was given."""
    given = set() if "trial" in frame else {"lr"}
    return [name for name in map(str, frame) if name not in given.union(ROW, INDEX)]


def is_time(name: str) -> bool:
    """Whether a column is of seconds, which never count."""
    return str(name).endswith(TIMES)


def rows(frame: pd.DataFrame) -> list[str]:
    """Columns of a frame that name a row."""
    return [name for name in ROW if name in frame]


def same_bits(a: pd.Series, b: pd.Series) -> Flags:
    """Which values are the same to the last bit, missing ones too."""
    if a.dtype == b.dtype == np.float64:
        return np.asarray(a.to_numpy().view("i8") == b.to_numpy().view("i8"))
    same = (a == b).fillna(False) | (a.isna() & b.isna())
    return np.asarray(same.to_numpy(dtype=bool))


def deviation(name: str, a: pd.Series, b: pd.Series, unit: Floats | float) -> Floats:
    """How far values are apart, in tolerances of their column: up to 1 is rounding.

    Args:
        name: of the column.
        a: its values on one side.
        b: on the other.
        unit: of the absolute tolerance.
    """
    same = same_bits(a, b)
    if not (pd.api.types.is_float_dtype(a) and pd.api.types.is_float_dtype(b)):
        return np.where(same, 0.0, np.inf)
    x, y = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
    relative, absolute = TOLERANCES.get(name, OTHER)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        allowed = relative * np.maximum(np.abs(x), np.abs(y)) + absolute * np.abs(unit)
        apart = np.where(x == y, 0.0, np.abs(x - y) / allowed)
    apart = np.where(np.isfinite(x) & np.isfinite(y) | (x == y), apart, np.inf)
    return np.where(same | (np.isnan(x) & np.isnan(y)), 0.0, apart)
