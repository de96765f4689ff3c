"""A job of any kind: its file says what it is, one process at a time, and nothing is left over."""

import pytest
from filelock import FileLock

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plan.runs import SECTIONS
from fgrad.store import parquet
from fgrad.store.context import Context
from fgrad.store.fingerprint import fingerprint
from fgrad.store.identity import Asked, defining, difference

SPHERE = {"function": "sphere", "n": 4, "gradient": "frog", "k": 2, "steps": 5}
FC = {"model": "fc", "width": 64, "reduce": 16, "gradient": "frog", "k": 2, "epochs": 1}
FC |= {"device": "cpu", "batch": 500}

KINDS = {
    "quality": QualityRun(n=(4,), samples=2),
    "exact": QualityRun(n=(4,), samples=2, method="exact"),
    "descent": FunctionRun(**SPHERE, lr=0.1),
    "training": TrainRun(**FC, lr=0.1),
    "function search": FunctionSearch(**SPHERE, evaluations=3),
    "network search": NetworkSearch(**FC, evaluations=2, range=(0.01, 0.1)),
}


def test_every_kind_of_job_is_tried():
    assert {type(run) for run in KINDS.values()} == set(jobs.SCHEMAS) == set(SECTIONS.values())


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
    with FileLock(tmp_path / ".r.lock"), pytest.raises(ConfigError) as caught:
        jobs.carry_out(KINDS[name], path)
    assert str(caught.value) == f"{path}: another process is at work on it"
    assert not path.exists()


@pytest.mark.parametrize("error", [ConfigError, KeyboardInterrupt])
def test_a_job_that_fails_leaves_no_lock(error, tmp_path, monkeypatch):
    def compute(run, context):
        assert [one.name for one in tmp_path.iterdir()] == [".r.lock"]
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
