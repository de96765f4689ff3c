"""Training of a network with any gradient approach, evaluated every epoch (sections 4.4 and 4.5).

Source: the paper, sections 4.4 and 4.5.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fgrad.experiments import gpus
from fgrad.experiments.device import choose_device, profiler, settings
from fgrad.experiments.state import PARTS, Data, Epoch, State
from fgrad.options.networks import LOST, TrainRun
from fgrad.plugins import short
from fgrad.problems.data import load
from fgrad.store import files, identity, log
from fgrad.store.checkpoints import Checkpoint
from fgrad.store.context import ALONE, Context, Result


@dataclass(frozen=True)
class Training:
    """Metrics of every epoch from 0, and why it ended.

    Args:
        epochs: for each epoch loss and accuracy on each part of the data, the seconds it took by
            `clock` and, where they were asked for, `fgrad.experiments.state.STATISTICS`.
        stop: ``completed`` all epochs, ``stalled`` (no lower validation loss for `patience` epochs)
            or ``diverged`` (validation loss NaN or at least `LOST`); ``pruned`` by the caller.
        n: dimension of the space the tangents live in.
    """

    epochs: list[Epoch]
    stop: str
    n: int


def compute(run: TrainRun, context: Context) -> Result:
    """Train a run; one row for each epoch.

    A checkpoint lies beside the output while the run goes on; the same call takes it up again.

    Raises:
        ConfigError: as `train`, or if there is no such device or no such data.
    """
    with (
        gpus.claimed(run.device, run.gpu_slots, context.say) as device,
        settings(run.threads, run.precision, run.deterministic),
    ):
        data = load(run.dataset, context.source, device)
        trained = train(run, data, context)
    columns: dict[str, Any] = {
        name: np.array([epoch[name] for epoch in trained.epochs]) for name in trained.epochs[0]
    }
    named = {"experiment", "model", "width", "dataset", "gradient", "k", "lr", "seed"}
    columns |= run.model_dump(include=named) | {"epoch": np.arange(len(trained.epochs))}
    columns |= {"model": short(run.model), "dataset": short(run.dataset)}
    facts = {"threads": run.threads, "stop": trained.stop, "n": trained.n}
    return Result(columns, gpus.facts(device) | facts)


def checkpoint_of(run: TrainRun, context: Context) -> Checkpoint | None:
    """The checkpoint of a run: beside the output, named by everything its numbers depend on."""
    if context.target is None:
        return None
    on = choose_device(run.device).type
    plain = run.model_dump(mode="json")
    key = identity.digest(identity.description(plain, context.code, on))
    path = files.beside(context.target, key, "checkpoint")
    return Checkpoint(path, key, run.checkpoint_minutes, context.say)


def train(
    run: TrainRun,
    data: Data,
    context: Context = ALONE,
    parts: Sequence[str] = PARTS,
    prune: Callable[[list[float]], bool] = lambda losses: False,
) -> Training:
    """Train and evaluate, epoch by epoch.

    Args:
        run: what to do.
        data: training, validation and test data on the device of the run.
        context: what is told of every epoch, and where a checkpoint to resume from is kept.
        parts: of the data that are evaluated; ``val`` must be among them.
        prune: given the validation losses from epoch 0 on, whether to end the run here.

    Returns:
        Metrics and stop reason. A resumed run ends with the very numbers of an undisturbed one, on
        the CPU to the last bit.

    Raises:
        ConfigError: if the checkpoint cannot be read or is of another run or version.
    """
    state = State(run, data)
    n = state.gradient.n(data[0].images[:2], data[0].labels[:2])
    checkpoint = checkpoint_of(run, context)
    history = state.resume(checkpoint) if checkpoint else []
    if history:
        context.say(f"resumed after epoch {len(history) - 1}")
    trace = context.target.with_suffix(".trace.json") if run.profile and context.target else None
    now, start = clock(state.device), time.monotonic()
    first = len(history)
    stop = _Stop(run.epochs, run.patience, prune)
    with checkpoint.keeping() if checkpoint else nullcontext() as keep:
        while not (reason := stop([epoch["val_loss"] for epoch in history])):
            epoch = len(history)
            began = now()
            statistics = {}
            if epoch:
                with profiler(trace if epoch == 1 else None) as after_step:
                    statistics = state.step_through(after_step)
                state.wait()
            trained = now()
            measured = state.evaluate(parts)
            state.end_epoch(measured["val_loss"], bool(epoch))
            seconds = {
                "train_seconds": trained - began if epoch else 0.0,
                "eval_seconds": now() - trained,
            }
            history.append(measured | seconds | (statistics or state.no_statistics))
            if keep:
                keep(state.content(history))
            each = (time.monotonic() - start) / (len(history) - first)
            context.say(log.epoch_line(history, run.epochs, each))
            context.progress(epoch, run.epochs)
    return Training(history, reason, n)


def clock(device: torch.device) -> Callable[[], float]:
    """What seconds of training are measured by.

    On the CPU the time in which the calling thread computes, which programs beside it hardly
    lengthen; it takes part in all that several threads do. On a GPU the time that passes.
    """
    return time.thread_time if device.type == "cpu" else time.monotonic


@dataclass(frozen=True)
class _Stop:
    """Why a run ends.

    Args:
        epochs: at most.
        patience: epochs in a row without a lower validation loss.
        prune: as in `train`.
    """

    epochs: int
    patience: int
    prune: Callable[[list[float]], bool]

    def __call__(self, losses: list[float]) -> str:
        """The reason after these validation losses, from epoch 0 on; empty if it goes on."""
        if not losses:
            return ""
        if not losses[-1] < LOST:
            return "diverged"
        if len(losses) > self.epochs:
            return "completed"
        lowest = min(range(len(losses)), key=losses.__getitem__)
        if len(losses) - 1 - lowest >= self.patience:
            return "stalled"
        return "pruned" if self.prune(losses) else ""
