"""Learning-rate tables: a CSV row for each run, checked when it is read; torch is not imported."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from fgrad.errors import ConfigError, Model, row_name, validate
from fgrad.options.base import Rate
from fgrad.options.functions import FunctionName
from fgrad.options.networks import DatasetName, ModelName

if TYPE_CHECKING:
    import pandas as pd


class Row(Model):
    """A row of a learning-rate table: a run and its rate."""

    lr: Rate

    @property
    def key(self) -> tuple[Any, ...]:
        """The run: every column but the rate."""
        return tuple(getattr(self, name) for name in self.columns())

    @classmethod
    def columns(cls) -> list[str]:
        return [name for name in cls.model_fields if name != "lr"]

    @classmethod
    def describe(cls, key: tuple[Any, ...]) -> str:
        return row_name(dict(zip(cls.columns(), key, strict=True)))


class FunctionRow(Row):
    """A row of the tables of sections 4.2 and 4.3."""

    function: FunctionName
    n: Annotated[int, Field(ge=1)]
    gradient: str
    k: Annotated[int, Field(ge=1)] | None = None
    angle_deg: Annotated[float, Field(gt=0, lt=180)] | None = None


class NetworkRow(Row):
    """A row of the table of sections 4.4 and 4.5."""

    experiment: str
    model: ModelName
    width: Annotated[int, Field(ge=1)] | None = None
    dataset: DatasetName
    gradient: str
    k: Annotated[int, Field(ge=1)] | None = None


R = TypeVar("R", bound=Row)


def read_table(path: Path, kind: type[R]) -> list[R]:
    """Rows of a learning-rate table.

    Args:
        path: CSV file with a header.
        kind: what its rows are.

    Raises:
        ConfigError: if the file cannot be read, a column is missing or unknown, a value is out of
            range, or two rows are for the same run.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            header = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = header
            records = [(reader.line_num, record) for record in reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read as a CSV table: {reason}") from None
    _check_header(path, header, kind)
    if not records:
        raise ConfigError(f"{path}: no rows; a header and one row for each run are expected")
    rows: dict[tuple[Any, ...], int] = {}
    result = []
    errors = []
    for line, record in records:
        where = f"{path}, row {line}"
        if None in record or None in record.values():
            errors.append(f"{where}: {len(header)} columns expected, as in the header")
            continue
        values = {key: value.strip() for key, value in record.items() if value.strip()}
        try:
            row = validate(kind, values, where)
        except ConfigError as error:
            errors.append(str(error))
            continue
        if row.key in rows:
            errors.append(
                f"{where}: {row.describe(row.key)}: same run as row {rows[row.key]}; keep one"
            )
        rows.setdefault(row.key, line)
        result.append(row)
    if errors:
        raise ConfigError("\n".join(errors))
    return result


def _check_header(path: Path, header: list[str], kind: type[Row]) -> None:
    known = [*kind.columns(), "lr"]
    needed = [name for name in known if kind.model_fields[name].is_required()]
    wrong = [name for name in header if name not in known or header.count(name) > 1]
    wrong += [name for name in needed if name not in header]
    if wrong:
        raise ConfigError(
            f"{path}, row 1: {', '.join(map(repr, dict.fromkeys(wrong)))} missing, unknown or "
            f"twice; columns are {', '.join(known)}, separated by commas"
        )


def refuse_missing(path: Path, kind: type[Row], missing: list[tuple[Any, ...]]) -> None:
    """Name every run that has no rate; raises ConfigError if there is one."""
    if missing:
        lines = [f"{path}: no learning rate for {kind.describe(key)}" for key in missing]
        raise ConfigError("\n".join(lines))


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
