"""A full disk, a folder that is gone or away: work survives, one line says so, nothing good is to be deleted."""

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.figure
import optuna
import pandas as pd
import pyarrow as pa
import pytest
import torch

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.networks import TrainRun
from fgrad.paper import claims, summary
from fgrad.paper.figures import files as figures
from fgrad.paper.tables import table
from fgrad.plan import rates
from fgrad.problems import published
from fgrad.store import files, journal, lease, log, parquet
from fgrad.store.checkpoints import Checkpoint
from fgrad.store.context import Context

pytestmark = pytest.mark.long

MANY = list(range(20_000))
FRAME = pd.DataFrame({"a": [0.1 * i for i in MANY]})
FOUND = pd.DataFrame(
    {"function": "sphere", "n": MANY, "gradient": "frog", "k": 2, "angle_deg": None}
).assign(lr=0.1, selected=True)


def judge(folder: Path) -> None:
    said = dict.fromkeys(("name", "section", "statement", "verdict", "evidence"), "text" * 9)
    judged = [said | {"tolerance": "none"}] * 2000
    claims.write(
        judged, str(folder / "c.md"), str(folder / "c.json"), str(folder / "c.html"), "all"
    )


def draw(folder: Path) -> None:
    figure = matplotlib.figure.Figure(figsize=(20, 20))
    figure.subplots().plot(MANY)
    figures.save(figure, (str(folder / "f.pdf"), str(folder / "f.png")))


WRITERS: dict[str, Callable[[Path], object]] = {
    "result": lambda folder: parquet.write(folder / "r", {"x": pa.int64()}, {"x": MANY}),
    "summary": lambda folder: summary.write(FRAME, str(folder / "s"), {}),
    "table": lambda folder: table.write(
        table.Table(FRAME[:3000], tuple(table.named(FRAME[:3000], ["a"]))),
        str(folder / "t.csv"),
        str(folder / "t.md"),
        str(folder / "t.tex"),
        str(folder / "t.html"),
        caption="c",
    ),
    "rates": lambda folder: rates.write_table(folder / "l.csv", FOUND),
    "claims": judge,
    "figure": draw,
    "checkpoint": lambda folder: Checkpoint(folder / "c", "k").save({"x": torch.zeros(99_999)}),
    "copy": lambda folder: files.copy(Path(optuna.study.study.__file__), folder / "x"),
    "data": lambda folder: published.prepare("mnist5k", None, folder / "set.pt"),
    "lease": lambda folder: next(lease.alone(folder / "x").gen),
}


@pytest.fixture
def full(tmp_path) -> Iterator[Path]:
    """A small file system of one's own, all but full."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    assert "delete" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_says_that_a_disk_is_full(name, full):
    fill(full)
    before = set(os.listdir(full))
    message = refused(lambda: WRITERS[name](full))
    assert message.startswith(str(full))
    assert message.endswith("cannot be written: No space left on device")
    assert not [one for one in set(os.listdir(full)) - before if one.endswith(".part")]


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_says_what_the_file_system_says(name, code, tmp_path, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    if name == "lease":
        monkeypatch.setattr(Path, "mkdir", fails)
    message = refused(lambda: WRITERS[name](tmp_path))
    assert message.endswith(f"cannot be written: {os.strerror(code)}")
    assert not [one for one in os.listdir(tmp_path) if one.endswith(".part")]


SPHERE: dict[str, Any] = {"function": "sphere", "n": 4, "gradient": "frog", "k": 2, "steps": 5}
SEARCH = FunctionSearch(**SPHERE, evaluations=8, repeats=2)


def test_a_search_whose_disk_is_full_keeps_its_journal_and_goes_on(full, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", (0, 0))
    said: list[str] = []
    append = journal._Lines._append

    def late(self, logs):
        if self.journal.stat().st_size > 2000 and not (full / "filling").exists():
            fill(full)
        append(self, logs)

    monkeypatch.setattr(journal._Lines, "_append", late)
    message = refused(lambda: jobs.carry_out(SEARCH, full / "s", Context(said.append)))
    (kept,) = full.glob(".s.*.journal")
    assert message == f"{kept}: cannot be written: No space left on device"
    assert sum("trying again" in line for line in said) == 2
    monkeypatch.undo()
    (full / "filling").unlink()
    jobs.carry_out(SEARCH, full / "s", Context(said.append))
    assert any("resumed: " in line for line in said)
    assert os.listdir(full) == ["s"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["stat", "read_bytes", "truncate"])
def test_no_journal_is_called_anothers_that_cannot_be_read_or_written(
    call, code, tmp_path, monkeypatch
):
    sampler = optuna.samplers.RandomSampler()
    path = tmp_path / "j"
    journal.study_of(path, {"n": 1}, sampler, print)
    path.write_bytes(path.read_bytes() + b"half")
    content = path.read_bytes()

    def fails(*args: object, **_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "PATIENCE", ())
    monkeypatch.setattr(os if call == "truncate" else Path, call, fails)
    message = refused(lambda: journal.study_of(path, {"n": 1}, sampler, print))
    assert message.startswith(f"{path}: cannot be ")
    assert message.endswith(os.strerror(code))
    assert path.read_bytes() == content if call != "read_bytes" else True


def test_a_folder_that_is_removed_meanwhile_costs_nothing(tmp_path):
    run, path = FunctionRun(**SPHERE, lr=0.1), tmp_path / "gone" / "r.parquet"

    def remove(*_: object) -> None:
        shutil.rmtree(path.parent, ignore_errors=True)

    jobs.carry_out(run, path, Context(progress=remove))
    assert os.listdir(path.parent) == ["r.parquet"]


def test_a_training_goes_on_without_a_checkpoint_and_its_words(full):
    fill_now = [False]
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if not fill_now[0]:
            fill_now[0] = True
            fill(full)
        else:
            (full / "filling").unlink(missing_ok=True)

    fc = dict[str, Any](model="fc", width=64, reduce=16, gradient="frog", k=2, epochs=2)
    jobs.carry_out(TrainRun(**fc, lr=0.1, device="cpu", batch=500), full / "r", Context(say))
    assert any("going on without this checkpoint" in line for line in said)
    assert os.listdir(full) == ["r"]


# words


def test_a_log_on_a_full_disk_costs_no_work(full):
    done = []
    with log.logged(str(full / "job.log")):
        print("at work")
        fill(full)
        print("line\n" * 20_000)
        log.log_progress(1, 1)
        done.append(1)
    assert done == [1]
    assert "at work" in (full / "job.log").read_text()


def test_a_failure_whose_traceback_has_no_room_is_still_told(full):
    with pytest.raises(SystemExit, match="first line"), log.logged(str(full / "job.log")):
        fill(full)
        raise RuntimeError("first line\nsecond line")


@pytest.mark.parametrize("kind", ["folder", "FIFO", "no room", "no folder", "NUL"])
def test_a_log_that_cannot_be_opened_is_done_without(kind, tmp_path, capsys):
    path = str(tmp_path / "job.log")
    if kind == "folder":
        (tmp_path / "job.log").mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "no folder":
        path = str(tmp_path / "none" / "job.log")
    elif kind == "NUL":
        path = str(tmp_path / "job\0.log")
    else:
        path = str(tmp_path / ("n" * 300))
    done = []
    with log.logged(path):
        print("at work")
        done.append(1)
    assert done == [1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("; going on without this log")


def test_lines_that_cannot_be_printed_cost_no_work(monkeypatch):
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stderr", Full())
    log.log_line("at work")
    log.log_progress(1, 1)
