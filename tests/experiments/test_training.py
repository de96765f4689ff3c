"""Training: reproducible, resumable to the last bit, stopped by its rules, scheduled in its units."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy

from fgrad import errors
from fgrad.errors import ConfigError
from fgrad.experiments import device, training
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.options.networks import TrainRun
from fgrad.problems.data import Split, load
from fgrad.problems.registry import MODELS
from fgrad.store import parquet, schemas

PLAIN = {"model": "fc", "width": 16, "gradient": "frog", "k": 4, "lr": 0.05, "epochs": 3}
METRICS = [f"{part}_{what}" for part in schemas.PARTS for what in ("loss", "accuracy")]
FGRAD = str(Path(sys.executable).parent / "fgrad")


def run(**changes) -> TrainRun:
    return TrainRun(**PLAIN | {"device": "cpu"} | changes)


def lenet(**changes) -> TrainRun:
    return run(**{"model": "lenet5", "width": None, "reduce": 2} | changes)


@pytest.fixture(scope="module")
def whole() -> training.Data:
    return load("mnist5k", None)


def some(data: training.Data, train: int = 200, rest: int = 100) -> training.Data:
    sizes = (train, rest, rest)
    return tuple(Split(s.images[:n], s.labels[:n]) for s, n in zip(data, sizes, strict=True))


@pytest.fixture
def data(whole, monkeypatch) -> training.Data:
    """A few hundred digits, also for `training.write`; 200 for training, four batches of 64."""
    few = some(whole)
    monkeypatch.setattr(training, "load", lambda name, source, device: few)
    return few


def numbers(trained: training.Training) -> list[list[float]]:
    """Everything but the seconds."""
    return [[v for name, v in epoch.items() if "seconds" not in name] for epoch in trained.epochs]


def losses(trained: training.Training, part: str = "train") -> list[float]:
    return [epoch[f"{part}_loss"] for epoch in trained.epochs]


def alike(a: training.Training, b: training.Training) -> bool:
    """To the last bit."""
    return a.stop == b.stop and np.array_equal(numbers(a), numbers(b), equal_nan=True)


class KilledError(Exception):
    pass


def raising(line: str) -> None:
    raise KilledError


def killed(r: TrainRun, data: training.Data, checkpoint: Path, epoch: int) -> None:
    """Train until an epoch has been evaluated and no further."""

    def say(line: str) -> None:
        if f"epoch {epoch}/" in line:
            raise KilledError

    with pytest.raises(KilledError):
        training.train(r, data, checkpoint, say)


# --- reproducible ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "r",
    [
        run(),
        run(gradient="bp", k=None, statistics=True),
        run(perturb="weights", augment=True),
        run(mode="fwad", chunk=3),
        lenet(epochs=2),
        run(model="vit", width=None, reduce=32, epochs=1, batch=50),
    ],
    ids=lambda r: f"{r.model}-{r.gradient}-{r.perturb}-{r.mode}",
)
def test_the_same_run_gives_the_same_bits(r, data):
    torch.manual_seed(0)
    first = training.train(r, data)
    torch.manual_seed(1)
    assert alike(training.train(r, data), first)


def test_another_seed_gives_other_parameters_batches_and_tangents(data):
    states = [training._State(run(seed=seed, augment=True), data) for seed in (0, 1)]
    for name in ("order", "tangents", "crops"):
        drawn = [torch.rand(4, generator=getattr(state, name)) for state in states]
        assert not torch.equal(*drawn)
    weights = [next(state.chain.parameters()) for state in states]
    assert not torch.equal(*weights)
    trained = [training.train(run(seed=seed), data) for seed in (0, 1)]
    assert losses(trained[0])[0] != losses(trained[1])[0]


def test_parameters_order_tangents_and_crops_are_independent(data):
    state = training._State(run(), data)
    streams = [torch.rand(4, generator=getattr(state, g)) for g in ("order", "tangents", "crops")]
    assert len({tuple(s.tolist()) for s in streams}) == 3


def test_parameters_and_order_do_not_depend_on_the_gradient(data, monkeypatch):
    seen: list[list[torch.Tensor]] = []
    call = training.Perturbation.__call__

    def watched(self, x, y):
        seen[-1].append(y.clone())
        return call(self, x, y)

    monkeypatch.setattr(training.Perturbation, "__call__", watched)
    first = []
    for changes in ({}, {"gradient": "bp", "k": None}, {"k": 16, "perturb": "weights"}):
        seen.append([])
        first.append(numbers(training.train(run(epochs=2, **changes), data))[0])
    assert first[0] == first[1] == first[2]
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))
    assert not torch.equal(seen[0][0], seen[0][4])  # a new order each epoch


@pytest.mark.parametrize("model", MODELS)
def test_building_leaves_the_global_generator_alone(model):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    training.build(run(model=model, width=None, reduce=32))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_training_leaves_the_global_generator_alone(mode, data):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    training.train(lenet(mode=mode, epochs=1, augment=True, statistics=True), data)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_statistics_change_no_other_number(data):
    plain = training.train(lenet(epochs=2), data)
    more = training.train(lenet(epochs=2, statistics=True), data)
    assert [[e[m] for m in METRICS] for e in plain.epochs] == [
        [e[m] for m in METRICS] for e in more.epochs
    ]


# --- resumed ---------------------------------------------------------------------------------


SCHEDULES = ("constant", "exponential", "steps", "cosine", "plateau")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(optimizer, schedule, data, tmp_path):
    lr = 1e-3 if optimizer.startswith("adam") else 0.02
    r = run(optimizer=optimizer, schedule=schedule, lr=lr, epochs=5, patience=5, augment=True)
    undisturbed = training.train(r, data)
    assert undisturbed.stop == "completed"
    for epoch in (1, 3, 5):
        checkpoint = tmp_path / f"{epoch}.checkpoint"
        killed(r, data, checkpoint, epoch)
        assert checkpoint.exists()
        said: list[str] = []
        resumed = training.train(r, data, checkpoint, said.append)
        assert said[0] == f"resumed after epoch {epoch - 1}"
        assert alike(resumed, undisturbed)


@pytest.mark.parametrize("changes", [{"statistics": True}, {"perturb": "weights", "mode": "fwad"}])
def test_batch_norm_is_resumed_too(changes, data, tmp_path):
    r = lenet(epochs=3, **changes)
    killed(r, data, tmp_path / "c", 2)
    assert alike(training.train(r, data, tmp_path / "c"), training.train(r, data))


def test_a_run_killed_twice(data, tmp_path):
    r = run(epochs=6)
    for epoch in (2, 4):
        killed(r, data, tmp_path / "c", epoch)
    assert alike(training.train(r, data, tmp_path / "c"), training.train(r, data))


def test_killed_between_any_two_lines_the_checkpoint_is_whole(data, tmp_path, monkeypatch):
    """A kill while the checkpoint is written leaves the one before."""
    r, checkpoint, count = run(epochs=5), tmp_path / "c", []
    save = torch.save

    def torn(state, path):
        count.append(path)
        save(state, path)
        if len(count) == 3:
            Path(path).write_bytes(Path(path).read_bytes()[:100])
            raise KilledError

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(KilledError):
        training.train(r, data, checkpoint)
    monkeypatch.undo()
    said: list[str] = []
    assert alike(training.train(r, data, checkpoint, said.append), training.train(r, data))
    assert said[0] == "resumed after epoch 1"


def test_what_was_stopped_early_is_resumed_to_the_same_end(data, tmp_path):
    r = run(lr=1e-12, perturb="weights", gradient="bp", k=None, patience=3, epochs=20)
    whole = training.train(r, data)
    last = len(whole.epochs) - 1
    assert whole.stop == "stalled"
    killed(r, data, tmp_path / "c", last)
    assert alike(training.train(r, data, tmp_path / "c"), whole)


def test_checkpoints_are_written_as_often_as_asked(data, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(training._State, "save", lambda self, path, history: written.append(path))
    training.train(run(checkpoint_minutes=60), data, tmp_path / "c")
    assert not written
    training.train(run(), data, tmp_path / "c")
    assert len(written) == 4


def test_results_that_cannot_be_written_leave_the_checkpoint(data, tmp_path, monkeypatch):
    """Hours of training are not lost to a full disk, or to a kill just before the end."""
    r, path = run(), tmp_path / "r.parquet"
    write = parquet.write

    def full(*args, **kwargs):
        raise ConfigError("no space left")

    monkeypatch.setattr(parquet, "write", full)
    with pytest.raises(ConfigError):
        training.write(r, path, say=lambda _: None)
    monkeypatch.setattr(parquet, "write", write)
    assert training.checkpoint_of(r, path).exists()
    said: list[str] = []
    training.write(r, path, say=said.append)
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
def test_a_damaged_checkpoint_is_named(how, data, tmp_path):
    r, checkpoint = run(), tmp_path / "c"
    killed(r, data, checkpoint, 2)
    damage(how, checkpoint)
    with pytest.raises(ConfigError) as caught:
        training.train(r, data, checkpoint)
    assert str(caught.value).startswith(f"{checkpoint}: not a whole checkpoint, delete it")
    assert "\n" not in str(caught.value)
    assert checkpoint.exists()


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.1}, {"width": 8}, {"model": "lenet5", "width": None}, {"epochs": 4}, {"threads": 2}])  # fmt: skip
def test_the_checkpoint_of_another_run_is_named(change, data, tmp_path):
    checkpoint = tmp_path / "c"
    killed(run(), data, checkpoint, 2)
    with pytest.raises(ConfigError) as caught:
        training.train(run(**change), data, checkpoint)
    assert str(caught.value).startswith(f"{checkpoint}: checkpoint of another run or version")
    assert "\n" not in str(caught.value)
    path = tmp_path / "r.parquet"
    assert training.checkpoint_of(run(), path) != training.checkpoint_of(run(**change), path)


def test_the_checkpoint_of_another_version_is_named(data, tmp_path, monkeypatch):
    killed(run(), data, tmp_path / "c", 2)
    monkeypatch.setattr(training, "fingerprint", lambda *_: "another")
    with pytest.raises(ConfigError, match="checkpoint of another run or version"):
        training.train(run(), data, tmp_path / "c")


def test_how_often_checkpoints_are_written_is_no_other_run(data, tmp_path):
    killed(run(), data, tmp_path / "c", 2)
    training.train(run(checkpoint_minutes=5), data, tmp_path / "c")


def test_the_command_killed_hard_and_given_again(tmp_path):
    """SIGKILL in the middle; the same command goes on to the very numbers of an undisturbed run."""
    options = {"model": "fc", "width": 8, "gradient": "frog", "k": 2, "lr": 0.05, "epochs": 15}
    options |= {"optimizer": "adam", "schedule": "cosine", "device": "cpu", "patience": 15}
    flat = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    command = [FGRAD, "train", *flat, "--output", str(tmp_path / "a.parquet")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
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
    training.write(TrainRun(**options), undisturbed, say=lambda _: None)
    seconds = ["train_seconds", "eval_seconds"]
    a, b = (parquet.read(p).drop(columns=seconds) for p in (tmp_path / "a.parquet", undisturbed))
    assert a.equals(b)
    assert len(a) == 16
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


# --- stopping --------------------------------------------------------------------------------


def test_all_epochs_are_completed(data):
    trained = training.train(run(), data)
    assert trained.stop == "completed"
    assert len(trained.epochs) == 4


def test_no_epochs_is_the_evaluation_of_the_untrained_network(data, tmp_path):
    trained = training.train(run(epochs=0), data)
    assert trained.stop == "completed"
    assert len(trained.epochs) == 1
    assert trained.epochs[0]["train_seconds"] == 0
    training.write(run(epochs=0), tmp_path / "r.parquet", say=lambda _: None)
    assert list(parquet.read(tmp_path / "r.parquet")["epoch"]) == [0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_epochs_with_any_schedule(schedule, data):
    assert training.train(run(epochs=0, schedule=schedule), data).stop == "completed"


@pytest.mark.parametrize("r", [run(), lenet(), run(model="resnet18", width=None, reduce=16), run(model="vit", width=None, reduce=16), run(model="mlpmixer", width=None, reduce=32)], ids=lambda r: r.model)  # fmt: skip
def test_epoch_0_is_before_any_step(r, data):
    found = training.train(r.model_copy(update={"epochs": 0}), data).epochs[0]
    chain = training.build(r).double().eval()
    for part, split in zip(schemas.PARTS, data, strict=True):
        with torch.no_grad():
            logits = chain(split.images.double())
        loss = cross_entropy(logits, split.labels)
        assert found[f"{part}_loss"] == pytest.approx(loss.item(), rel=1e-5)
        right = (logits.argmax(1) == split.labels).double().mean()
        assert found[f"{part}_accuracy"] == pytest.approx(right.item(), abs=1e-6)
    assert max(found[f"{part}_loss"] for part in schemas.PARTS) < training.LOST


def test_a_stalled_run_has_patience(data, tmp_path):
    r = run(gradient="bp", k=None, lr=1e-12, patience=2, epochs=9)
    training.write(r, tmp_path / "r.parquet", say=lambda _: None)
    assert parquet.provenance(tmp_path / "r.parquet")["stop"] == "stalled"
    frame = parquet.read(tmp_path / "r.parquet")
    assert len(frame) < 10
    best = int(frame["val_loss"].to_numpy().argmin())
    assert len(frame) == best + 3


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient": "bp", "k": None},
        {"gradient": "fg-mean"},
        {},
        {"mode": "fwad"},
        {"perturb": "weights"},
        {"perturb": "weights", "tangents": "explicit"},
        {"perturb": "weights", "mode": "fwad"},
        {"optimizer": "nesterov"},
        {"optimizer": "adam", "schedule": "plateau"},
        {"model": "lenet5", "width": None, "reduce": 4},
        {"gradient": "own", "approach": Approach(aggregation="max-normalized")},
        {"statistics": True},
        {"precision": "bf16"},
    ],
    ids=str,
)
@pytest.mark.parametrize("lr", [1e3, 1e30])
def test_divergence_is_a_status(lr, changes, data, tmp_path):
    r = run(**{"lr": lr, "epochs": 5} | changes)
    path = tmp_path / "r.parquet"
    training.write(r, path, say=lambda _: None)
    assert parquet.provenance(path)["stop"] == "diverged"
    last = parquet.read(path).iloc[-1]
    assert not last["val_loss"] < training.LOST
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]


def stop_by_hand(values: list[float], epochs: int, patience: int) -> tuple[int, str]:
    """Epoch and reason of the end, from the paper's rule read aloud."""
    best, since = math.inf, 0
    for epoch, value in enumerate(values):
        if math.isnan(value) or value >= 10:
            return epoch, "diverged"
        if value < best:
            best, since = value, 0
        else:
            since += 1
        if epoch == epochs:
            return epoch, "completed"
        if since == patience:
            return epoch, "stalled"
    return -1, ""


