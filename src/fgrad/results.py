"""Parquet results: written whole or not at all, with their provenance inside.

The pandas dtypes are recorded by hand, so that writing needs pyarrow alone and reading gives
nullable integers.
"""

import glob
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fgrad.config import ConfigError, check_writable

if TYPE_CHECKING:
    import pandas as pd

KEY = b"fgrad"
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

SEARCH = {
    "trial": INT,
    "lr": FLOAT,
    "loss": FLOAT,
    "loss_std": FLOAT,
    "stop": TEXT,
    "selected": FLAG,
}
"""Columns of a learning-rate search after those of its table row: one row for each rate tried."""

METRICS = ("true_norm", "estimate_norm", "norm_ratio", "difference_norm", "dot", "cosine")

QUALITY = {
    "n": INT,
    "k": INT,
    "aggregation": TEXT,
    "normalized": FLAG,
    "angle_deg": FLOAT,
    "sample": INT,
    **dict.fromkeys(METRICS, FLOAT),
}
"""Columns of sections 4.1 and 4.3: one row for each estimate."""

PARTS = ("train", "val", "test")
"""Of a data set, in the order they are evaluated."""

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
    **{f"{part}_{what}": FLOAT for part in PARTS for what in ("loss", "accuracy")},
    "train_seconds": FLOAT,
    "eval_seconds": FLOAT,
}
"""Columns of sections 4.4 and 4.5: one row for each epoch, 0 before any step."""

STATISTICS = {"gradient_norm": FLOAT, "estimate_norm": FLOAT, "cosine": FLOAT}
"""Further columns where they are asked for: means over the steps of an epoch."""

PROGRESS = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(
    path: Path | str,
    schema: Mapping[str, pa.DataType],
    columns: Mapping[str, Any],
    **provenance: Any,
) -> None:
    """Write a table in one go: a reader sees all of it or nothing.

    Args:
        path: Parquet file; its folder is made.
        schema: names and types, in order.
        columns: an array for each name, or one value for all rows.
        provenance: stored as JSON in the file's metadata, with versions and commit added.

    Raises:
        ConfigError: if the file cannot be written.
    """
    arrays = {key: value for key, value in columns.items() if hasattr(value, "__len__")}
    arrays = {key: value for key, value in arrays.items() if not isinstance(value, str)}
    rows = len(next(iter(arrays.values())))
    data = [
        pa.array(arrays[name], type=kind)
        if name in arrays
        else pa.repeat(pa.scalar(columns[name], type=kind), rows)
        for name, kind in schema.items()
    ]
    metadata = {
        KEY: json.dumps(provenance | environment()).encode(),
        b"pandas": json.dumps(_pandas_metadata(schema)).encode(),
    }
    table = pa.table(data, schema=pa.schema(list(schema.items()), metadata=metadata))
    floats = [name for name, kind in schema.items() if kind == FLOAT and name in arrays]
    with atomic(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=[name for name in schema if name not in floats],
            use_byte_stream_split=floats,
        )


def read(path: Path | str, columns: list[str] | None = None) -> "pd.DataFrame":
    """A result as a data frame.

    Raises:
        ConfigError: if the file is missing, truncated or no Parquet.
    """
    frame: pd.DataFrame = _table(path, columns).to_pandas()
    return frame


def provenance(path: Path | str) -> dict[str, Any]:
    """What is recorded of how a result came about; raises as `read`."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None
    found: dict[str, Any] = json.loads(metadata.get(KEY, b"{}"))
    return found


def with_rate(run: Mapping[str, Any], searches: Sequence[str]) -> dict[str, Any]:
    """A run with the learning rate that its search found, if it has one to wait for.

    Args:
        run: options of a run.
        searches: the Parquet file of its search, or nothing.
    """
    found = [{"lr": provenance(path)["found"]["lr"]} for path in searches]
    return dict(run) | (found[0] if found else {})


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary file beside the target that becomes the target when the block ends well.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    target = Path(path)
    check_writable(target.parent)
    # not named like a result, so that what a kill leaves behind is taken for none; the next try
    # writes over it
    temporary = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path, key: str, kind: str) -> Path:
    """What a job leaves beside its output until it has ended, for the same job to go on with.

    Args:
        path: the output.
        key: 16 hexadecimal digits, a hash of everything the output depends on.
        kind: ending of the file.
    """
    return path.with_name(f".{path.stem}.{key}.{kind}")


def forget(path: Path, kind: str) -> None:
    """Remove what lies beside a finished output, also of other options and versions."""
    key = "[0-9a-f]" * 16  # and nothing else: a.5 is no output a with the key 5
    for left in path.parent.glob(f".{glob.escape(path.stem)}.{key}.{kind}"):
        left.unlink(missing_ok=True)


@contextmanager
def logged(log: str) -> Iterator[None]:
    """Everything printed goes to the log; a failure puts its traceback there, one line outside."""
    import traceback

    outside = sys.stdout, sys.stderr
    with Path(log).open("w", buffering=1, encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            lines = str(error).splitlines() or [type(error).__name__]
            sys.exit(
                "\n".join(lines) if isinstance(error, ConfigError) else f"{lines[0]} (see {log})"
            )
        finally:
            sys.stdout, sys.stderr = outside


def log_line(line: str) -> None:
    """A line for the log."""
    print(line, file=sys.stderr, flush=True)


def log_progress(done: int, total: int) -> None:
    """A line for the log, about every tenth of the way."""
    step = max(1, total // 10)
    if done == total or done % step == 0:
        print(f"{now()} {done}/{total}", file=sys.stderr, flush=True)


@cache
def environment() -> dict[str, Any]:
    """Versions, machine and commit that a result was computed with."""
    versions = {"python": platform.python_version()}
    for name in ("fgrad", "torch", "numpy", "pyarrow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return {"versions": versions, "machine": platform.machine(), "commit": _commit()}


def _commit() -> str | None:
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _table(path: Path | str, columns: list[str] | None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path | str, error: Exception) -> ConfigError:
    if not Path(path).exists():
        return ConfigError(f"{path}: no such file")
    reason = str(error).splitlines()[0]
    return ConfigError(f"{path}: not a whole Parquet file, delete it and run again: {reason}")


def _pandas_metadata(schema: Mapping[str, pa.DataType]) -> dict[str, Any]:
    kinds = {INT: ("int64", "Int64"), FLOAT: ("float64", "float64"), TEXT: ("unicode", "str")}
    columns = []
    for name, kind in schema.items():
        pandas_type, numpy_type = kinds.get(kind, ("bool", "bool"))
        column = {"name": name, "field_name": name, "metadata": None}
        columns.append(column | {"pandas_type": pandas_type, "numpy_type": numpy_type})
    return {
        "index_columns": [],
        "column_indexes": [],
        "columns": columns,
        "pandas_version": "3.0.0",
    }
