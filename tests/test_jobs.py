"""A job of any kind: its file says what it is, one process at a time, and nothing is left over."""

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plan.runs import SECTIONS
from fgrad.store import files, lease, parquet
from fgrad.store.context import Context
from fgrad.store.fingerprint import fingerprint
from fgrad.store.identity import Asked, defining, difference

SPHERE: dict[str, Any] = {"function": "sphere", "n": 4, "gradient": "frog", "k": 2, "steps": 5}
FC = dict[str, Any](model="fc", width=64, reduce=16, gradient="frog", k=2, epochs=1)
FC |= {"device": "cpu", "batch": 500}

KINDS = {
    "quality": QualityRun(n=(4,), samples=2),
    "exact": QualityRun(n=(4,), samples=2, method="exact"),
    "descent": FunctionRun(**SPHERE, lr=0.1),
    "comparison": FunctionComparison(**SPHERE, lr=0.1, published=0.2),
    "training": TrainRun(**FC, lr=0.1),
    "function search": FunctionSearch(**SPHERE, evaluations=3),
    "network search": NetworkSearch(**FC, evaluations=2, range=(0.01, 0.1)),
}


def test_every_kind_of_job_is_tried():
    assert {type(run) for run in KINDS.values()} == set(jobs.SCHEMAS) == set(SECTIONS.values())


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_what_was_asked_for(name, tmp_path):
    run, path = KINDS[name], tmp_path / "sub" / "r.parquet"
    jobs.carry_out(run, path)
    assert [one.name for one in path.parent.iterdir()] == ["r.parquet"]
    assert list(parquet.read(path).columns) == list(jobs.SCHEMAS[type(run)])
    kept = parquet.provenance(path)
    assert kept["code"] == fingerprint(*run.code())
    assert kept["start"] <= kept["end"]
    plain = run.model_dump(mode="json")
    assert kept["run"] == plain
    kind = f"{type(run).__module__}:{type(run).__qualname__}"
    assert difference(Asked(str(path), kind, defining(plain), (kept["code"],))) == ""


@pytest.mark.parametrize("name", KINDS)
def test_one_process_at_a_time(name, tmp_path):
    path = tmp_path / "r.parquet"
    with lease.alone(path), pytest.raises(ConfigError) as caught:
        jobs.carry_out(KINDS[name], path)
    me = f"process {os.getpid()} on {socket.gethostname()}"
    assert str(caught.value) == f"{path}: another process is at work on it: {me}"
    assert not path.exists()


@pytest.mark.parametrize("error", [ConfigError, KeyboardInterrupt])
def test_a_job_that_fails_leaves_no_lock(error, tmp_path, monkeypatch):
    def compute(run, context):
        assert [one.name for one in tmp_path.iterdir()] == [".r.lease"]
        raise error

    monkeypatch.setattr("fgrad.experiments.descent.compute", compute)
    with pytest.raises(error):
        jobs.carry_out(KINDS["descent"], tmp_path / "r.parquet")
    assert not list(tmp_path.iterdir())


def test_a_scripts_code_counts_as_the_jobs(tmp_path):
    script, run = tmp_path / "script.py", KINDS["descent"]
    script.write_text("from fgrad import jobs\n\nprint('at work')\n")
    jobs.carry_out(run, tmp_path / "r.parquet", script=script)
    code = parquet.provenance(tmp_path / "r.parquet")["code"]
    assert code == fingerprint(*run.code(), script) != fingerprint(*run.code())


def test_a_result_whose_code_was_edited_meanwhile_does_not_count(tmp_path):
    """It is written, as it may have taken hours, and computed again by the next call for it."""
    script, run, said = tmp_path / "script.py", KINDS["descent"], []
    script.write_text("answer = 1\n")

    def progress(done: int, total: int) -> None:
        script.write_text("answer = 2\n")

    path = tmp_path / "r.parquet"
    jobs.carry_out(run, path, Context(said.append, progress), script)
    assert said == ["the code was edited while the job was at work: it will be repeated"]
    assert parquet.provenance(path)["code"] is None
    kind, plain = "fgrad.options.functions:FunctionRun", defining(run.model_dump(mode="json"))
    asked = Asked(str(path), kind, plain, (fingerprint(*run.code()),))
    assert "made by other code (not recorded" in difference(asked)