@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, 9.99, 10.0, math.inf, math.nan]), min_size=1),
    epochs=st.integers(0, 9),
    patience=st.integers(1, 4),
)
def test_the_stopping_rule_is_the_papers(values, epochs, patience):
    r = run(epochs=epochs, patience=patience)
    expected = stop_by_hand(values, epochs, patience)
    history = []
    for epoch, value in enumerate(values):
        history.append({"val_loss": value, "test_loss": -epoch})
        stop = training._stop(r, history, lambda losses: False)
        assert stop == (expected[1] if epoch == expected[0] else "")
        if stop:
            break


@pytest.mark.parametrize("size", [64, 65])
def test_a_last_batch_of_one_sample_is_no_crash(size, whole):
    """Batch norm takes no single sample; that is said in a line, or done without it."""
    few = some(whole, train=size)
    try:
        assert training.train(lenet(epochs=1), few).stop
    except ConfigError as error:
        assert "\n" not in str(error)


# --- learning --------------------------------------------------------------------------------


@pytest.mark.parametrize(("gradient", "k", "lr"), [("bp", None, 0.1), ("frog", 16, 0.05), ("fg-mean", 64, 0.01)])  # fmt: skip
def test_digits_are_learned(gradient, k, lr, whole):
    trained = training.train(run(gradient=gradient, k=k, lr=lr, width=32), whole)
    for part in schemas.PARTS:
        falling = losses(trained, part)
        assert falling == sorted(falling, reverse=True)
        assert falling[-1] < falling[0] - 0.1
        assert trained.epochs[-1][f"{part}_accuracy"] > 0.1 + trained.epochs[0][f"{part}_accuracy"]


