"""A killed training ends with the bits of an undisturbed one, or is refused in a line."""

import errno
import io
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fgrad.errors import ConfigError
from fgrad.experiments import training
from fgrad.options.networks import TrainRun
from fgrad.store import files, parquet
from fgrad.store.checkpoints import DIGEST, Checkpoint
from fgrad.store.context import Context

pytestmark = pytest.mark.long

FGRAD = str(Path(sys.executable).parent / "fgrad")
SCHEDULES = ("constant", "exponential", "steps", "cosine", "plateau")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(
    optimizer, schedule, data, tmp_path, run, alike, killed
):
    lr = 1e-3 if optimizer.startswith("adam") else 0.02
    r = run(optimizer=optimizer, schedule=schedule, lr=lr, epochs=5, patience=5, augment=True)
    undisturbed = training.train(r, data)
    assert undisturbed.stop == "completed"
    for epoch in (1, 3, 5):
        path = tmp_path / f"{epoch}.parquet"
        assert killed(r, data, path, epoch).exists()
        said: list[str] = []
        resumed = training.train(r, data, Context(said.append, target=path))
        assert said[0] == f"resumed after epoch {epoch}"
        assert alike(resumed, undisturbed)


@pytest.mark.parametrize("changes", [{"statistics": True}, {"perturb": "weights", "mode": "fwad"}])
def test_batch_norm_is_resumed_too(changes, data, tmp_path, lenet, alike, killed):
    r = lenet(epochs=3, **changes)
    killed(r, data, tmp_path / "c", 2)
    assert alike(training.train(r, data, Context(target=tmp_path / "c")), training.train(r, data))


def test_a_run_killed_twice(data, tmp_path, run, alike, killed):
    r = run(epochs=6)
    for epoch in (2, 4):
        killed(r, data, tmp_path / "c", epoch)
    assert alike(training.train(r, data, Context(target=tmp_path / "c")), training.train(r, data))


def test_killed_between_any_two_lines_the_checkpoint_is_whole(
    data, tmp_path, monkeypatch, run, alike, killed_error
):
    """A kill while the checkpoint is written leaves the one before."""
    r, path, count = run(epochs=5), tmp_path / "r.parquet", []
    write = Path.write_bytes

    def torn(temporary, content):
        count.append(temporary)
        write(temporary, bytes(content)[: 100 if len(count) >= 3 else None])
        if len(count) >= 3:
            raise killed_error

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(killed_error):
        training.train(r, data, Context(target=path))
    monkeypatch.undo()
    said: list[str] = []
    assert alike(
        training.train(r, data, Context(said.append, target=path)), training.train(r, data)
    )
    assert said[0] == "resumed after epoch 1"


def test_what_was_stopped_early_is_resumed_to_the_same_end(data, tmp_path, run, alike, killed):
    r = run(lr=1e-12, perturb="weights", gradient="bp", k=None, patience=3, epochs=20)
    whole = training.train(r, data)
    last = len(whole.epochs) - 1
    assert whole.stop == "stalled"
    killed(r, data, tmp_path / "c", last)
    assert alike(training.train(r, data, Context(target=tmp_path / "c")), whole)


def test_checkpoints_are_written_as_often_as_asked(data, tmp_path, monkeypatch, run):
    written = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, content: written.append(content))
    training.train(run(checkpoint_minutes=60), data, Context(target=tmp_path / "c"))
    assert not written
    training.train(run(), data, Context(target=tmp_path / "c"))
    assert len(written) == 4


def test_results_that_cannot_be_written_leave_the_checkpoint(
    data, tmp_path, monkeypatch, run, carried_out
):
    """Hours of training are not lost to a full disk, or to a kill just before the end."""
    r, path = run(), tmp_path / "r.parquet"
    write = parquet.write

    def full(*args, **kwargs):
        raise ConfigError("no space left")

    monkeypatch.setattr(parquet, "write", full)
    with pytest.raises(ConfigError):
        carried_out(r, path)
    monkeypatch.setattr(parquet, "write", write)
    assert list(tmp_path.glob(".r.*.checkpoint"))
    said: list[str] = []
    carried_out(r, path, say=said.append)
    assert "resumed after epoch" in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]


def damage(how: str, checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    if how == "truncated":
        checkpoint.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        checkpoint.write_bytes(b"")
    elif how == "text":
        checkpoint.write_text("not\na checkpoint\n")
    else:
        torch.save([1, 2], checkpoint)


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "a list"])
def test_a_damaged_checkpoint_is_named(how, data, tmp_path, run, killed):
    r, path = run(), tmp_path / "r.parquet"
    checkpoint = killed(r, data, path, 2)
    damage(how, checkpoint)
    with pytest.raises(ConfigError) as caught:
        training.train(r, data, Context(target=path))
    assert str(caught.value).startswith(f"{checkpoint}: not a whole checkpoint, delete it")
    assert "\n" not in str(caught.value)
    assert checkpoint.exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 1e-3])
