"""Training: reproducible, stopped by its rules, and it learns."""

import copy
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from fgrad.errors import ConfigError
from fgrad.experiments import state, training
from fgrad.experiments.seeds import stream_seed
from fgrad.experiments.state import PARTS, State, build
from fgrad.gradients.approach import Approach
from fgrad.gradients.perturbation import Perturbation
from fgrad.options.networks import LOST
from fgrad.problems.data import augment
from fgrad.problems.registry import MODELS
from fgrad.store import parquet

SCHEDULES = ("constant", "exponential", "steps", "cosine", "plateau")
METRICS = [f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy")]


# --- reproducible --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient": "bp", "k": None, "statistics": True},
        {"perturb": "weights", "augment": True},
        {"mode": "fwad", "chunk": 3},
        {"model": "lenet5", "width": None, "reduce": 2, "epochs": 2},
        {"model": "vit", "width": None, "reduce": 32, "epochs": 1, "batch": 50},
    ],
    ids=str,
)
def test_the_same_run_gives_the_same_bits(changes, data, run, alike):
    r = run(**changes)
    torch.manual_seed(0)
    first = training.train(r, data)
    torch.manual_seed(1)
    assert alike(training.train(r, data), first)


def test_another_seed_gives_other_parameters_batches_and_tangents(data, run, losses):
    states = [State(run(seed=seed, augment=True), data) for seed in (0, 1)]
    for name in ("order", "tangents", "crops"):
        drawn = [torch.rand(4, generator=getattr(state, name)) for state in states]
        assert not torch.equal(*drawn)
    weights = [next(state.chain.parameters()) for state in states]
    assert not torch.equal(*weights)
    trained = [training.train(run(seed=seed), data) for seed in (0, 1)]
    assert losses(trained[0])[0] != losses(trained[1])[0]


def test_parameters_order_tangents_and_crops_are_independent(data, run):
    state = State(run(), data)
    streams = [torch.rand(4, generator=getattr(state, g)) for g in ("order", "tangents", "crops")]
    assert len({tuple(s.tolist()) for s in streams}) == 3


