"""A foreign or damaged file among the results is named, with what was expected."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.paper import summary

RUN = FunctionRun(function="sphere", n=4, gradient="frog", k=2, lr=0.1, steps=3)


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "run.parquet"
    jobs.carry_out(RUN, path)
    return path


def without(table: pa.Table, column: str) -> pa.Table:
    return table.drop_columns([column])


def as_text(table: pa.Table, column: str) -> pa.Table:
    position = table.column_names.index(column)
    texts = pa.array(["x"] * len(table))
    return table.set_column(position, column, texts)


DAMAGES = {
    "column": (lambda table: without(table, "function"), "without function; expected are"),
    "columns": (lambda table: without(without(table, "seed"), "lr"), "without lr, seed; expected"),
    "text": (lambda table: as_text(table, "value"), "without value; expected are the columns"),
    "rows": (lambda table: table.slice(0, 0), "without rows; expected"),
    "metadata": (lambda table: table.replace_schema_metadata({}), "do not fit together ('stop')"),
    "function": (lambda table: as_text(table, "function"), "do not fit together ('x')"),
}


@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result(result, damage, expected):
    pq.write_table(damage(pq.read_table(result)), result)
    with pytest.raises(ConfigError) as caught:
        summary.functions([str(result)])
    message = str(caught.value)
    assert message.startswith(f"{result}: a foreign or damaged result, ")
    assert expected in message
    assert "function, n, gradient, k, angle_deg, lr, seed, step, value" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "summarise",
    [
        summary.quality, summary.functions, summary.curves, summary.networks,
        summary.network_curves, summary.compared, lambda paths: summary.searches(paths, [None]),
    ],
)  # fmt: skip
def test_a_foreign_file(tmp_path, summarise):
    path = tmp_path / "theirs.parquet"
    pd.DataFrame({"time": np.arange(3.0)}).to_parquet(path)
    with pytest.raises(ConfigError, match=r"theirs\.parquet: a foreign or damaged result, without"):
        summarise([str(path)])
    path.write_bytes(b"no Parquet at all")
    with pytest.raises(ConfigError, match=r"theirs\.parquet: not a whole Parquet file"):
        summarise([str(path)])


def test_a_whole_result_is_read(result):
    assert len(summary.functions([str(result)])) == 1
