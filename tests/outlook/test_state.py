"""What is seen of a run from outside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fgrad.errors import ConfigError
from fgrad.outlook import state
from fgrad.outlook.state import Job
from fgrad.store import files, lease
from fgrad.store.log import epoch_line, trial_line

EPOCH = epoch_line(
    [{"val_loss": 2.3, "val_accuracy": 0.1, "train_seconds": 0.0, "eval_seconds": 1.0}], 50, 2.0
)
TRIAL = trial_line(3, 0.1, 1.5, "stalled")
TRACE = 'Traceback (most recent call last):\n  File "a.py", line 1\n    f()\n'


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(name: str) -> Job:
    path = Path(f"results/runs/fc/{name}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    return Job("train_network", f"training, {name}", [str(path)], f"{name}.log", f"{name}.tsv")


def started(*names: str) -> None:
    state.begun([job(name) for name in names])
    os.utime(state.STARTED, (time.time() - 5,) * 2)


def seen(*also: str) -> list[tuple[str, str]]:
    return [(one.state, one.says) for one in state.look(Path()).seen]


def test_a_folder_where_nothing_was_started_is_refused(here):
    with pytest.raises(ConfigError, match="no run was started here"):
        state.look(Path("nowhere"))
    state.STARTED.parent.mkdir()
    state.STARTED.write_text("[{")
    with pytest.raises(ConfigError, match="no list of jobs"):
        state.look(Path())


def test_outputs_of_the_last_start_are_done_and_older_ones_wait(here):
    started("new", "old")
    for name in ("new", "old"):
        Path(job(name).outputs[0]).touch()
    os.utime(job("old").outputs[0], (time.time() - 60,) * 2)
    assert seen() == [("done", ""), ("waiting", "")]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("", ""),
        (EPOCH, "epoch 0/50, val 2.3000; at most 0:01:40 left"),
        (EPOCH[: len(EPOCH) // 2], ""),  # being written
        ("2026-01-01T00:00:00+00:00 1/4\n2026-01-01T00:00:10+00:00 2/4", "2 of 4; about 0:00:20 left"),
        (TRIAL + "\n2026-01-01T00:00:10+00:00 4/9", "4 of 9, lr 0.1: loss 1.5"),
    ],
    ids=("nothing", "epoch", "half a line", "steps", "trial"),  # logs tell the time of the day
)  # fmt: skip
def test_a_job_with_a_lease_runs_and_says_how_far_it_is(here, log, says):
    started("one")
    Path("one.log").write_text(log)
    with lease.held(lease.WORKFLOW, "here"), lease.alone(Path(job("one").outputs[0])):
        assert seen() == [("running", says)]
        assert state.look(Path()).owner == lease.Owner(files.host(), os.getpid())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("fgrad.errors.ConfigError: too large\n", "too large"),
        ("ValueError: first\nsecond\n", "ValueError: first"),
        ("ValueError: \x1b[2J\n", "ValueError: \\x1b[2J"),
    ],
)
def test_a_job_whose_log_ends_in_an_error_has_failed(here, error, says):
    started("one")
    Path("one.log").write_text(f"2026-01-01T00:00:00+00:00 1/4\n{TRACE}{error}")
    assert seen() == [("failed", says)]
    words = list(state.lines(Path(), state.look(Path())))
    assert words[2] == f"failed   training, one: {says} (one.log)"


def test_a_job_that_was_killed_has_failed_as_long_as_the_run_goes_on(here):
    started("one")
    Path("one.log").write_text(EPOCH)
    kill = "import os, sys, pathlib; from fgrad.store import lease\n"
    kill += "with lease.alone(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, job("one").outputs[0]], check=False)
    with lease.held(lease.WORKFLOW, "here"):
        ((now, says),) = seen()
        assert (now, says[:30]) == ("failed", "ended without a word after: ep")
    assert seen() == [("waiting", "")]  # interrupted with all others


def test_a_job_that_was_told_to_end_waits_for_the_next_start(here):
    started("one")
    Path("one.log").write_text("x told to end; the same job goes on from what is kept\n")
    with lease.held(lease.WORKFLOW, "here"):
        assert seen() == [("waiting", "")]


def test_a_job_of_another_host_runs_until_nothing_is_heard_of_it(here):
    started("one")
    Path("one.log").write_text(EPOCH)
    lock = lease.lease_of(Path(job("one").outputs[0]))
    with lease.alone(Path(job("one").outputs[0])):
        content = lock.read_text()
    lock.write_text(content.replace(files.host(), "node7").replace(str(os.getpid()), "1"))
    assert lease.owner_of(lock) == lease.Owner("node7", 1)
    assert [one for one, _ in seen()] == ["running"]
    os.utime(lock, (time.time() - 2 * lease.SECONDS,) * 2)
    assert [one for one, _ in seen()] == ["waiting"]


def test_nothing_is_written(here):
    started("one", "two")
    Path("one.log").write_text(EPOCH)
    Path("two.log").write_text(TRACE + "ValueError: x\n")
    kill = "import os, sys, pathlib; from fgrad.store import lease\n"
    kill += "with lease.alone(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, job("one").outputs[0]], check=False)
    before = {path: path.stat().st_mtime_ns for path in sorted(here.rglob("*"))}
    list(state.lines(Path(), state.look(Path())))
    assert {path: path.stat().st_mtime_ns for path in sorted(here.rglob("*"))} == before


def test_the_time_left_is_what_others_of_the_kind_took(here):
    started("a", "b", "c", "d", "e")
    for name in ("a", "b", "c"):
        Path(job(name).outputs[0]).touch()
        Path(f"{name}.tsv").write_text("s\tmax_rss\tcpu_time\n60.0\t1\t1\n")
    with lease.held(lease.WORKFLOW, "here"):
        assert state.left(Path(), state.look(Path())) == 120
        state.begun([job(name) for name in "abcde"], cores=8)
        os.utime(state.STARTED, (time.time() - 5,) * 2)
        assert state.left(Path(), state.look(Path())) == 60  # no more cores than jobs
    assert state.left(Path(), state.look(Path())) is None


def test_of_many_jobs_some_are_listed(here):
    names = [f"j{number}" for number in range(50)]
    started(*names)
    for name in names:
        Path(f"{name}.log").write_text(TRACE + "ValueError: x\n")
    words = list(state.lines(Path(), state.look(Path())))
    assert len(words) == 2 + state.SHOWN + 1
    assert words[-1] == f"failed   and {50 - state.SHOWN} more"


def test_the_command_looks_from_elsewhere(here):
    started("one")
    fgrad = [sys.executable, "-m", "fgrad", "status", "--directory"]
    done = subprocess.run(
        [*fgrad, str(here), "--watch"], capture_output=True, text=True, check=True
    )
    assert "done     0 of 1" in done.stdout  # on no terminal it looks once
    done = subprocess.run([*fgrad, "/"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert json.loads(state.STARTED.read_text())["jobs"][0]["rule"] == "train_network"


def test_a_job_that_was_killed_has_failed_once_the_run_has_ended_with_it(here):
    started("killed", "next")
    Path("killed.log").write_text("threads: 1\n")
    assert seen() == [("waiting", ""), ("waiting", "")]  # everything was killed, or told to end
    state.failed()
    assert seen() == [("failed", "ended without a word after: nothing"), ("waiting", "")]
    started("killed", "next")
    os.utime(state.FAILED, (time.time() - 60,) * 2)
    assert [state for state, _ in seen()] == ["waiting", "waiting"]
