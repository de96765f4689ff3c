"""Jobs of an earlier start in Slurm's queue; the commands of Slurm are stubs here."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fgrad import orphans
from fgrad.errors import ConfigError
from fgrad.store import lease

QUEUE = """\
7|RUNNING|rule_train_network_wildcards_fc_fc_w256/mnist5k/bp/seed0|{here}
8|PENDING|rule_rows|{here}
9|RUNNING|rule_train_network_wildcards_fc_x|/elsewhere
10|RUNNING|(null)|{here}
11|RUNNING|my rule_of thumb|{here}
"""


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Path:
    """What stands in the queue; what is cancelled leaves it."""
    monkeypatch.setattr(orphans, "POLL", 0.05)
    bin, here = tmp_path / "bin", tmp_path / "here"
    bin.mkdir()
    here.mkdir()
    lines = tmp_path / "queue"
    lines.write_text(QUEUE.format(here=here))
    stubs = {
        "squeue": f"cat {lines}",
        "scancel": f'echo "$@" >> {tmp_path}/cancelled; sed -i "/^$1|/d" {lines}',
    }
    for name, body in stubs.items():
        (bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.chdir(here)
    return lines


def test_jobs_of_this_folder_are_found_and_no_others(queue):
    assert [one.queued for one in orphans.find(queue=True)] == ["7", "8"]


def test_they_are_named_when_they_are_refused(queue):
    with pytest.raises(ConfigError) as caught:
        orphans.settle("refuse", True, print)
    assert str(caught.value) == (
        "2 jobs of an earlier start still at work: Slurm job 7 (rule_train_network), running, "
        "Slurm job 8 (rule_rows), pending; start again with --config orphans=wait, or orphans=cancel"
    )


def test_they_are_cancelled(queue, tmp_path):
    orphans.settle("cancel", True, print)
    assert (tmp_path / "cancelled").read_text() == "7\n8\n"
    assert not orphans.find(queue=True)


def test_what_is_not_cancelled_is_named(queue, monkeypatch):
    monkeypatch.setattr(orphans, "GRACE", 0.2)
    (queue.parent / "bin/scancel").write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match=r"cannot be cancelled from here: Slurm job 7 .*job 8"):
        orphans.settle("cancel", True, print)
    said: list[str] = []
    orphans.end(True, said.append)
    assert said[-1] == "could not be cancelled: Slurm job 8 (rule_rows), pending"


def test_they_are_waited_for(queue):
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line == "waiting for them to end":
            queue.write_text("8|RUNNING|rule_rows|" + os.getcwd() + "\n")
        if line == "1 of them left":
            queue.write_text("")

    orphans.settle("wait", True, say)
    assert said[1:] == ["waiting for them to end", "1 of them left", "0 of them left"]


@pytest.mark.parametrize("body", ["echo no cluster >&2; exit 1", "exit 1"])
def test_a_queue_that_does_not_answer(queue, body):
    """On a machine that only has the commands it does not matter; where jobs are submitted it does."""
    (queue.parent / "bin/squeue").write_text(f"#!/bin/sh\n{body}\n")
    assert orphans.find(queue=False) == []
    with pytest.raises(ConfigError, match="squeue: the queue does not answer") as caught:
        orphans.find(queue=True)
    assert "\n" not in str(caught.value)


AT_WORK = """
import time
from pathlib import Path
from fgrad.store import interrupts, lease
with lease.alone(Path("results/runs/x.parquet")), interrupts.noticed():
    print(flush=True)
    time.sleep(60)
"""


def test_a_process_that_the_workflow_did_not_start_is_left_alone(tmp_path, monkeypatch):
    """As `fgrad train` in the same folder, when a workflow fails beside it."""
    monkeypatch.setattr(orphans, "POLL", 0.05)
    monkeypatch.chdir(tmp_path)
    # the process in between ends, so that it does not descend from this one
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {AT_WORK!r}])"
    subprocess.run([sys.executable, "-c", start], check=True)
    lock = Path("results/runs/.x.lease")
    while lease.owner_of(lock) is None:
        time.sleep(0.05)
    owner = lease.owner_of(lock)
    assert owner is not None
    said: list[str] = []
    orphans.end(False, said.append)
    assert psutil.pid_exists(owner.pid)
    assert said == []
    process = psutil.Process(owner.pid)
    orphans.settle("cancel", False, said.append)
    process.wait(10)


def test_a_child_is_ended_with_the_workflow(tmp_path, monkeypatch):
    monkeypatch.setattr(orphans, "POLL", 0.05)
    monkeypatch.chdir(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", AT_WORK], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    orphans.end(False, print)
    assert child.wait(10) == 143


def test_one_that_has_ended_by_itself_hinders_no_other(queue, tmp_path):
    """And a queue that is busy for a moment ends no wait."""
    lines = tmp_path / "queue"
    scancel = f'[ $1 = 7 ] && {{ sed -i "/^7|/d" {lines}; echo Invalid job id >&2; exit 1; }}\n'
    (queue.parent / "bin/scancel").write_text(f'#!/bin/sh\n{scancel}sed -i "/^$1|/d" {lines}\n')
    squeue = f"[ -f {tmp_path}/busy ] && {{ rm {tmp_path}/busy; echo timed out >&2; exit 1; }}\n"
    (queue.parent / "bin/squeue").write_text(f"#!/bin/sh\n{squeue}cat {lines}\n")
    found = orphans.find(queue=True)
    (tmp_path / "busy").touch()
    assert orphans.cancel(found, True, print) == []
