"""Jobs that go on when their main process was killed: found, named, and dealt with as told."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from projects import Project, values

from fgrad.store import lease

pytestmark = pytest.mark.workflow

TARGET = "results/runs/fc/fc_w256/mnist5k/frog_k2/seed0.parquet"


@pytest.fixture
def orphaned(tmp_path) -> Iterator[tuple[Project, psutil.Process]]:
    """A project whose main process was killed in the middle of a training, which goes on."""
    project = Project(tmp_path)
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("epochs: 1", "epochs: 15"))
    started = subprocess.Popen(
        project.command(TARGET), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lock = lease.lease_of(project.work / TARGET)
    deadline = time.monotonic() + 120
    while not list(lock.parent.glob(".*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGKILL)  # and no other process
    started.wait()
    owner = lease.owner_of(lock)
    assert owner is not None
    job = psutil.Process(owner.pid)
    job.suspend()  # until a test lets it go on
    yield project, job
    if job.is_running():
        job.kill()


def log(project: Project) -> str:
    path = (project.work / TARGET.replace("runs", "logs")).with_suffix(".log")
    return path.read_text()


def undisturbed(project: Project, home: Path) -> pd.DataFrame:
    fresh = project.copy(home, results=False)
    fresh.run(TARGET)
    return values(fresh.work / TARGET)


def test_they_are_named_and_refused(orphaned):
    project, job = orphaned
    output = project.run(TARGET, ok=False)
    name = re.escape(str(lease.lease_of(Path(TARGET))))
    assert re.search(
        rf"1 job of an earlier start still at work: {name}: process {job.pid} on \S+; "
        "start again with --config orphans=wait, or orphans=cancel",
        output,
    )
    assert job.is_running()
    assert not (project.work / TARGET).exists()


def test_they_are_waited_for_and_nothing_is_trained_twice(orphaned, tmp_path):
    project, job = orphaned
    command = project.command(TARGET)
    command[command.index("--") : command.index("--")] = ["--config", "orphans=wait"]
    started = subprocess.Popen(
        command, env=project.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert started.stdout is not None
    while "waiting for them to end" not in started.stdout.readline():
        assert started.poll() is None
    job.resume()
    started.communicate(timeout=300)
    assert started.returncode == 0
    assert "computed before and not summarised yet" in log(project)
    assert "epoch" not in log(project)
    assert not job.is_running()
    found = values(project.work / TARGET)
    pd.testing.assert_frame_equal(found, undisturbed(project, tmp_path / "b"), check_exact=True)


@pytest.mark.slow
def test_they_are_cancelled_and_gone_on_from(orphaned, tmp_path):
    project, _ = orphaned
    project.run(TARGET, options=("--config", "orphans=cancel"))
    assert "resumed after epoch" in log(project)
    found = values(project.work / TARGET)
    pd.testing.assert_frame_equal(found, undisturbed(project, tmp_path / "b"), check_exact=True)


@pytest.mark.slow
def test_a_process_with_a_recycled_number_is_left_alone(orphaned, monkeypatch):
    """Only a process that works in this folder is told to end."""
    project, job = orphaned
    job.kill()
    job.wait(10)
    lock = lease.lease_of(project.work / TARGET)
    other = subprocess.Popen(["sleep", "300"], cwd="/")
    lock.write_text(
        re.sub(r"pid=\d+", f"pid={other.pid}", re.sub(r"start=.*\n", "", lock.read_text()))
    )
    try:
        output = project.run(TARGET, options=("--config", "orphans=cancel"), ok=False)
        assert "cannot be cancelled from here" in output
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_unknown_policy_is_refused_before_anything_starts(tmp_path):
    project = Project(tmp_path)
    output = project.run(TARGET, options=("--config", "orphans=forget"), ok=False)
    assert "config: orphans = 'forget'" in output
    assert "refuse" in output