def test_a_run_without_a_search_keeps_its_rate(tmp_path):
    assert jobs.with_rate({"lr": 0.5, "n": 4}, []) == {"lr": 0.5, "n": 4}
    path = tmp_path / "r.parquet"
    jobs.carry_out(KINDS["descent"], path)
    with pytest.raises(ConfigError) as caught:
        jobs.with_rate({"n": 4}, [str(path)])
    assert str(caught.value) == f"{path}: the result of a search is expected"


WORKFLOW = Context(workflow=True)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_what_was_finished_is_not_computed_again(name, tmp_path, monkeypatch):
    """The output is deleted when a failure is reported late; what was computed is not lost."""
    path, said = tmp_path / "r.parquet", []
    first = jobs.carry_out(KINDS[name], path, WORKFLOW)
    content = path.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"r.parquet", ".r.finished"}
    path.unlink()
    module, attribute = KINDS[name].code()[0].split(":")
    monkeypatch.setattr(f"{module}.{attribute}", None)
    again = jobs.carry_out(KINDS[name], path, Context(said.append, workflow=True))
    assert path.read_bytes() == content
    assert "computed before and not summarised yet" in said[0]
    assert set(again.columns) >= set(first.columns)
    assert again.facts | json.loads(json.dumps(first.facts)) == again.facts
    files.drop_finished([path])
    assert [one.name for one in tmp_path.iterdir()] == ["r.parquet"]


def other(what: str, path: Path) -> None:
    """A finished copy that is not the one of the job."""
    copy = files.finished(path)
    if what == "options":
        jobs.carry_out(KINDS["descent"].model_copy(update={"lr": 0.5}), path, WORKFLOW)
    elif what == "code":
        jobs.carry_out(KINDS["descent"], path, WORKFLOW)
        parquet.restamp(copy, code="0" * 16)
    elif what == "torch":
        jobs.carry_out(KINDS["descent"], path, WORKFLOW)
        parquet.restamp(copy, versions={"torch": "1.0"})
    elif what == "odd":
        parquet.write(copy, {"x": pa.int64()}, {"x": [1]}, run=5, code=None)
    elif what == "damaged":
        copy.write_bytes(b"PAR1")
    else:
        parquet.write(copy, {"x": pa.int64()}, {"x": [1]})
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["options", "code", "torch", "damaged", "foreign", "odd"])
def test_another_finished_copy_is_not_taken(what, tmp_path):
    path = tmp_path / "r.parquet"
    other(what, path)
    jobs.carry_out(KINDS["descent"], path, WORKFLOW)
    made = parquet.provenance(path)
    assert made["run"] == KINDS["descent"].model_dump(mode="json")
    assert made["code"] == fingerprint(*KINDS["descent"].code())


def test_a_job_whose_output_another_has_taken_over_writes_nothing(tmp_path, monkeypatch):
    """It was stopped for longer than a lease lasts."""
    monkeypatch.setattr(lease, "LOOK", 0.0)
    lock = lease.lease_of(tmp_path / "r.parquet")

    def compute(run, context):
        context.progress(1, 100)
        lock.write_text(re.sub("token=.*", f"token={'0' * 32}", lock.read_text()))
        context.progress(2, 100)

    monkeypatch.setattr("fgrad.experiments.descent.compute", compute)
    with pytest.raises(ConfigError, match="another process has taken over"):
        jobs.carry_out(KINDS["descent"], tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()


def test_a_job_that_waited_takes_what_the_other_wrote(tmp_path, monkeypatch):
    """Also when that was summarised in between."""
    path, run = tmp_path / "r.parquet", KINDS["descent"]
    jobs.carry_out(run, path)
    monkeypatch.setattr("fgrad.experiments.descent.compute", None)
    written = path.stat().st_mtime_ns
    jobs.carry_out(run, path, WORKFLOW)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", [".r.finished", "r.parquet"])
def test_a_folder_in_the_way_is_told_before_anything_is_computed(name, tmp_path, monkeypatch):
    monkeypatch.setattr("fgrad.experiments.descent.compute", None)
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match=f"{name}: a folder, where a file is to be written"):
        jobs.carry_out(KINDS["descent"], tmp_path / "r.parquet", WORKFLOW)