def test_perturbed_weights_learn_with_many_tangents(data):
    r = run(perturb="weights", k=4096, lr=0.3, batch=20)
    falling = losses(training.train(r, data))
    assert falling[-1] < falling[0] - 0.5


def test_one_epoch_against_a_plain_loop(data):
    """Plain SGD with backpropagation, written out."""
    r = run(gradient="bp", k=None, lr=0.1, epochs=1)
    chain = training.build(r)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(training._seed(r, 1)))
    for start in range(0, 200, 64):
        index = order[start : start + 64]
        loss = cross_entropy(chain(data[0].images[index]), data[0].labels[index])
        for p, g in zip(
            chain.parameters(), torch.autograd.grad(loss, list(chain.parameters())), strict=True
        ):
            p.data -= 0.1 * g
    found = training.train(r, data).epochs[1]
    for part, split in zip(schemas.PARTS, data, strict=True):
        expected = cross_entropy(chain(split.images), split.labels).item()
        assert found[f"{part}_loss"] == pytest.approx(expected, rel=1e-5)


def watch_batches(monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    call = training.Perturbation.__call__

    def watched(self, x, y):
        seen.append((x.clone(), y.clone()))
        assert self.chain.training
        return call(self, x, y)

    monkeypatch.setattr(training.Perturbation, "__call__", watched)
    return seen


def test_every_sample_is_used_once_an_epoch_the_last_partial_batch_too(data, monkeypatch):
    seen = watch_batches(monkeypatch)
    training.train(run(epochs=2), data)
    assert [len(y) for _, y in seen] == [64, 64, 64, 8] * 2
    for epoch in (seen[:4], seen[4:]):
        x = torch.cat([x for x, _ in epoch]).flatten(1)
        rows = {row.numpy().tobytes() for row in x}
        assert rows == {row.numpy().tobytes() for row in data[0].images.flatten(1)}
        labels = torch.cat([y for _, y in epoch])
        index = {row.numpy().tobytes(): i for i, row in enumerate(data[0].images.flatten(1))}
        expected = [int(data[0].labels[index[row.numpy().tobytes()]]) for row in x]
        assert labels.tolist() == expected


@pytest.mark.parametrize(("dataset", "size"), [("mnist", 64), ("mnist5k", 64), ("cifar10", 128), ("svhn", 128)])  # fmt: skip
def test_batches_are_the_papers_unless_told(dataset, size):
    assert run(dataset=dataset).batch_size == size
    assert run(dataset=dataset, batch=7).batch_size == 7


def test_augmentation_touches_training_batches_only(data, monkeypatch):
    before = copy.deepcopy(data)
    calls = []
    original = training.augment

    def watched(images, generator, flip):
        calls.append((len(images), flip))
        return original(images, generator, flip)

    monkeypatch.setattr(training, "augment", watched)
    evaluated: list[torch.Tensor] = []
    seen = watch_batches(monkeypatch)
    forward = nn.Sequential.forward

    def watching(self, x):
        if not self.training and x.ndim == 4:
            evaluated.append(x)
        return forward(self, x)

    monkeypatch.setattr(nn.Sequential, "forward", watching)
    training.train(run(epochs=1, augment=True), data)
    assert calls == [(64, False)] * 3 + [(8, False)]
    original_rows = {row.numpy().tobytes() for row in data[0].images.flatten(1)}
    changed = [row.numpy().tobytes() not in original_rows for x, _ in seen for row in x.flatten(1)]
    assert sum(changed) > 150
    for split, kept in zip(data, before, strict=True):
        assert torch.equal(split.images, kept.images)
        assert torch.equal(split.labels, kept.labels)
        assert any(torch.equal(x, split.images) for x in evaluated)
    everything = {row.numpy().tobytes() for split in data for row in split.images.flatten(1)}
    assert {row.numpy().tobytes() for x in evaluated for row in x.flatten(1)} <= everything


def test_evaluation_in_parts_is_evaluation_of_the_whole(data, monkeypatch):
    expected = training.train(lenet(epochs=1), data)
    monkeypatch.setattr(training, "EVALUATED", 37)
    found = training.train(lenet(epochs=1), data)
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-5)


