"""Names and types of the columns of every kind of result."""

from typing import TypeAlias

import pyarrow as pa

Schema: TypeAlias = dict[str, pa.DataType]
"""Names and types of columns, in order."""

INT, FLOAT, TEXT, FLAG = pa.int64(), pa.float64(), pa.string(), pa.bool_()

FUNCTION_ROW = {
    "function": TEXT,
    "n": INT,
    "gradient": TEXT,
    "k": INT,
    "angle_deg": FLOAT,
}
"""Columns that name a row of the tables of sections 4.2 and 4.3."""

FUNCTIONS = {
    **FUNCTION_ROW,
    "lr": FLOAT,
    "seed": INT,
    "step": INT,
    "value": FLOAT,
}
"""Columns of sections 4.2 and 4.3: one row for each step of each seed."""

COMPARISON = {**FUNCTIONS, "source": TEXT}
"""The same of runs with the found and with the published rate of a row, told by ``source``."""

SEARCH = {
    "trial": INT,
    "lr": FLOAT,
    "loss": FLOAT,
    "loss_std": FLOAT,
    "stop": TEXT,
    "selected": FLAG,
}
"""Columns of a learning-rate search after those of its table row: one row for each rate tried."""

QUALITY = {
    "n": INT,
    "k": INT,
    "aggregation": TEXT,
    "normalized": FLAG,
    "angle_deg": FLOAT,
    "sample": INT,
    "true_norm": FLOAT,
    "estimate_norm": FLOAT,
    "norm_ratio": FLOAT,
    "difference_norm": FLOAT,
    "dot": FLOAT,
    "cosine": FLOAT,
}
"""Columns of sections 4.1 and 4.3: one row for each estimate."""

NETWORK_ROW = {
    "experiment": TEXT,
    "model": TEXT,
    "width": INT,
    "dataset": TEXT,
    "gradient": TEXT,
    "k": INT,
}
"""Columns that name a row of the table of sections 4.4 and 4.5."""

NETWORKS = {
    **NETWORK_ROW,
    "lr": FLOAT,
    "seed": INT,
    "epoch": INT,
    **{
        f"{part}_{what}": FLOAT
        for part in ("train", "val", "test")
        for what in ("loss", "accuracy")
    },
    "train_seconds": FLOAT,
    "eval_seconds": FLOAT,
}
"""Columns of sections 4.4 and 4.5: one row for each epoch, 0 before any step."""

STATISTICS = {"gradient_norm": FLOAT, "estimate_norm": FLOAT, "cosine": FLOAT}
"""Further columns where they are asked for: means over the steps of an epoch."""
