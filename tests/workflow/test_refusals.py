"""What a start is given on its command line: refused in a few lines before any job, or heeded."""

import os
import re
import signal
import subprocess
import time

import pytest
import yaml
from projects import Project

from fgrad.store import parquet

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Project:
    """A project that nothing has been computed in, nor is."""
    return Project(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize(
    ("overlay", "options", "expected"),
    [
        ("functions: {seeds: [0], seeds: [1]}", (), "own.yaml: no YAML: line 1: the key 'seeds' stands there twice"),
        ("functions: {patience: 0.1_0}", (), "config: functions.patience = '0.1_0': Input should be a valid integer"),
        ("quality: {job_size: 1, direct: [{n: [4], samples: 1000000000000}]}", (), "config: quality.job_size = 1: 1,000,000,000,000 jobs; 20,000 at most"),
        ("networks: {data_dir: file}", (), "networks.data_dir = 'file': file is a file, not a folder"),
        ("networks: {data_dir: file/below}", (), "file is a file, not a folder"),
        ('networks: {data_dir: "a\\0b"}', (), "networks.data_dir = 'a\\x00b': no path: it holds a NUL"),
        ("{}", ("--config", 'functions={"seeds": [7, "8"]}'), "config: functions.seeds.1 = '8': Input should be a valid integer"),
        ("{}", ("--config", "functions={seeds: [7"), "--config functions: no YAML"),
        ("{}", ("--config", "orphans=maybe"), "config: orphans = 'maybe': Input should be 'refuse', 'wait' or 'cancel'"),
        ("gradients: {frog: {max_length: 2}}", (), "config: gradients.frog: max_length 2.0 needs the sampler orthogonal"),
        ("gradients: {new: {aggregation: mean, k: [3]}}", (), "learning_rates: searched"),
    ],
    ids=lambda one: str(one)[:40],
)  # fmt: skip
def test_refused_while_the_rules_are_read(fresh, overlay, options, expected):
    own = fresh.work / "own.yaml"
    own.write_text(overlay)
    (fresh.work / "file").touch()
    tiny = str(fresh.home / "tests/tiny.yaml")
    output = fresh.run(options=("--dry-run", "--configfile", tiny, str(own), *options), ok=False)
    _, _, said = output.partition("WorkflowError")
    assert expected in said
    assert len(said.strip().splitlines()) <= 12
    assert "Traceback" not in output
    assert not (fresh.work / "results").exists()


def test_values_of_config_are_those_of_a_file(tmp_path):
    project = Project(tmp_path)
    path = "results/runs/functions/sphere/n2/bp.parquet"
    project.run(
        path, options=("--config", 'functions={"seeds": [7, 8], "search": {"margin": 1e-1}}')
    )
    assert parquet.provenance(project.work / path)["run"]["seeds"] == [7, 8]
    again = project.planned(path)
    assert again == {"descend_function": 1}


def test_a_gpu_that_is_not_here(tmp_path):
    project = Project(tmp_path)
    own = {"networks": {"fc": {"device": "cuda:99"}}}
    (project.work / "own.yaml").write_text(yaml.safe_dump(own))
    overlays = (str(project.home / "tests/tiny.yaml"), str(project.work / "own.yaml"))
    output = project.run("fc", options=("--configfile", *overlays), ok=False)
    assert "device = 'cuda:99': no such GPU here; there are cpu" in output
    assert not (project.work / "results/runs").exists()
    # what does not need it is not refused for it
    path = "results/runs/functions/sphere/n2/bp.parquet"
    project.run(path, options=("--configfile", *overlays))


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path):
    project = Project(tmp_path)
    target = "results/summary/functions.parquet"
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(project.runs()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does, to jobs as well
    said, _ = started.communicate(timeout=120)
    assert started.returncode == 130
    assert (
        said.splitlines()[-1]
        == "fgrad: interrupted; the same command goes on from what is finished"
    )
    assert not re.search("Traceback|KeyboardInterrupt|Error", said)
    kept = {name: path.stat().st_mtime_ns for name, path in project.runs().items()}
    project.run(target)
    assert len(project.runs()) == 8
    same = [name for name, when in kept.items() if project.runs()[name].stat().st_mtime_ns == when]
    assert len(same) >= len(kept) - 2  # those that had not yet been recorded