def test_evaluation_leaves_the_network_alone(data):
    state = training._State(lenet(), data)
    before = [t.clone() for t in state.chain.state_dict().values()]
    state.evaluate()
    assert all(
        torch.equal(a, b) for a, b in zip(state.chain.state_dict().values(), before, strict=True)
    )
    assert all(p.requires_grad and not p.is_inference() for p in state.chain.parameters())


def test_accuracies_are_whole_numbers_of_samples(data):
    for epoch in training.train(run(), data).epochs:
        assert epoch["train_accuracy"] == round(epoch["train_accuracy"] * 200) / 200
        assert epoch["val_accuracy"] == round(epoch["val_accuracy"] * 100) / 100


# --- schedules and optimisers ----------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch) -> list[float]:
    """The learning rate of every step that is taken."""
    found: list[float] = []
    original = training._optimizer

    def watched(r, chain):
        optimizer = original(r, chain)
        optimizer.register_step_pre_hook(lambda o, *_: found.append(o.param_groups[0]["lr"]))
        return optimizer

    monkeypatch.setattr(training, "_optimizer", watched)
    return found


RATES: dict[str, Callable[[int, int, int], float]] = {
    "constant": lambda step, epoch, epochs: 1,
    "exponential": lambda step, epoch, epochs: math.exp(-1e-4 * step),
    "steps": lambda step, epoch, epochs: 0.1 ** ((epoch >= epochs / 2) + (epoch >= epochs * 3 / 4)),
    "cosine": lambda step, epoch, epochs: (1 + math.cos(math.pi * epoch / epochs)) / 2,
}


