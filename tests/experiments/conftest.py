"""Fixtures shared by the tests of experiments: small runs, small data, and runs that are killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgrad import jobs
from fgrad.experiments import training
from fgrad.experiments.state import Data
from fgrad.experiments.training import Training
from fgrad.options.base import JobOptions
from fgrad.options.networks import TrainRun
from fgrad.problems.data import Split, load
from fgrad.store.context import Context, Result, silent


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="session")
def killed_error() -> type[Exception]:
    return KilledError


@pytest.fixture(scope="session")
def run() -> Callable[..., TrainRun]:
    """A small run of FC, with changes."""
    plain = dict[str, Any](model="fc", width=16, gradient="frog", k=4, lr=0.05, epochs=3)

    def made(**changes) -> TrainRun:
        return TrainRun(**plain | {"device": "cpu"} | changes)

    return made


@pytest.fixture(scope="session")
def lenet(run) -> Callable[..., TrainRun]:
    """A small run of LeNet-5, with changes."""

    def made(**changes) -> TrainRun:
        return run(**{"model": "lenet5", "width": None, "reduce": 2} | changes)

    return made


@pytest.fixture(scope="session")
def whole() -> Data:
    return load("mnist5k", None)


@pytest.fixture(scope="session")
def some() -> Callable[..., Data]:
    """The first samples of each part of the data."""

    def made(data: Data, train: int = 200, rest: int = 100) -> Data:
        first, second, third = (
            Split(s.images[:n], s.labels[:n])
            for s, n in zip(data, (train, rest, rest), strict=True)
        )
        return first, second, third

    return made


@pytest.fixture
def data(whole, some, monkeypatch) -> Data:
    """A few hundred digits, also for whole jobs; 200 for training, four batches of 64."""
    few = some(whole)
    monkeypatch.setattr(training, "load", lambda name, source, device: few)
    return few


@pytest.fixture(scope="session")
def numbers() -> Callable[[Training], list[list[float]]]:
    """Everything but the seconds."""

    def of(trained: Training) -> list[list[float]]:
        return [[v for name, v in e.items() if "seconds" not in name] for e in trained.epochs]

    return of


@pytest.fixture(scope="session")
def losses() -> Callable[..., list[float]]:
    """Loss of every epoch on a part of the data."""

    def of(trained: Training, part: str = "train") -> list[float]:
        return [epoch[f"{part}_loss"] for epoch in trained.epochs]

    return of


@pytest.fixture(scope="session")
def alike(numbers) -> Callable[[Training, Training], bool]:
    """Whether two trainings are the same to the last bit."""

    def are(a: Training, b: Training) -> bool:
        return a.stop == b.stop and np.array_equal(numbers(a), numbers(b), equal_nan=True)

    return are


@pytest.fixture(scope="session")
def killed() -> Callable[..., Path]:
    """Trains until an epoch has been evaluated and no further; the checkpoint that is left."""

    def train(r: TrainRun, data: Data, target: Path, epoch: int) -> Path:
        def say(line: str) -> None:
            if f"epoch {epoch}/" in line:
                raise KilledError

        context = Context(say, target=target)
        with pytest.raises(KilledError):
            training.train(r, data, context)
        checkpoint = training.checkpoint_of(r, context)
        assert checkpoint is not None
        return checkpoint.path

    return train


@pytest.fixture(scope="session")
def carried_out() -> Callable[..., Result]:
    """Carries out a job, in silence unless it is told otherwise."""

    def carry_out(run: JobOptions, path: Path, say=silent, **context) -> Result:
        return jobs.carry_out(run, path, Context(say, **context))

    return carry_out
