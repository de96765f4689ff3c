"""Results of many runs as one data frame."""

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fgrad.errors import ConfigError
from fgrad.store import files, parquet

if TYPE_CHECKING:
    import pandas as pd


def load(folder: Path | str = "results", **where: Any) -> "pd.DataFrame":
    """All runs of a folder, or those that are asked for, as one data frame.

    Args:
        folder: of results: a working directory of the workflow, its ``results``, a folder of
            Parquet files or one file.
        where: the rows to keep: a column with its value, or a list of them; ``section`` is the
            folder of a run below ``runs``, such as ``functions``, ``fc``, ``search_sota``.

    Returns:
        One row for each observation, with the columns of all runs, ``section`` before those of the
        files in their order. Whole numbers and truths are nullable, as a run may lack them.

    Raises:
        ConfigError: if there are no results, or none with such a value.
        ImportError: if pandas or pyarrow is not installed.

    Examples:
        >>> import tempfile
        >>> from fgrad.jobs import carry_out
        >>> from fgrad.options.functions import FunctionRun
        >>> folder = tempfile.mkdtemp()
        >>> for k in (1, 2):
        ...     run = FunctionRun(function="sphere", n=4, gradient="frog", k=k, lr=0.1, steps=5)
        ...     _ = carry_out(run, f"{folder}/results/runs/functions/frog{k}.parquet")
        >>> load(folder, section="functions", k=2)[["gradient", "k", "seed", "step"]].tail(1)
          gradient  k  seed  step
        5     frog  2     0     5
    """
    if find_spec("pandas") is None:
        raise ImportError("fgrad.load needs pandas: pip install 'fgrad[paper]'")
    root = Path(folder)
    for inner in ("results/runs", "runs"):
        if (root / inner).is_dir():
            root = root / inner
            break
    paths = [root] if root.is_file() else files.results_below(root)
    sections = [_section(path, root) for path in paths]
    wanted = {name: _values(value) for name, value in where.items()}
    if only := wanted.pop("section", None):
        _known("section", only, sections, folder)
    chosen = [
        (path, section)
        for path, section in zip(paths, sections, strict=True)
        if not only or section in only
    ]
    if not chosen:
        raise ConfigError(f"{folder}: no results; a folder with Parquet files is needed")
    tables = [_table(path, section) for path, section in chosen]
    found = pa.concat_tables(tables, promote_options="permissive")
    for name, values in wanted.items():
        if name not in found.column_names:
            raise ConfigError(
                f"{folder}: no column {name}; there are {', '.join(found.column_names)}"
            )
        _known(name, values, pc.unique(found[name]).to_pylist(), folder)
        found = found.filter(_among(found[name], values))
    frame: pd.DataFrame = found.to_pandas(types_mapper=_nullable)
    return frame


def _section(path: Path, root: Path) -> str:
    """The folder of a run below that of all runs."""
    inner = path.relative_to(root).parts if path != root else ()
    return inner[0] if len(inner) > 1 else root.name if root.is_dir() else root.parent.name


def _values(value: Any) -> list[Any]:
    listed = isinstance(value, Collection) and not isinstance(value, str | bytes)
    return list(value) if listed else [value]


def _known(name: str, values: Iterable[Any], there: Iterable[Any], folder: Path | str) -> None:
    """Refuse values that no run has."""
    known = list(dict.fromkeys(there))
    for value in values:
        if value not in known:
            shown = ", ".join(sorted(map(str, known))[:20]) or "none"
            raise ConfigError(f"{folder}: no run with {name} = {value!r}; there are {shown}")


def _among(column: pa.ChunkedArray, values: list[Any]) -> pa.ChunkedArray:
    found = pc.is_in(column, pa.array([v for v in values if v is not None], column.type))
    return pc.or_(found, pc.is_null(column)) if None in values else found


def _table(path: Path, section: str) -> pa.Table:
    table = parquet.table(path).replace_schema_metadata(None)
    return table.add_column(0, "section", pa.repeat(section, len(table)))


def _nullable(kind: pa.DataType) -> Any:
    import pandas as pd

    if pa.types.is_integer(kind):
        return pd.Int64Dtype()
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    return pd.StringDtype(na_value=float("nan")) if pa.types.is_string(kind) else None