@pytest.mark.parametrize("part", ["chain", "optimizer", "history", "order"])
def test_a_checkpoint_with_other_numbers_in_it_is_named(part, value, data, tmp_path, run, killed):
    """Of a form that torch takes, as only a checksum can tell."""
    r, path = run(optimizer="adam"), tmp_path / "r.parquet"
    checkpoint = killed(r, data, path, 2)
    content = checkpoint.read_bytes()
    state = torch.load(io.BytesIO(content[:-DIGEST]), weights_only=True)
    if part == "history":
        state["history"][1]["val_loss"] = value
    elif part == "order":
        state["order"][0] += 1
    else:
        held = state[part] if part == "chain" else state[part]["state"][0]
        next(one for one in held.values() if one.ndim).view(-1)[0] = value
    packed = io.BytesIO()
    torch.save(state, packed)
    checkpoint.write_bytes(packed.getvalue() + content[-DIGEST:])
    with pytest.raises(ConfigError) as caught:
        training.train(r, data, Context(target=path))
    assert str(caught.value) == (
        f"{checkpoint}: not a whole checkpoint, delete it to start anew: "
        "other contents than its checksum's"
    )


def test_one_flipped_byte_anywhere_in_a_checkpoint_is_noticed(data, tmp_path, run, killed):
    r, path = run(), tmp_path / "r.parquet"
    checkpoint = killed(r, data, path, 2)
    whole = checkpoint.read_bytes()
    for i in range(0, len(whole), 997):
        checkpoint.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(ConfigError, match="not a whole checkpoint"):
            kept(r, Context(target=path)).load(torch.device("cpu"))


def kept(run: TrainRun, context: Context) -> Checkpoint:
    checkpoint = training.checkpoint_of(run, context)
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_checkpoint_that_cannot_be_read_is_not_to_be_deleted(code, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "c", "key")
    checkpoint.save({})

    def fails(self):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(ConfigError) as caught:
        checkpoint.load(torch.device("cpu"))
    assert str(caught.value) == f"{checkpoint.path}: cannot be read: {os.strerror(code)}"


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.1}, {"width": 8}, {"model": "lenet5", "width": None}, {"epochs": 4}, {"threads": 2}])  # fmt: skip
def test_the_checkpoint_of_another_run_is_named(change, data, tmp_path, run, killed):
    """Its name is another; under this one's name it is refused."""
    context = Context(target=tmp_path / "r.parquet")
    left = killed(run(), data, context.target, 2)
    checkpoint = kept(run(**change), context).path
    assert checkpoint != left
    left.rename(checkpoint)
    with pytest.raises(ConfigError) as caught:
        training.train(run(**change), data, context)
    assert str(caught.value).startswith(f"{checkpoint}: checkpoint of another run or version")
    assert "\n" not in str(caught.value)
    assert checkpoint.exists()


def test_the_checkpoint_of_another_version_is_named(data, tmp_path, run, killed):
    context = Context(target=tmp_path / "r.parquet", code="another")
    left = killed(run(), data, context.target, 2)
    checkpoint = kept(run(), context).path
    assert checkpoint != left
    left.rename(checkpoint)
    with pytest.raises(ConfigError, match="checkpoint of another run or version"):
        training.train(run(), data, context)


def test_how_often_checkpoints_are_written_is_no_other_run(data, tmp_path, run, killed):
    killed(run(), data, tmp_path / "c", 2)
    said: list[str] = []
    context = Context(said.append, target=tmp_path / "c")
    training.train(run(checkpoint_minutes=5), data, context)
    assert said[0] == "resumed after epoch 2"


def test_the_command_killed_hard_and_given_again(tmp_path, carried_out):
    """SIGKILL in the middle; the same command goes on to the very numbers of an undisturbed run."""
    options = dict[str, Any](model="fc", width=8, gradient="frog", k=2, lr=0.05, epochs=15)
    options |= {"optimizer": "adam", "schedule": "cosine", "device": "cpu", "patience": 15}
    flat = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    command = [FGRAD, "train", *flat, "--output", str(tmp_path / "a.parquet")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 4/15" in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    left = sorted(p.name for p in tmp_path.iterdir())
    assert not (tmp_path / "a.parquet").exists()
    assert any(name.startswith(".a.") and name.endswith(".checkpoint") for name in left)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "resumed after epoch" in again.stderr
    assert "completed" in again.stdout
    undisturbed = tmp_path / "b.parquet"
    carried_out(TrainRun(**options), undisturbed)
    seconds = ["train_seconds", "eval_seconds"]
    a, b = (parquet.read(p).drop(columns=seconds) for p in (tmp_path / "a.parquet", undisturbed))
    assert a.equals(b)
    assert len(a) == 16
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_what_could_not_be_written_is_kept_when_the_process_is_told_to_end(tmp_path, monkeypatch):
    """The disk was full at the last epoch, or the end came while it was written."""
    checkpoint = Checkpoint(tmp_path / "c", "key")
    save = Checkpoint.save

    def full(self, content):
        raise files.CannotWriteError(self.path, OSError(28, "No space left on device"))

    def ended(self, content):
        monkeypatch.setattr(Checkpoint, "save", save)
        raise SystemExit(143)

    for fault in (full, ended):
        with pytest.raises(SystemExit), checkpoint.keeping() as keep:
            state = torch.zeros(2)
            keep({"x": state})
            monkeypatch.setattr(Checkpoint, "save", fault)
            state += 1
            keep({"x": state})
            monkeypatch.setattr(Checkpoint, "save", save)
            state += 1
            raise SystemExit(143)
        kept = checkpoint.load(torch.device("cpu"))
        assert kept is not None
        assert kept["x"].tolist() == [1, 1]
