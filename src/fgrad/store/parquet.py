"""Parquet results: written whole or not at all, with their provenance inside.

The pandas dtypes are recorded by hand, so that writing needs pyarrow alone and reading gives
nullable integers. Pages and provenance have checksums, so that what a disk or a copy has damaged is
not taken for a result.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from fgrad.errors import ConfigError
from fgrad.store import revision
from fgrad.store.files import atomic, reason
from fgrad.store.schemas import FLAG, FLOAT, INT, TEXT

if TYPE_CHECKING:
    import pandas as pd


HERE = fs.LocalFileSystem()
"""Takes paths as they are; pyarrow on its own takes ``s3:x`` for a bucket, ~ for a folder."""

KEY = b"fgrad"
DTYPES = {INT: "i8", FLOAT: "f8", TEXT: "U", FLAG: "?"}
"""What NumPy calls the types of columns."""
ADVICE = ", delete it and run again"
"""To one whose result is damaged."""
CHECKSUM = "checksum"
"""In the provenance: of the rest of it, of names and types; files from before there was one have
none."""


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
        columns: an array for each name, or one value for all rows; what is left out is null.
        provenance: stored as JSON in the file's metadata, with versions and commit added.

    Raises:
        ConfigError: if the file cannot be written.
    """
    arrays = {key: value for key, value in columns.items() if hasattr(value, "__len__")}
    arrays = {key: value for key, value in arrays.items() if not isinstance(value, str)}
    rows = len(next(iter(arrays.values())))
    data = [
        _array(arrays[name], kind) if name in arrays else _repeated(columns.get(name), kind, rows)
        for name, kind in schema.items()
    ]
    metadata = {b"pandas": json.dumps(_pandas_metadata(schema)).encode()}
    table = pa.table(data, schema=pa.schema(list(schema.items()), metadata=metadata))
    floats = [name for name, kind in schema.items() if kind == FLOAT and name in arrays]
    save(path, table, provenance | environment(), floats)


def restamp(path: Path | str, **changes: Any) -> None:
    """Record something else of how a result came about; its values stay as they are.

    Args:
        path: Parquet file.
        changes: what is added to its provenance, or replaces what is there.

    Raises:
        ConfigError: as `read`, or if the file cannot be written.
    """
    values = table(path)
    varied = [n for n in values.column_names if values.schema.field(n).type == FLOAT]
    floats = [name for name in varied if len(values[name].unique()) > 1]
    save(path, values, provenance(path) | changes, floats)


def save(
    path: Path | str, table: pa.Table, known: Mapping[str, Any], floats: Sequence[str] = ()
) -> None:
    """Write a table whole or not at all, with checksums of all that is in it.

    Args:
        path: Parquet file; its folder is made.
        table: the values, with other metadata if there is any.
        known: its provenance, as plain values.
        floats: columns of many floats, which are packed by bytes.

    Raises:
        ConfigError: if the file cannot be written.
    """
    plain = json.loads(json.dumps(known))
    plain[CHECKSUM] = _checksum(table.schema, plain)
    metadata = (table.schema.metadata or {}) | {KEY: json.dumps(plain).encode()}
    with atomic(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            os.path.abspath(temporary),
            filesystem=HERE,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=[name for name in table.column_names if name not in floats],
            use_byte_stream_split=floats,
        )


def read(path: Path | str, columns: list[str] | None = None) -> "pd.DataFrame":
    """A result as a data frame.

    Raises:
        ConfigError: if the file is missing, truncated or no Parquet.
    """
    frame: pd.DataFrame = table(path, columns).to_pandas()
    return frame


def shape(path: Path | str) -> tuple[dict[str, pa.DataType], int]:
    """Types of a file's columns by name, and its number of rows; raises as `read`."""
    try:
        known = pq.read_metadata(os.path.abspath(path), filesystem=HERE)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from None
    columns = known.schema.to_arrow_schema()
    return dict(zip(columns.names, columns.types, strict=True)), known.num_rows