@pytest.mark.parametrize("schedule", RATES)
@pytest.mark.parametrize("epochs", [4, 8])
def test_learning_rates_of_every_step(schedule, epochs, data, rates):
    """The s-th step from 0, in an epoch after e whole ones; four steps are an epoch."""
    training.train(run(schedule=schedule, epochs=epochs, lr=0.01, patience=99), data)
    expected = [0.01 * RATES[schedule](s, s // 4, epochs) for s in range(4 * epochs)]
    assert rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", [*RATES, "plateau"])
def test_a_single_epoch_has_the_learning_rate_that_was_asked_for(schedule, data, rates):
    training.train(run(schedule=schedule, epochs=1, lr=0.01), data)
    assert rates == pytest.approx([0.01] * 4, rel=1e-3)


@pytest.mark.parametrize(("patience", "wait"), [(4, 2), (10, 5), (2, 1)])
def test_on_a_plateau_the_rate_falls_after_half_of_the_patience(patience, wait, data, rates, monkeypatch):  # fmt: skip
    values = iter([2.3, 2.0, 1.0, *[1.5] * 30])

    def evaluate(self, parts):
        return dict.fromkeys(METRICS, 0.5) | {"val_loss": next(values)}

    monkeypatch.setattr(training._State, "evaluate", evaluate)
    trained = training.train(run(schedule="plateau", epochs=30, lr=0.01, patience=patience), data)
    assert trained.stop == "stalled"
    assert len(trained.epochs) == 3 + patience
    each = rates[::4]
    fell = 2 + wait  # epochs 1 and 2 improved, then so many did not
    assert each[:fell] == [0.01] * fell
    assert each[fell:] == pytest.approx([0.001 * 0.1 ** (i // wait) for i in range(len(each) - fell)])  # fmt: skip
    assert rates == [lr for lr in each for _ in range(4)]


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0, "weight_decay": 0, "nesterov": False}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}),
        ("adam", torch.optim.Adam, {"weight_decay": 0, "betas": (0.9, 0.999), "amsgrad": False}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01, "betas": (0.9, 0.999)}),
    ],
)
def test_optimisers_are_what_they_are_called(name, kind, options, data):
    state = training._State(run(optimizer=name, lr=0.25), data)
    assert type(state.optimizer) is kind
    (group,) = state.optimizer.param_groups
    assert group["lr"] == 0.25
    assert {key: group[key] for key in options} == options
    assert {id(p) for p in group["params"]} == {id(p) for p in state.chain.parameters()}
    assert not group.get("dampening")


