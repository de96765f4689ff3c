"""Learning-rate tables: a CSV row for each run, checked when it is read; torch is not imported."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field

from fgrad.errors import ConfigError, few, row_name
from fgrad.options.base import Name, Rate
from fgrad.options.functions import FunctionName
from fgrad.options.networks import DatasetName, ModelName
from fgrad.validation import Model, validate

if TYPE_CHECKING:
    import pandas as pd


def _plain(cell: Any) -> Any:
    if isinstance(cell, str) and re.search(r"[^!-~]|[_,;']", cell):
        raise ValueError("a plain number is needed, as 4 or 0.05: a point, and no thousands marked")
    return cell


Plain = BeforeValidator(_plain)
"""Only what stands for the same number in every program."""

Whole = Annotated[int, Field(ge=1), Plain]


class Record(Model):
    """A row of a table that people write, from texts: what it is about, what is known of that."""

    model_config = ConfigDict(strict=False)

    known: ClassVar[tuple[str, ...]]
    """Columns that say what is known; the others say of what."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What it is about."""
        return tuple(getattr(self, name) for name in self.columns())

    @classmethod
    def columns(cls) -> list[str]:
        return [name for name in cls.model_fields if name not in cls.known]

    @classmethod
    def describe(cls, key: tuple[Any, ...]) -> str:
        return row_name(dict(zip(cls.columns(), key, strict=True)))


class Row(Record):
    """A row of a learning-rate table: a run and its rate."""

    known = ("lr",)

    lr: Annotated[Rate, Plain]
    """Learning rate."""


class FunctionRow(Row):
    """A row of the tables of sections 4.2 and 4.3."""

    function: FunctionName
    """Of a function of your own the name alone."""
    n: Whole
    """Dimension."""
    gradient: Name
    """A name from `gradients`."""
    k: Whole | None = None
    """Number of tangents; empty for `bp`."""
    angle_deg: Annotated[float, Field(gt=0, lt=180), Plain] | None = None
    """Of the tangents to the first, in `angles.csv` alone; empty: the rate is for all angles,
    computed by one job."""


class NetworkRow(Row):
    """A row of the table of sections 4.4 and 4.5."""

    experiment: Name
    """`fc` or `sota`."""
    model: ModelName
    """Of a model of your own the name alone."""
    width: Whole | None = None
    """Hidden width of `fc`; empty for other models."""
    dataset: DatasetName
    """Of a data set of your own the name alone."""
    gradient: Name
    """A name from `gradients`."""
    k: Whole | None = None
    """Number of tangents; empty for `bp`."""


R = TypeVar("R", bound=Record)

LARGEST = 2**26
"""Bytes of a table at most."""

OTHERS = {
    b"PK": "an Excel or OpenDocument workbook",
    b"\xd0\xcf": "an Excel workbook",
} | dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "a text in UTF-16")
"""What else spreadsheets save, by how it begins."""


