"""Kills, damaged files and what cannot be done."""

import os
import re
import signal
import subprocess
import time

import pandas as pd
import pytest
from projects import Project, values

from fgrad.store import files, lease, parquet

pytestmark = pytest.mark.workflow


def test_killed_and_started_again(tmp_path):
    project = Project(tmp_path)
    target = "results/summary/functions.parquet"
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(project.runs()) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    log = next((project.work / ".snakemake/log").glob("*.log")).read_text()
    finished_jobs = re.findall(r"Finished jobid: \d+ \(Rule: descend_function\)", log)
    done = {name: path.stat().st_mtime_ns for name, path in project.runs().items()}
    assert 2 <= len(done) < 8
    assert finished_jobs
    for path in project.runs().values():
        parquet.read(path)  # whatever is there is whole
    output = project.run(target)
    repeated = [
        name for name, when in done.items() if project.runs()[name].stat().st_mtime_ns != when
    ]
    # a result whose job had not yet been recorded as finished may be made again, no other
    assert len(repeated) <= len(done) - len(finished_jobs)
    assert len(project.runs()) == 8
    assert "steps (100%) done" in output


def logged(project: Project, target: str) -> str:
    return (project.work / target.replace("runs", "logs")).with_suffix(".log").read_text()


def test_training_killed_and_started_again(tmp_path):
    project = Project(tmp_path)
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("epochs: 1", "epochs: 12"))
    target = "results/runs/fc/fc_w256/mnist5k/frog_k2/seed0.parquet"
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder, deadline = (project.work / target).parent, time.monotonic() + 120
    while not list(folder.glob(".*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert list(folder.glob(".*.checkpoint"))
    assert not (project.work / target).exists()
    project.run(target)
    assert "resumed after epoch" in logged(project, target)
    assert list(folder.glob(".*")) == [files.finished(project.work / target)]
    (project.work / target).unlink()  # as if the failure had been reported late
    project.run("results/summary/fc.parquet", options=("--force",))
    assert "computed before and not summarised yet" in logged(project, target)
    assert not list(folder.glob(".*"))  # it has been summarised
    killed = values(project.work / target)
    project.run(target, options=("--force",))
    pd.testing.assert_frame_equal(values(project.work / target), killed, check_exact=True)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("tests/tiny.yaml", "seeds: [0, 1]\n  search: {evaluations: 6, repeats: 2}\nangles", "sedes: [0, 1]\nangles", "config: functions.sedes = [0, 1]: unknown key; see config/README.md"),
        ("tests/tiny.yaml", "quality_k: [4]", "quality_k: [0]", "config: angles.quality_k.0 = 0: Input should be greater than or equal to 1"),
        ("tests/tiny.yaml", "n: [2]", "n: [2, 3]", "functions.csv: no learning rate for function rosenbrock, n 3, gradient frog, k 2"),
        ("config/learning_rates/functions.csv", "sphere,2,bp,,0.331631", "sphere,2,bp,,-0.331631", "functions.csv, row 186: lr = '-0.331631': Input should be greater than 0"),
        ("tests/tiny.yaml", "models: [resnet18]", "models: [resnet19]", "config: networks.sota.models.0 = 'resnet19': unknown model; allowed: fc, lenet5, resnet18, vit, mlpmixer"),
        ("config/learning_rates/angles.csv", "gradient,k,", "gradient,q,", "angles.csv, row 1: 'q' missing, unknown or twice"),
        ("config/config.yaml", "learning_rates: published\n", "learning_rates: found\n", "config: learning_rates = 'found': Input should be 'published', 'missing' or 'searched'"),
        ("tests/tiny.yaml", "evaluations: 6, repeats: 2}\nangles", "evaluations: 0, repeats: 2}\nangles", "config: functions.search.evaluations = 0: Input should be greater than or equal to 1"),
        ("tests/tiny.yaml", "evaluations: 3, epochs: 1", "range: [1, 0.1], epochs: 1", "config: networks.fc.search.range = [1, 0.1]: the first bound must be below the second"),
        ("tests/tiny.yaml", "evaluations: 2, epochs: 1", "range: [1, 1], epochs: 1", "config: networks.sota.search.range = [1, 1]: the first bound must be below the second"),
    ],
)  # fmt: skip
def test_wrong_input_stops_before_any_job(tmp_path, file, old, new, expected):
    project = Project(tmp_path)
    project.edit(file, old, new)
    output = project.run(ok=False)
    assert expected in output
    assert "Traceback" not in output
    assert not (project.work / "results").exists()


def test_results_that_cannot_be_written(tmp_path):
    project = Project(tmp_path)
    (project.work / "results").write_text("mine")
    output = project.run(ok=False)
    assert "is a file; a folder that can be written is needed" in output
    assert "Traceback" not in output
    assert (project.work / "results").read_text() == "mine"


def test_a_truncated_result_is_made_anew(project):
    path = project.runs()["functions/sphere/n2/bp.parquet"]
    whole = values(path)
    path.write_bytes(path.read_bytes()[:100])
    project.run("results/summary/functions.parquet")
    pd.testing.assert_frame_equal(values(path), whole, check_exact=True)


def test_a_data_set_that_is_nowhere(tmp_path):
    project = Project(tmp_path)
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("mnist5k", "svhn"))
    project.edit(
        "src/fgrad/problems/published.py",
        '("http://ufldl.stanford.edu/housenumbers/",)',
        '("file:///nowhere/",)',
    )
    project.edit("src/fgrad/problems/published.py", "PAUSE = 5.0", "PAUSE = 0.0")
    output = project.run("fc", ok=False)
    assert "data set svhn: train_32x32.mat cannot be downloaded" in output
    assert "put it into data/svhn" in output
    assert not (project.work / "results/runs").exists()


def test_two_at_once_are_refused(project):
    (project.work / "results/paper/claims.md").unlink()
    with lease.held(project.work / lease.WORKFLOW, "this folder"):
        output = project.run(ok=False)
    assert "this folder: another process is at work on it: process" in output
    assert not (project.work / "results/paper/claims.md").exists()