# --- statistics, precision, settings ---------------------------------------------------------


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_statistics_of_backpropagation_and_projection(perturb, data):
    bp = training.train(run(gradient="bp", k=None, statistics=True, perturb=perturb), data)
    frog = training.train(run(statistics=True, perturb=perturb, k=8), data)
    for trained in (bp, frog):
        assert all(math.isnan(trained.epochs[0][name]) for name in schemas.STATISTICS)
    for epoch in bp.epochs[1:]:
        assert epoch["cosine"] == pytest.approx(1, abs=1e-5)
        assert epoch["estimate_norm"] == pytest.approx(epoch["gradient_norm"], rel=1e-5)
    for epoch in frog.epochs[1:]:
        assert 0 < epoch["cosine"] < 1
        assert epoch["estimate_norm"] > 0
        if perturb == "weights":
            assert epoch["estimate_norm"] < epoch["gradient_norm"]


def test_statistics_of_many_tangents_follow_theory(data):
    from fgrad.gradients import laws

    trained = training.train(run(statistics=True, perturb="weights", k=1000, epochs=4), data)
    expected = laws.projection_ratio(trained.n, 1000)
    assert trained.n == 785 * 16 + 17 * 16 + 170
    for epoch in trained.epochs[1:]:
        assert epoch["cosine"] == pytest.approx(float(expected), rel=0.05)


def test_n_of_perturbed_activations(data):
    assert training.train(run(epochs=0), data).n == 16 + 16 + 10


def test_bfloat16_learns_almost_like_float32(data):
    r = {"gradient": "bp", "k": None, "lr": 0.1}
    plain, half = (training.train(run(precision=p, **r), data) for p in ("float32", "bf16"))
    assert losses(half) != losses(plain)
    assert losses(half) == pytest.approx(losses(plain), rel=0.05)


def test_settings_of_the_process_are_as_they_were(data, tmp_path):
    def settings() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.allow_tf32,
        )

    before, inside = settings(), []
    r = run(threads=2, precision="tf32", deterministic=True, epochs=1)
    training.write(r, tmp_path / "r.parquet", say=lambda _: inside.append(settings()))
    assert inside == [(2, "high", True, True)] * 2
    assert settings() == before
    with pytest.raises(KilledError):
        training.write(r, tmp_path / "r.parquet", say=raising)
    assert settings() == before


