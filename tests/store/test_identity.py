"""What a result is against what is asked for: every kind of difference, each in words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.networks import TrainRun
from fgrad.options.quality import QualityRun
from fgrad.store import parquet, schemas
from fgrad.store.identity import (
    Asked,
    check,
    defining,
    description,
    difference,
    digest,
    found_rate,
)

RUN = dict[str, Any](function="sphere", n=4, gradient="frog", k=2, lr=0.1, seeds=[0, 1])
TASK: dict[str, Any] = {"model": "fc", "width": 16, "gradient": "frog", "k": 4}
CODE = "0123456789abcdef"


def made(path: Path, run: dict | None = None, **provenance) -> Path:
    """A result that says of itself what it is told to."""
    plain = FunctionRun(**RUN).model_dump(mode="json") if run is None else run
    columns = {"value": np.array([4.0, 2.0]), "step": np.array([0, 1])}
    parquet.write(path, schemas.FUNCTIONS, columns, **{"run": plain, "code": CODE} | provenance)
    return path


def wanted(path: Path, kind: type, run: dict, code: tuple = (CODE,), search: str | None = None):
    reference = f"{kind.__module__}:{kind.__qualname__}"
    return Asked(str(path), reference, defining(run), code, search)


def asked(path: Path, search: Path | None = None, kind: type = FunctionRun, **changes) -> Asked:
    run = FunctionRun(**RUN | changes).model_dump(mode="json")
    if search is not None:
        del run["lr"]
    return wanted(path, kind, run, (CODE, "of-no-script"), str(search) if search else None)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.parquet"


@pytest.fixture
def search(tmp_path) -> Path:
    """A search that found 0.1."""
    file = tmp_path / "search.parquet"
    return made(file, {"function": "sphere"}, found={"lr": 0.1})


def refused(one: Asked) -> str:
    """The one line by which a file is refused; it names the file."""
    differs = difference(one)
    with pytest.raises(ConfigError) as caught:
        check([one.plain()])
    line = str(caught.value)
    assert line == f"{one.path}: {differs}; run snakemake again, it will be made anew"
    assert "\n" not in line
    return differs


def test_what_was_asked_for_is_no_difference(path):
    made(path)
    assert difference(asked(path)) == ""
    check([asked(path).plain()])
    check(json.loads(json.dumps([asked(path).plain()])))  # as a job is handed it


def test_a_missing_file(path):
    assert refused(asked(path)) == "missing"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.2}, "lr = 0.1, asked for 0.2"),
        ({"seeds": [0]}, "seeds = [0, 1], asked for [0]"),
        ({"n": 5}, "n = 4, asked for 5"),
        ({"gradient": "bp", "k": None}, "asked for"),
        ({"approach": {"aggregation": "mean"}}, "approach = "),
    ],
)
def test_other_options_are_named(path, changes, words):
    made(path)
    assert words in refused(asked(path, **changes))


def test_other_code(path):
    made(path, code="fedcba9876543210")
    assert refused(asked(path)) == (
        f"made by other code (fedcba9876543210, now {CODE})"
    )  # fmt: skip


def test_code_that_was_edited_while_the_job_was_at_work(path):
    made(path, code=None)
    assert refused(asked(path)) == f"made by other code (not recorded, now {CODE})"


def test_any_of_the_codes_that_are_asked_for_will_do(path):
    made(path, code="of-no-script")
    assert difference(asked(path)) == ""


def test_code_that_was_accepted_since(path):
    made(path, code="old", accepted={"code": CODE})
    assert difference(asked(path)) == ""
    made(path, code="old", accepted={"code": "older"})
    assert refused(asked(path)) == f"made by other code (old, now {CODE})"


@pytest.mark.parametrize("changes", [{"device": "cuda:1"}, {"gpu_slots": 4}, {"threads": 8}, {"profile": True}, {"checkpoint_minutes": 5.0}])  # fmt: skip
def test_how_a_job_was_carried_out_is_recorded_and_no_difference(path, changes):
    run = TrainRun(**TASK, lr=0.1)
    there = run.model_copy(update=changes).model_dump(mode="json")
    made(path, there)
    one = wanted(path, TrainRun, run.model_dump(mode="json"))
    assert difference(one) == ""
    assert parquet.provenance(path)["run"] == there
    made(path, run.model_copy(update={"batch": 32}).model_dump(mode="json"))
    assert refused(one) == "batch = 32, asked for None"


def test_an_option_that_was_added_later_has_its_default(path):
    plain = FunctionRun(**RUN).model_dump(mode="json")
    made(path, {name: value for name, value in plain.items() if name != "patience"})
    assert difference(asked(path)) == ""
    assert refused(asked(path, patience=7)) == "patience = 50, asked for 7"


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (FunctionRun(**RUN).model_dump(mode="json") | {"momentum": 0.9}, FunctionRun),
        ({"n": 4}, FunctionRun),
        (QualityRun(n=(4,)).model_dump(mode="json"), FunctionRun),
        (FunctionRun(**RUN).model_dump(mode="json") | {"function": "gone"}, FunctionRun),
        ({"function": 3}, FunctionRun),
    ],
)
def test_options_that_are_not_known_or_of_another_kind(path, run, kind):
    made(path, run)
    assert refused(asked(path, kind=kind)) == (
        "made with options that are not known any more, or of another kind"
    )


@pytest.mark.parametrize("content", [b"", b"lr,value\n0.1,2\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_parquet(path, content):
    path.write_bytes(content)
    advice = ", delete it and run again" if content.startswith(b"PAR1") else ""
    assert refused(asked(path)).startswith(f"not a whole Parquet file{advice}: ")


@pytest.mark.parametrize(
    "metadata",
    [None, {"fgrad": "{}"}, {"fgrad": "[]"}, {"fgrad": "null"}, {"fgrad": "no JSON"}, {"pandas": "{}"}],
)  # fmt: skip
def test_a_parquet_file_of_somebody_else(path, metadata):
    pq.write_table(pa.table({"value": [1.0]}).replace_schema_metadata(metadata), path)
    assert refused(asked(path)) == "no result of this project: it does not say what it is"


def test_a_folder_in_its_place(path):
    path.mkdir()
    assert refused(asked(path)).startswith("not a whole Parquet file")


def test_a_searched_rate_is_the_one_that_its_search_found(path, search):
    made(path)
    assert difference(asked(path, search)) == ""
    made(search, {}, found={"lr": 0.25})
    assert refused(asked(path, search)) == "lr = 0.1, asked for 0.25"


def test_a_search_that_is_not_there(path, search):
    made(path)
    search.unlink()
    assert refused(asked(path, search)) == f"{search}: no such file"


@pytest.mark.parametrize("provenance", [{}, {"found": None}, {"found": {}}])
def test_the_search_of_somebody_else_is_named_and_not_the_run(path, search, provenance):
    made(path)
    made(search, {}, **provenance)
    assert refused(asked(path, search)) == f"{search}: the result of a search is expected"
    with pytest.raises(ConfigError, match="the result of a search is expected"):
        found_rate(str(search))


def test_a_damaged_search_is_named(path, search):
    made(path)
    search.write_bytes(search.read_bytes()[:-9])
    assert refused(asked(path, search)).startswith(f"{search}: not a whole Parquet file")


def test_searches_are_compared_as_runs_are(path):
    options = {name: value for name, value in RUN.items() if name not in ("lr", "seeds")}
    plain = FunctionSearch(**options).model_dump(mode="json")
    made(path, plain)
    assert difference(wanted(path, FunctionSearch, plain)) == ""
    wider = FunctionSearch(**options, range=(1e-4, 1.0)).model_dump(mode="json")
    assert refused(wanted(path, FunctionSearch, wider)) == (
        "range = [1e-06, 1.0], asked for [0.0001, 1.0]"
    )


def test_keys_of_what_a_restart_goes_on_with():
    """The device's name, checkpoints and traces change no number; the threads may, and the rest."""

    def key(run: dict, code: str, on: str) -> str:
        return digest(description(run, code, on))

    plain = TrainRun(**TASK, lr=0.1).model_dump(mode="json")
    first = key(plain, CODE, "cpu")
    assert len(first) == 16
    assert first == key(dict(reversed(plain.items())), CODE, "cpu")
    for same in (
        {"device": "cpu"},
        {"gpu_slots": 2},
        {"checkpoint_minutes": 9.0},
        {"profile": True},
    ):
        assert key(plain | same, CODE, "cpu") == first
    for other in ({"threads": 2}, {"lr": 0.2}, {"seed": 1}, {"precision": "bf16"}):
        assert key(plain | other, CODE, "cpu") != first
    assert key(plain, "other", "cpu") != first
    assert key(plain, CODE, "cuda") != first


def test_digests_are_of_values():
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5}) != digest({"a": "1.5"})
