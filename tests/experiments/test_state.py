"""Schedules, optimisers, statistics and precision of a training."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from fgrad.experiments import state, training
from fgrad.experiments.state import PARTS, STATISTICS, State

METRICS = [f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy")]


@pytest.fixture
def rates(monkeypatch) -> list[float]:
    """The learning rate of every step that is taken."""
    found: list[float] = []
    original = state._optimizer

    def watched(name, chain, lr):
        optimizer = original(name, chain, lr)
        optimizer.register_step_pre_hook(lambda o, *_: found.append(o.param_groups[0]["lr"]))
        return optimizer

    class Watched(state.PlainSGD):
        def step(self):
            found.append(self.lr)
            super().step()

    monkeypatch.setattr(state, "_optimizer", watched)
    monkeypatch.setattr(state, "PlainSGD", Watched)
    return found


RATES: dict[str, Callable[[int, int, int], float]] = {
    "constant": lambda step, epoch, epochs: 1,
    "exponential": lambda step, epoch, epochs: math.exp(-1e-4 * step),
    "steps": lambda step, epoch, epochs: 0.1 ** ((epoch >= epochs / 2) + (epoch >= epochs * 3 / 4)),
    "cosine": lambda step, epoch, epochs: (1 + math.cos(math.pi * epoch / epochs)) / 2,
}


@pytest.mark.long
@pytest.mark.parametrize("schedule", RATES)
@pytest.mark.parametrize("epochs", [4, 8])
def test_learning_rates_of_every_step(schedule, epochs, data, rates, run):
    """The s-th step from 0, in an epoch after e whole ones; four steps are an epoch."""
    training.train(run(schedule=schedule, epochs=epochs, lr=0.01, patience=99), data)
    expected = [0.01 * RATES[schedule](s, s // 4, epochs) for s in range(4 * epochs)]
    assert rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", [*RATES, "plateau"])
def test_a_single_epoch_has_the_learning_rate_that_was_asked_for(schedule, data, rates, run):
    training.train(run(schedule=schedule, epochs=1, lr=0.01), data)
    assert rates == pytest.approx([0.01] * 4, rel=1e-3)


@pytest.mark.parametrize(("patience", "wait"), [(4, 2), (10, 5), (2, 1)])
def test_on_a_plateau_the_rate_falls_after_half_of_the_patience(patience, wait, data, rates, monkeypatch, run):  # fmt: skip
    values = iter([2.3, 2.0, 1.0, *[1.5] * 30])

    def evaluate(self, parts):
        return dict.fromkeys(METRICS, 0.5) | {"val_loss": next(values)}

    monkeypatch.setattr(State, "evaluate", evaluate)
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
def test_optimisers_are_what_they_are_called(name, kind, options, data, run):
    one = State(run(optimizer=name, lr=0.25, schedule="exponential"), data)
    assert type(one.optimizer) is kind
    assert isinstance(one.optimizer, torch.optim.Optimizer)
    (group,) = one.optimizer.param_groups
    assert group["lr"] == 0.25
    assert {key: group[key] for key in options} == options
    assert {id(p) for p in group["params"]} == {id(p) for p in one.chain.parameters()}
    assert not group.get("dampening")


@pytest.mark.parametrize("k", [None, 16])
def test_plain_sgd_is_torchs_to_the_last_bit(k, data, run):
    """Without momentum, weight decay and schedule there is nothing else to it."""
    ours = State(run(gradient="frog" if k else "bp", k=k, lr=0.05), data)
    theirs = State(run(gradient="frog" if k else "bp", k=k, lr=0.05), data)
    assert type(ours.optimizer) is state.PlainSGD
    theirs.optimizer = torch.optim.SGD(theirs.chain.parameters(), 0.05)
    for one in (ours, theirs):
        one.step_through()
    pairs = zip(ours.chain.parameters(), theirs.chain.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.long
def test_a_training_imports_no_compiler():
    """What `torch.optim` brings with its first optimiser takes a second of every job."""
    code = (
        "import sys; from fgrad.experiments.training import train;"
        "from fgrad.experiments.state import State; from fgrad.options.networks import TrainRun;"
        "from fgrad.problems.data import Split; import torch;"
        "s = Split(torch.randn(8, 1, 28, 28), torch.zeros(8, dtype=torch.long));"
        "run = TrainRun(model='resnet18', reduce=16, gradient='frog', k=2, lr=0.1, epochs=1);"
        "train(run, (s, s, s));"
        "print([name for name in ('torch._dynamo', 'torchvision') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_statistics_of_backpropagation_and_projection(perturb, data, run):
    bp = training.train(run(gradient="bp", k=None, statistics=True, perturb=perturb), data)
    frog = training.train(run(statistics=True, perturb=perturb, k=8), data)
    for trained in (bp, frog):
        assert all(math.isnan(trained.epochs[0][name]) for name in STATISTICS)
    for epoch in bp.epochs[1:]:
        assert epoch["cosine"] == pytest.approx(1, abs=1e-5)
        assert epoch["estimate_norm"] == pytest.approx(epoch["gradient_norm"], rel=1e-5)
    for epoch in frog.epochs[1:]:
        assert 0 < epoch["cosine"] < 1
        assert epoch["estimate_norm"] > 0
        if perturb == "weights":
            assert epoch["estimate_norm"] < epoch["gradient_norm"]


def test_statistics_of_many_tangents_follow_theory(data, run):
    from fgrad.gradients import laws

    trained = training.train(run(statistics=True, perturb="weights", k=1000, epochs=4), data)
    expected = laws.projection_ratio(trained.n, 1000)
    assert trained.n == 785 * 16 + 17 * 16 + 170
    for epoch in trained.epochs[1:]:
        assert epoch["cosine"] == pytest.approx(float(expected), rel=0.05)


def test_n_of_perturbed_activations(data, run):
    assert training.train(run(epochs=0), data).n == 16 + 16 + 10


def test_bfloat16_learns_almost_like_float32(data, run, losses):
    r = {"gradient": "bp", "k": None, "lr": 0.1}
    plain, half = (training.train(run(precision=p, **r), data) for p in ("float32", "bf16"))
    assert losses(half) != losses(plain)
    assert losses(half) == pytest.approx(losses(plain), rel=0.05)