def test_parameters_and_order_do_not_depend_on_the_gradient(data, monkeypatch, run, numbers):
    seen: list[list[torch.Tensor]] = []
    call = Perturbation.__call__

    def watched(self, x, y):
        seen[-1].append(y.clone())
        return call(self, x, y)

    monkeypatch.setattr(Perturbation, "__call__", watched)
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
    build(model, "mnist5k", None, 32, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_training_leaves_the_global_generator_alone(mode, data, lenet):
    before = torch.get_rng_state(), str(np.random.get_state())
    training.train(lenet(mode=mode, epochs=1, augment=True, statistics=True), data)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_statistics_change_no_other_number(data, lenet):
    plain = training.train(lenet(epochs=2), data)
    more = training.train(lenet(epochs=2, statistics=True), data)
    assert [[e[m] for m in METRICS] for e in plain.epochs] == [
        [e[m] for m in METRICS] for e in more.epochs
    ]


# --- stopping ------------------------------------------------------------------------------------


def test_all_epochs_are_completed(data, run):
    trained = training.train(run(), data)
    assert trained.stop == "completed"
    assert len(trained.epochs) == 4


def test_seconds_are_those_of_its_own_work(data, run, monkeypatch):
    step_through = State.step_through

    def beside_others(state, after_step):
        time.sleep(0.3)
        return step_through(state, after_step)

    monkeypatch.setattr(State, "step_through", beside_others)
    began, before = time.process_time(), time.monotonic()
    trained = training.train(run(), data)
    worked, passed = time.process_time() - began, time.monotonic() - before
    seconds = sum(e["train_seconds"] + e["eval_seconds"] for e in trained.epochs)
    assert passed > 0.9
    assert worked / 2 < seconds <= worked


def test_no_epochs_is_the_evaluation_of_the_untrained_network(data, tmp_path, run, carried_out):
    trained = training.train(run(epochs=0), data)
    assert trained.stop == "completed"
    assert len(trained.epochs) == 1
    assert trained.epochs[0]["train_seconds"] == 0
    carried_out(run(epochs=0), tmp_path / "r.parquet")
    assert list(parquet.read(tmp_path / "r.parquet")["epoch"]) == [0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_epochs_with_any_schedule(schedule, data, run):
    assert training.train(run(epochs=0, schedule=schedule), data).stop == "completed"


@pytest.mark.parametrize(("model", "width", "reduce"), [("fc", 16, 1), ("lenet5", None, 2), ("resnet18", None, 16), ("vit", None, 16), ("mlpmixer", None, 32)])  # fmt: skip
def test_epoch_0_is_before_any_step(model, width, reduce, data, run):
    r = run(model=model, width=width, reduce=reduce, epochs=0)
    found = training.train(r, data).epochs[0]
    chain = build(r.model, r.dataset, r.width, r.reduce, r.seed).double().eval()
    for part, split in zip(PARTS, data, strict=True):
        with torch.no_grad():
            logits = chain(split.images.double())
        loss = cross_entropy(logits, split.labels)
        assert found[f"{part}_loss"] == pytest.approx(loss.item(), rel=1e-5)
        right = (logits.argmax(1) == split.labels).double().mean()
        assert found[f"{part}_accuracy"] == pytest.approx(right.item(), abs=1e-6)
    assert max(found[f"{part}_loss"] for part in PARTS) < LOST


def test_a_stalled_run_has_patience(data, tmp_path, run, carried_out):
    r = run(gradient="bp", k=None, lr=1e-12, patience=2, epochs=9)
    carried_out(r, tmp_path / "r.parquet")
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
        {"perturb": "weights", "sampling": "explicit"},
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
def test_divergence_is_a_status(lr, changes, data, tmp_path, run, carried_out):
    r = run(**{"lr": lr, "epochs": 5} | changes)
    path = tmp_path / "r.parquet"
    carried_out(r, path)
    assert parquet.provenance(path)["stop"] == "diverged"
    last = parquet.read(path).iloc[-1]
    assert not last["val_loss"] < LOST
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
    rule = training._Stop(epochs, patience, lambda losses: False)
    expected = stop_by_hand(values, epochs, patience)
    for epoch in range(len(values)):
        stop = rule(values[: epoch + 1])
        assert stop == (expected[1] if epoch == expected[0] else "")
        if stop:
            break


@pytest.mark.parametrize("size", [64, 65])
def test_a_last_batch_of_one_sample_is_no_crash(size, whole, lenet, some):
    """Batch norm takes no single sample; that is said in a line, or done without it."""
    few = some(whole, train=size)
    try:
        assert training.train(lenet(epochs=1), few).stop
    except ConfigError as error:
        assert "\n" not in str(error)


def test_a_caller_may_prune_and_have_the_validation_data_alone_evaluated(data, run):
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


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gradient", "k", "lr"), [("bp", None, 0.1), ("frog", 16, 0.05), ("fg-mean", 64, 0.01)])  # fmt: skip
def test_digits_are_learned(gradient, k, lr, whole, run, losses):
    trained = training.train(run(gradient=gradient, k=k, lr=lr, width=32), whole)
    for part in PARTS:
        falling = losses(trained, part)
        assert falling == sorted(falling, reverse=True)
        assert falling[-1] < falling[0] - 0.1
        assert trained.epochs[-1][f"{part}_accuracy"] > 0.1 + trained.epochs[0][f"{part}_accuracy"]


def test_perturbed_weights_learn_with_many_tangents(data, run, losses):
    r = run(perturb="weights", k=4096, lr=0.3, batch=20)
    falling = losses(training.train(r, data))
    assert falling[-1] < falling[0] - 0.5


def test_one_epoch_against_a_plain_loop(data, run):
    """Plain SGD with backpropagation, written out."""
    r = run(gradient="bp", k=None, lr=0.1, epochs=1)
    chain = build(r.model, r.dataset, r.width, r.reduce, r.seed)
    order = torch.randperm(
        200, generator=torch.Generator().manual_seed(stream_seed(r.seed, "order"))
    )
    for start in range(0, 200, 64):
        index = order[start : start + 64]
        loss = cross_entropy(chain(data[0].images[index]), data[0].labels[index])
        for p, g in zip(
            chain.parameters(), torch.autograd.grad(loss, list(chain.parameters())), strict=True
        ):
            p.data -= 0.1 * g
    found = training.train(r, data).epochs[1]
    for part, split in zip(PARTS, data, strict=True):
        expected = cross_entropy(chain(split.images), split.labels).item()
        assert found[f"{part}_loss"] == pytest.approx(expected, rel=1e-5)


def watch_batches(monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    call = Perturbation.__call__

    def watched(self, x, y):
        seen.append((x.clone(), y.clone()))
        assert self.chain.training
        return call(self, x, y)

    monkeypatch.setattr(Perturbation, "__call__", watched)
    return seen


def test_every_sample_is_used_once_an_epoch_the_last_partial_batch_too(data, monkeypatch, run):
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
def test_batches_are_the_papers_unless_told(dataset, size, data, run):
    assert State(run(dataset=dataset), data).batch == size
    assert State(run(dataset=dataset, batch=7), data).batch == 7


def test_augmentation_touches_training_batches_only(data, monkeypatch, run):
    before = copy.deepcopy(data)
    calls = []
    original = augment

    def watched(images, generator, flip):
        calls.append((len(images), flip))
        return original(images, generator, flip)

    monkeypatch.setattr(state, "augment", watched)
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


def test_evaluation_in_parts_is_evaluation_of_the_whole(data, monkeypatch, lenet, numbers):
    expected = training.train(lenet(epochs=1), data)
    monkeypatch.setattr(state, "EVALUATED", 37)
    found = training.train(lenet(epochs=1), data)
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-5)


def test_evaluation_leaves_the_network_alone(data, lenet):
    training_state = State(lenet(), data)
    before = [t.clone() for t in training_state.chain.state_dict().values()]
    training_state.evaluate()
    assert all(
        torch.equal(a, b)
        for a, b in zip(training_state.chain.state_dict().values(), before, strict=True)
    )
    assert all(p.requires_grad and not p.is_inference() for p in training_state.chain.parameters())


def test_accuracies_are_whole_numbers_of_samples(data, run):
    for epoch in training.train(run(), data).epochs:
        assert epoch["train_accuracy"] == round(epoch["train_accuracy"] * 200) / 200
        assert epoch["val_accuracy"] == round(epoch["val_accuracy"] * 100) / 100