def test_a_trace_of_the_first_steps(data, tmp_path, capsys):
    training.write(run(profile=True, epochs=2), tmp_path / "r.parquet", say=lambda _: None)
    trace = json.loads((tmp_path / "r.trace.json").read_text())
    assert trace["traceEvents"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.parquet", "r.trace.json"]
    training.write(run(epochs=2), tmp_path / "s.parquet", say=lambda _: None)
    a, b = (parquet.read(tmp_path / name)["val_loss"] for name in ("r.parquet", "s.parquet"))
    assert a.equals(b)


# --- the file --------------------------------------------------------------------------------


def test_parquet_follows_the_contract(data, tmp_path):
    path = tmp_path / "sub" / "r.parquet"
    r = run(experiment="paper", seed=3)
    training.write(r, path, say=lambda _: None)
    frame = parquet.read(path)
    assert list(frame.columns) == list(schemas.NETWORKS)
    assert list(frame["epoch"]) == [0, 1, 2, 3]
    assert str(frame["k"].dtype) == str(frame["width"].dtype) == "Int64"
    for name, value in {"experiment": "paper", "model": "fc", "width": 16, "dataset": "mnist5k", "gradient": "frog", "k": 4, "lr": 0.05, "seed": 3}.items():  # fmt: skip
        assert (frame[name] == value).all()
    assert frame["train_seconds"][0] == 0
    assert (frame["train_seconds"][1:] > 0).all()
    assert (frame["eval_seconds"] > 0).all()
    expected = training.train(r, data)
    assert frame[METRICS].to_numpy().tolist() == [[e[m] for m in METRICS] for e in expected.epochs]
    kept = parquet.provenance(path)
    assert kept["run"] == r.model_dump(mode="json")
    assert (kept["stop"], kept["n"], kept["device"], kept["threads"]) == ("completed", 42, "cpu", 1)
    assert kept["start"] <= kept["end"]
    assert TrainRun(**kept["run"]) == r


def test_statistics_are_further_columns(data, tmp_path):
    path = tmp_path / "r.parquet"
    training.write(run(statistics=True, gradient="bp", k=None), path, say=lambda _: None)
    frame = parquet.read(path)
    assert list(frame.columns) == [*schemas.NETWORKS, *schemas.STATISTICS]
    assert frame["k"].isna().all()
    assert frame["cosine"].isna().tolist() == [True, False, False, False]


def test_every_epoch_is_told_and_counted(data, tmp_path):
    said: list[str] = []
    counted: list[tuple[int, int]] = []
    training.write(run(), tmp_path / "r.parquet", say=said.append, progress=lambda *at: counted.append(at))  # fmt: skip
    assert len(said) == 4
    assert all(f"epoch {i}/3: train " in line and "\n" not in line for i, line in enumerate(said))
    assert counted == [(i, 3) for i in range(4)]


def test_an_output_in_a_folder_that_cannot_be_is_refused_before_training(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        training.write(run(), tmp_path / "file" / "r.parquet", say=lambda _: None)
    assert "\n" not in str(caught.value)


def test_data_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cifar10") as caught:
        training.write(run(dataset="cifar10"), tmp_path / "r.parquet", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "gpus", "there"), [("cuda", 0, "cpu"), ("cuda:0", 0, "cpu"), ("cuda:2", 2, "cpu, cuda:0, cuda:1")])  # fmt: skip
def test_a_device_that_is_not_there(device, gpus, there, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError) as caught:
        training.write(run(device=device), tmp_path / "r.parquet")
    assert str(caught.value) == f"device = {device!r}: no such GPU here; there are {there}"
    assert not list(tmp_path.iterdir())


def test_auto_is_the_gpu_if_there_is_one(monkeypatch):
    for gpus, name in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert device.choose_device("auto") == torch.device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_without_a_gpu_ends_in_one_line(tmp_path):
    options = ["--model", "fc", "--gradient", "bp", "--lr", "0.1", "--device", "cuda"]
    done = subprocess.run([FGRAD, "train", *options, "--output", str(tmp_path / "r.parquet")], capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "fgrad: device = 'cuda': no such GPU here; there are cpu\n"


# --- options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "vgg"}, "model = 'vgg': unknown model; allowed: fc, lenet5, resnet18, vit, mlpmixer"),
        ({"dataset": "imagenet"}, "dataset = 'imagenet': unknown dataset; allowed: mnist, fashion-mnist, cifar10, svhn, mnist5k"),
        ({"gradient": "spsa"}, "unknown gradient; allowed: bp, fg-mean, frog"),
        ({"mode": "reverse"}, "mode = 'reverse': Input should be 'sim' or 'fwad'"),
        ({"perturb": "inputs"}, "perturb = 'inputs': Input should be 'activations' or 'weights'"),
        ({"optimizer": "lbfgs"}, "'sgd', 'nesterov', 'adam' or 'adamw'"),
        ({"schedule": "warmup"}, "'constant', 'exponential', 'steps', 'cosine' or 'plateau'"),
        ({"model": "resnet18"}, "width = 16: model resnet18 has none, only fc"),
        ({"k": None}, "gradient frog with k = None: it needs k"),
        ({"gradient": "bp"}, "gradient bp with k = 4: it takes no tangents"),
        ({"tangents": "exact"}, "tangents exact needs perturb weights, mode sim"),
        ({"tangents": "exact", "perturb": "weights", "mode": "fwad"}, "tangents exact needs"),
        ({"tangents": "exact", "perturb": "weights", "gradient": "m", "approach": {"aggregation": "max"}}, "tangents exact needs"),
        ({"precision": "bf16", "mode": "fwad"}, "precision bf16 needs mode sim"),
        ({"gradient": "a", "approach": {"aggregation": "mean", "tangents": "angle"}}, "tangents at an angle are for"),
        ({"device": "tpu"}, "device = 'tpu'"),
        ({"epochs": -1}, "epochs = -1"),
        ({"patience": 0}, "patience = 0"),
        ({"batch": 0}, "batch = 0"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": math.nan}, "lr = nan"),
        ({"lr": math.inf}, "lr = inf"),
        ({"seed": -1}, "seed = -1"),
        ({"chunk": 0}, "chunk = 0"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes = -1"),
        ({"epoch": 3}, "epoch = 3: unknown key"),
        ({"experiment": "a/b"}, "experiment = 'a/b'"),
    ],
)  # fmt: skip
def test_wrong_options_say_what_is_allowed(change, message):
    with pytest.raises(ConfigError) as caught:
        errors.validate(TrainRun, PLAIN | change, "config.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.yaml: ")
    assert "\n" not in str(caught.value)


def test_options_are_frozen_and_survive_json():
    r = run(approach=APPROACHES["frog"], chunk=3)
    assert TrainRun.model_validate_json(r.model_dump_json()) == r
    with pytest.raises(ValidationError):
        r.lr = 1


def test_torch_is_not_imported_for_the_options():
    code = "import sys, fgrad.options.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- on a GPU --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_gpu(whole) -> training.Data:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return tuple(Split(s.images.cuda(), s.labels.cuda()) for s in whole)


@pytest.mark.gpu
@pytest.mark.parametrize("r", [run(gradient="bp", k=None, epochs=1, lr=0.1), lenet(gradient="bp", k=None, epochs=1, lr=0.1)], ids=lambda r: r.model)  # fmt: skip
def test_an_epoch_on_the_gpu_is_nearly_that_on_the_cpu(r, whole, on_gpu):
    cpu, gpu = training.train(r, whole), training.train(r, on_gpu)
    np.testing.assert_allclose(numbers(gpu)[0], numbers(cpu)[0], rtol=1e-3)
    assert losses(gpu, "val") == pytest.approx(losses(cpu, "val"), rel=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_estimates_learn_on_the_gpu(mode, perturb, on_gpu):
    r = run(mode=mode, perturb=perturb, k=64, lr=0.05, width=32)
    falling = losses(training.train(r, on_gpu))
    assert falling[-1] < falling[0]


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["fc", "lenet5", "resnet18", "vit"])
@pytest.mark.parametrize("gradient", ["bp", "frog", "fg-mean"])
@pytest.mark.parametrize("changes", [{}, {"mode": "fwad"}, {"perturb": "weights"}, {"augment": True, "schedule": "exponential"}, {"precision": "bf16"}], ids=str)  # fmt: skip
def test_nothing_inside_an_epoch_waits_for_the_gpu(model, gradient, changes, on_gpu):
    r = run(model=model, width=None, gradient=gradient, k=None if gradient == "bp" else 4, batch=500, **changes)  # fmt: skip
    state = training._State(r, on_gpu)
    state.step_through(lambda: None)  # the first steps set things up
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        state.step_through(lambda: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_run_killed_on_the_gpu_goes_on(on_gpu, tmp_path):
    r = run(device="cuda", deterministic=True)
    with device.settings(r):
        killed(r, on_gpu, tmp_path / "c", 2)
        assert alike(training.train(r, on_gpu, tmp_path / "c"), training.train(r, on_gpu))


@pytest.mark.gpu
def test_a_run_begun_on_the_cpu_goes_on_on_the_gpu_or_is_refused_in_a_line(whole, on_gpu, tmp_path):
    """With device auto both are the same run."""
    r = run(device="auto")
    killed(r, whole, tmp_path / "c", 2)
    try:
        assert len(training.train(r, on_gpu, tmp_path / "c").epochs) == 4
    except ConfigError as error:
        assert "\n" not in str(error)


def test_a_caller_may_prune_and_have_the_validation_data_alone_evaluated(data):
    seen = []

    def prune(losses):
        seen.append(list(losses))
        return len(losses) == 3

    pruned = training.train(run(epochs=9, lr=0.01), data, parts=("val",), prune=prune)
    whole = training.train(run(epochs=2, lr=0.01), data)
    assert pruned.stop == "pruned"
    assert seen[-1] == [epoch["val_loss"] for epoch in pruned.epochs]
    assert [len(losses) for losses in seen] == [1, 2, 3]
    assert not any("test_loss" in epoch or "train_loss" in epoch for epoch in pruned.epochs)
    for one, other in zip(pruned.epochs, whole.epochs, strict=True):
        assert (one["val_loss"], one["val_accuracy"]) == (other["val_loss"], other["val_accuracy"])