def read_table(path: Path, kind: type[R], own: Iterable[str] = ()) -> list[R]:
    """Rows of a table; rows without a value are skipped, of a learning-rate table not all.

    Args:
        path: CSV file with a header.
        kind: what its rows are.
        own: names of the user's own that may stand in it.

    Raises:
        ConfigError: if the file cannot be read, a column is missing or unknown, a value is out of
            range, or two rows are for the same run.
    """
    try:
        lines = io.StringIO(_text(path), newline="")
        reader = csv.DictReader(lines, strict=True, skipinitialspace=True)
        header = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = header
        records = [(reader.line_num, record) for record in reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read as a CSV table: {reason}") from None
    _check_header(path, header, kind)
    what = "run" if issubclass(kind, Row) else "result"
    rows: dict[tuple[Any, ...], int] = {}
    result = []
    errors = []
    for line, record in records:
        where = f"{path}, row {line}"
        if not any(cell.strip() for cell in _cells(record)):
            continue
        if None in record or None in record.values():
            found = sum(1 for _ in _cells(record))
            hint = "; decimals take a point" if found > len(header) else ""
            errors.append(
                f"{where}: {len(header)} columns expected, as in the header, not {found}{hint}"
            )
            continue
        values = {key: value.strip() for key, value in record.items() if value.strip()}
        try:
            row = validate(kind, values, where, own)
        except ConfigError as error:
            errors += str(error).splitlines()
            continue
        if row.key in rows:
            errors.append(
                f"{where}: {row.describe(row.key)}: same {what} as row {rows[row.key]}; keep one"
            )
        rows.setdefault(row.key, line)
        result.append(row)
    if errors:
        raise ConfigError(few(errors, path))
    if not result and issubclass(kind, Row):
        raise ConfigError(f"{path}: no rows; a header and one row for each run are expected")
    return result


def _text(path: Path) -> str:
    """Contents of a table; raises OSError or ValueError if it is none."""
    status = path.stat()
    if not path.is_file():
        raise ValueError("a folder or a device; a file is expected")
    if status.st_size > LARGEST:
        raise ValueError(f"{status.st_size:,} bytes; {LARGEST:,} at most")
    content = path.read_bytes()
    other = next((name for begin, name in OTHERS.items() if content.startswith(begin)), "")
    try:
        if not other:
            return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        other = f"a text that is not UTF-8 ({error.reason} at byte {error.start})"
    raise ValueError(f"{other}; save it as CSV in UTF-8, separated by commas")


def _cells(record: dict[str | Any, str | Any]) -> Iterator[str]:
    """Texts of a row, also those beyond the header."""
    for cell in record.values():
        yield from cell if isinstance(cell, list) else ([] if cell is None else [cell])


def _check_header(path: Path, header: list[str], kind: type[Record]) -> None:
    known = [*kind.columns(), *kind.known]
    columns = f"columns are {', '.join(known)}, separated by commas"
    for number, name in enumerate(header, 1):
        if name and not name.startswith("Unnamed: "):  # as pandas calls it
            continue
        what = {1: "an index column", len(header): "an empty last column"}.get(number, "a column")
        raise ConfigError(f"{path}, row 1: column {number}: {what}, without a name: remove it")
    needed = [name for name in known if kind.model_fields[name].is_required()]
    wrong = [name for name in header if name not in known or header.count(name) > 1]
    wrong += [name for name in needed if name not in header]
    if wrong:
        names = list(dict.fromkeys(wrong))
        shown = ", ".join(repr(name[:80]) for name in names[: len(known)])
        more = f" and {len(names) - len(known)} more" if len(names) > len(known) else ""
        raise ConfigError(f"{path}, row 1: {shown}{more} missing, unknown or twice; {columns}")


def refuse_missing(path: Path, kind: type[Row], missing: list[tuple[Any, ...]]) -> None:
    """Name the first runs that have no rate; raises ConfigError if there is one."""
    if missing:
        lines = [f"{path}: no learning rate for {kind.describe(key)}" for key in missing]
        hint = (
            "add rows, or let rates be searched for with learning_rates: missing, or all of them "
            "with learning_rates: searched"
        )
        raise ConfigError(f"{few(lines, path)}\n{path}: {hint}")


def write_table(path: Path, trials: "pd.DataFrame") -> None:
    """Write the selected rates as a learning-rate table, whole or not at all.

    Args:
        path: CSV file.
        trials: from `fgrad.paper.summary.searches`.
    """
    from fgrad.store.files import atomic

    chosen = trials[trials["selected"]]
    kind = FunctionRow if "function" in chosen else NetworkRow
    # as in the shipped tables there is a column for angles only where there are angles
    columns = [*kind.columns(), "lr"]
    columns = [name for name in columns if name != "angle_deg" or chosen[name].notna().any()]
    with atomic(path) as temporary:
        chosen[columns].to_csv(temporary, index=False, float_format="%.6g")