def provenance(path: Path | str) -> dict[str, Any]:
    """What is recorded of how a result came about, if anything.

    Args:
        path: a result of a run, or a summary of some.

    Returns:
        Of a run ``run`` (its options), ``code`` (fingerprint), ``versions``, ``machine``,
        ``commit``, ``start``, ``end``, why it stopped; nothing of a file that is not of fgrad.

    Raises:
        ConfigError: if the file is missing, truncated or no Parquet.

    Examples:
        >>> import tempfile
        >>> from fgrad.store.schemas import FLOAT
        >>> file = f"{tempfile.mkdtemp()}/run.parquet"
        >>> write(file, {"value": FLOAT}, {"value": np.ones(3)}, run={"function": "sphere"})
        >>> provenance(file)["run"]
        {'function': 'sphere'}
    """
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return dict(_recorded(str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))


@cache
def _recorded(path: str, *_: int) -> dict[str, Any]:
    """What is recorded in a file that is the same as long as its times and sizes are."""
    try:
        schema = pq.read_schema(os.path.abspath(path), filesystem=HERE)
    except Exception as error:  # damaged bytes make pyarrow raise anything
        raise _unreadable(path, error) from None
    try:
        found: Any = json.loads((schema.metadata or {}).get(KEY, b"{}"))
        if not isinstance(found, dict):
            return {}
        expected = found.pop(CHECKSUM, None)
        now = _checksum(schema, found)
    except (ValueError, RecursionError):  # of somebody else
        return {}
    if expected not in (None, now):
        raise _unreadable(path, ValueError("other contents than its checksum's"))
    return found


@cache
def environment() -> dict[str, Any]:
    """Versions, machine and commit that a result was computed with."""
    versions = {"python": platform.python_version()}
    for name in ("fgrad", "torch", "numpy", "pyarrow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return {"versions": versions, "machine": platform.machine()} | revision.recorded()


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    """As `pyarrow.array`, which imports pandas to tell what it is given: half a second of a job."""
    if kind not in DTYPES or getattr(values, "dtype", np.dtype("O")).kind == "O":
        return pa.array(values, type=kind)
    values = values.astype(DTYPES[kind], casting="same_kind", copy=False)
    if kind == TEXT:
        texts = [str(text).encode() for text in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        buffers = [pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    elif kind == FLAG:
        buffers = [pa.py_buffer(np.packbits(values, bitorder="little"))]
    else:
        buffers = [pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(kind, len(values), [None, *buffers])


def _repeated(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    """One value for all rows; null for none."""
    if value is None:
        return pa.nulls(rows, kind)
    return pa.repeat(_array(np.array([value]), kind)[0], rows)


def table(path: Path | str, columns: list[str] | None = None) -> pa.Table:
    """Values of a file whose names and types are those that were written; raises as `read`."""
    provenance(path)
    try:
        return pq.read_table(
            os.path.abspath(path),
            filesystem=HERE,
            columns=columns,
            page_checksum_verification=True,
        )
    except Exception as error:  # damaged bytes make pyarrow raise anything
        raise _unreadable(path, error) from None


def _checksum(schema: pa.Schema, known: dict[str, Any]) -> str:
    fields = [f"{field.name} {field.type}" for field in schema]
    pandas = (schema.metadata or {}).get(b"pandas", b"").decode(errors="replace")
    content = json.dumps([known, pandas, fields]).encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _unreadable(path: Path | str, error: Exception) -> ConfigError:
    if not os.path.exists(path):
        return ConfigError(f"{path}: no such file")
    try:
        with Path(path).open("rb") as file:
            begins = file.read(4)
    except IsADirectoryError:
        begins = b""
    except OSError as denied:
        return ConfigError(f"{path}: cannot be read: {reason(denied)}")
    if isinstance(error, OSError) and error.errno:
        return ConfigError(f"{path}: cannot be read: {reason(error)}")
    advice = ADVICE if begins == b"PAR1" else ""  # others are not ours to delete
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ConfigError(f"{path}: not a whole Parquet file{advice}: {said}")


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
