"""Which results are what the configuration asks for: told from the files, not from their times."""

import copy
import os
import time
from pathlib import Path

import pytest
import yaml

from fgrad import jobs
from fgrad.plan import runs
from fgrad.plan.status import SCRIPTS, Status
from fgrad.store import fingerprint

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config/config.yaml").read_text())
NAMES = ("sphere/n4/bp", "sphere/n4/frog_k4")


@pytest.fixture
def config() -> dict:
    """Few steps of two gradients on the sphere."""
    values = copy.deepcopy(PAPER)
    values["functions"] |= {"functions": ["sphere"], "n": [4], "seeds": [0]}
    values["functions"]["steps"]["sphere"] = 3
    values["functions"]["search"] = {"evaluations": 2, "repeats": 1}
    for name in ("fc", "sota"):
        values["networks"][name] |= {"seeds": [0]}
    return values


def status(config: dict) -> Status:
    found = runs.load(config, ROOT / "config")[1]
    chosen = {
        "functions": found.jobs["functions"],
        "search_functions": found.jobs["search_functions"],
    }
    chosen = {
        section: {name: job for name, job in named.items() if name in NAMES}
        for section, named in chosen.items()
    }  # fmt: skip
    return Status(runs.Runs(chosen, {}), ROOT / "workflow/scripts")


def computed(asked: Status, only: set[tuple[str, str]] | None = None) -> None:
    """Every result, or some, as the workflow makes them: searches first."""
    for section, name in asked.runs.names():
        if only is not None and (section, name) not in only:
            continue
        job = asked.runs.jobs[section][name]
        searches = [f"results/runs/{job.search}.parquet"] if job.search else []
        run = runs.SECTIONS[section](**jobs.with_rate(job.options, searches))
        script = asked.scripts / SCRIPTS[type(run)]
        jobs.carry_out(run, runs.result_file(section, name), script=script)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_scripts_are_there():
    for script in SCRIPTS.values():
        assert (ROOT / "workflow/scripts" / script).exists()


def test_what_was_computed_is_not_stale(config, tmp_path):
    asked = status(config)
    assert set(asked.stale.values()) == {"missing"}
    assert len(asked.stale) == 4
    computed(asked)
    assert status(config).stale == {}


def test_a_job_without_its_script_is_the_same(config):
    asked = status(config)
    for section, name in asked.runs.names():
        run = runs.SECTIONS[section](**asked.runs.jobs[section][name].options)
        jobs.carry_out(run, runs.result_file(section, name))
    assert status(config).stale == {}


def test_an_edited_option_is_named_for_the_runs_it_concerns(config):
    computed(status(config))
    config["functions"]["patience"] = 7
    assert status(config).stale == {
        ("functions", name): "patience = 50, asked for 7" for name in NAMES
    }  # fmt: skip


def test_older_files_are_no_other_files(config):
    computed(status(config))
    for path in Path("results").rglob("*.parquet"):
        os.utime(path, (1, 1))
    assert status(config).stale == {}


def test_edited_code_makes_stale_what_it_concerns(config, monkeypatch):
    computed(status(config))
    real = fingerprint._hash

    def edited(module: str, name: str) -> str:
        return real(module, name) + ("edited" if name == "projection" else "")

    monkeypatch.setattr(fingerprint, "_hash", edited)
    fingerprint._fingerprint.cache_clear()
    try:
        stale = status(config).stale
    finally:
        fingerprint._fingerprint.cache_clear()
    assert {key for key in stale if "frog" in key[1]} == set(stale) == {
        (section, NAMES[1]) for section in ("functions", "search_functions")
    }  # fmt: skip
    assert all(words.startswith("made by other code (") for words in stale.values())


def test_a_run_waits_for_its_search(config):
    config["learning_rates"] = "searched"
    asked = status(config)
    computed(asked)
    assert status(config).stale == {}
    config["functions"]["search"]["seed"] = 5
    stale = status(config).stale
    assert set(stale) == set(asked.runs.names())
    for name in NAMES:
        assert stale["search_functions", name] == "seed = 0, asked for 5"
        assert stale["functions", name] == "its learning rate is searched for again"
    computed(status(config), {("search_functions", name) for name in NAMES})
    after = status(config).stale  # what the searches found is another rate now
    assert set(after) <= {("functions", name) for name in NAMES}
    assert all(words.startswith("lr = ") for words in after.values())


def test_the_stamp_is_newer_than_what_is_stale(config):
    computed(status(config))
    config["functions"]["patience"] = 7
    file = runs.result_file("functions", NAMES[0])
    for age in (0, time.time() + 1000):  # none, and of another machine's clock
        os.utime(file, (age, age))
        stamp = Path(status(config).stamp_for(file))
        assert 0 < Path(file).stat().st_mtime < stamp.stat().st_mtime <= time.time()
    content = stamp.read_text()
    status(config).stamp_for(file)
    assert stamp.read_text() != content


def test_what_is_missing_has_a_stamp_too(config):
    asked = status(config)
    assert set(asked.stale.values()) == {"missing"}
    assert not Path(".snakemake/fgrad.stale").exists()
    assert Path(asked.stamp_for(runs.result_file("functions", NAMES[0]))).exists()
