"""SIGTERM, which a scheduler sends before a time limit, ends a job in order."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fgrad.options.networks import TrainRun
from fgrad.store import interrupts, parquet

# what is started in the background may be told to ignore Ctrl-C
TRAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from fgrad import jobs
from fgrad.options.networks import TrainRun
from fgrad.store.context import Context
from fgrad.store.log import log_line
run = TrainRun.model_validate_json(sys.argv[1])
jobs.carry_out(run, sys.argv[2], Context(log_line, workflow=True))
"""


def test_it_is_raised_once_and_then_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, interrupts.noticed():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # while it ends in order
            time.sleep(0.01)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.long
@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        pytest.param(0.0, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(0.0, signal.SIGINT, marks=pytest.mark.slow),
        (60.0, signal.SIGTERM),
        pytest.param(60.0, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_training_that_is_told_to_end_goes_on_where_it_was(tmp_path, told, minutes):
    """Also where a checkpoint was not due for an hour."""
    run = TrainRun(
        model="fc", width=64, dataset="mnist5k", gradient="bp", lr=0.05, epochs=15, patience=15,
        checkpoint_minutes=minutes,
    )  # fmt: skip
    command = [sys.executable, "-c", TRAIN, run.model_dump_json()]

    def start(name: str) -> subprocess.Popen[str]:
        path = str(tmp_path / name / "r.parquet")
        return subprocess.Popen([*command, path], stderr=subprocess.PIPE, text=True)

    first = start("a")
    assert first.stderr is not None
    while "epoch 3/15" not in first.stderr.readline():
        assert first.poll() is None
    first.send_signal(told)
    first.communicate(timeout=30)
    assert first.returncode == 143 if told == signal.SIGTERM else first.returncode != 0
    assert not (tmp_path / "a/r.parquet").exists()
    assert not list((tmp_path / "a").glob(".*.lease"))
    again, whole = start("a"), start("b")
    _, said = again.communicate(timeout=100)
    assert "resumed after epoch" in said
    assert int(said.split("resumed after epoch ")[1].split("\n")[0]) >= 3
    whole.communicate(timeout=100)
    frames = [parquet.read(tmp_path / name / "r.parquet") for name in "ab"]
    timed = [column for column in frames[0].columns if column.endswith("_seconds")]
    assert frames[0].drop(columns=timed).equals(frames[1].drop(columns=timed))
