"""Results read one by one; one that is foreign or damaged is named, with what was expected."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import pyarrow as pa

from fgrad.errors import ConfigError
from fgrad.store import parquet
from fgrad.store.schemas import Schema

T = TypeVar("T")


def each(read: Callable[[str], T], paths: Iterable[str], schema: Schema) -> list[T]:
    """What is read from each file.

    Args:
        read: reads a file.
        paths: the files.
        schema: columns that each of them has.

    Raises:
        ConfigError: naming the first file that has others, no rows, or values that do not fit.
    """
    return [_one(read, path, schema) for path in paths]


def _one(read: Callable[[str], T], path: str, schema: Schema) -> T:
    columns, rows = parquet.shape(path)
    lacking = [name for name, kind in schema.items() if not _like(columns.get(name), kind)]
    if lacking or not rows:
        raise _foreign(path, f"without {', '.join(lacking) or 'rows'}", schema)
    try:
        return read(path)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _foreign(path, f"its values do not fit together ({reason})", schema) from error


def _like(found: pa.DataType | None, kind: pa.DataType) -> bool:
    """Whether a column is there, as text or not; one that is empty may be of any type."""
    if found is None or pa.types.is_null(found):
        return found is not None
    texts = [pa.types.is_string(one) or pa.types.is_large_string(one) for one in (found, kind)]
    return bool(texts[0] == texts[1])


def _foreign(path: str, what: str, schema: Schema) -> ConfigError:
    return ConfigError(
        f"{path}: a foreign or damaged result, {what}; expected are the columns "
        f"{', '.join(schema)}; move it away, and it is made anew"
    )
