"""Search for the learning rate of a network (4.4, 4.5), on its lowest validation loss.

Trials come in generations. A trial is pruned by the median of the trials of earlier generations, so
that neither the order in which trials end nor how many are trained at once changes a number.

Source: the paper, sections 4.4 and 4.5 and their learning-rate search.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import optuna
import torch
from optuna.trial import FrozenTrial

from fgrad.experiments.device import choose_device, settings
from fgrad.experiments.search import study
from fgrad.experiments.seeds import repeat_seeds
from fgrad.experiments.training import Data, checkpoint_of, train
from fgrad.options.networks import NetworkSearch, TrainRun, TrainTask
from fgrad.problems.data import load
from fgrad.problems.registry import DATASETS
from fgrad.store import log, schemas
from fgrad.store.source import fingerprint

EXECUTION = {"in_flight", "checkpoint_minutes"}
"""Options that change no number."""


def write(
    search: NetworkSearch,
    path: Path | str,
    source: Path | None = None,
    say: study.Say = log.log_line,
    progress: log.PROGRESS = lambda done, total: None,
) -> study.Found:
    """Search and write every trial as Parquet, a row for each.

    All trials start from the same parameters, in the same order of batches, with the same tangents.

    With trials in flight the calling script must be importable: its work below
    ``if __name__ == "__main__"``.

    Args:
        search: the table row and how to search.
        path: Parquet file. A journal, and a checkpoint of each trial that is being trained, lie
            beside it while the search goes on; the same call takes them up again.
        source: prepared file or folder of the data set, see `fgrad.problems.data.load`.
        say: told about every trial in a line.
        progress: called with trials done and trials that are expected so far.

    Returns:
        The selected rate.

    Raises:
        ConfigError: as `fgrad.experiments.search.study.carry_out`, or if there is no such device or
            data.
    """
    target = Path(path)
    device = choose_device(search.device)
    plain = search.model_dump(mode="json", exclude=EXECUTION)
    versions = study.versions(fingerprint("experiments.search.networks")) | {"on": device.type}
    (seed,) = repeat_seeds(search.seed, "search", 1)
    data(search.dataset, source, str(device))  # a data set that is not there ends the search here

    def evaluate(
        trials: list[FrozenTrial], earlier: list[FrozenTrial]
    ) -> Iterator[tuple[int, study.Outcome]]:
        # by rate: one that a generation asks for twice is trained once
        waiting: dict[float, list[int]] = {}
        for one in trials:
            if not one.state.is_finished():
                waiting.setdefault(one.params["lr"], []).append(one.number)
        works = [Work(search, lr, seed, earlier, target, source) for lr in waiting]
        done = len(earlier) + sum(one.state.is_finished() for one in trials)
        for lr, outcome in _trained(works, search.in_flight):
            epochs = len(outcome.history) - (outcome.stop != "diverged")
            for number in waiting[lr]:
                say(
                    f"{log.now()} trial {number}: lr {lr:g}, "
                    f"validation loss {outcome.loss:.4g}, {outcome.stop} after {epochs} epochs"
                )
                done += 1
                progress(done, max(search.evaluations, trials[-1].number + 1))
                yield number, outcome
            checkpoint_of(_run(search, lr, seed), target).unlink(missing_ok=True)

    return study.carry_out(
        search,
        target,
        {name: getattr(search, name) for name in schemas.NETWORK_ROW},
        schemas.NETWORK_ROW,
        plain | versions,
        evaluate,
        search.generation,
        study.Scale(0.0, math.log(DATASETS[search.dataset].classes)),
        say,
        seeds=[seed],
        device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=search.threads,
    )


@dataclass(frozen=True)
class Work:
    """A rate to train with.

    Args:
        search: the table row and how to search.
        lr: learning rate.
        seed: of the training.
        earlier: finished trials it is compared with.
        target: output of the search, beside which the checkpoint lies.
        source: as in `write`.
    """

    search: NetworkSearch
    lr: float
    seed: int
    earlier: list[FrozenTrial]
    target: Path
    source: Path | None


def _trained(works: list[Work], in_flight: int) -> Iterator[tuple[float, study.Outcome]]:
    """Rates and outcomes as they come, of so many trials at once.

    After an error no other trial begins; those in flight end and count, unless a process died.
    """
    if in_flight == 1 or len(works) == 1:
        for work in works:
            yield work.lr, trial(work)
        return
    workers = min(in_flight, len(works))
    waiting, error = iter(works), None
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        flying: dict[Future[study.Outcome], float] = {}
        while True:
            if error is None:
                for work in itertools.islice(waiting, workers - len(flying)):
                    flying[pool.submit(trial, work)] = work.lr
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                lr = flying.pop(future)
                if future.exception() is None:
                    yield lr, future.result()
                error = error or future.exception()
    if error is not None:
        raise error


def _end_with_parent() -> None:
    """A worker whose parent was killed must not train beside the search that goes on."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


@cache
def data(dataset: str, source: Path | None, device: str) -> Data:
    """The data of a process, read once."""
    return load(dataset, source, torch.device(device))


def _run(search: NetworkSearch, lr: float, seed: int) -> TrainRun:
    task = search.model_dump(include=set(TrainTask.model_fields))
    return TrainRun(**task | {"statistics": False}, lr=lr, seed=seed)


def trial(work: Work) -> study.Outcome:
    """Train with one rate, until it ends or its validation loss is above what is usual."""
    search = work.search
    run = _run(search, work.lr, work.seed)
    with settings(run):
        split = data(search.dataset, work.source, str(choose_device(search.device)))
        prune = _pruning(search, work.earlier)
        trained = train(run, split, checkpoint_of(run, work.target), parts=("val",), prune=prune)
    losses = tuple(epoch["val_loss"] for epoch in trained.epochs)
    if trained.stop == "diverged":
        return study.Outcome(math.inf, None, "diverged", losses[:-1])
    return study.Outcome(min(losses), None, trained.stop, losses)


def _pruning(search: NetworkSearch, earlier: list[FrozenTrial]) -> Callable[[list[float]], bool]:
    """Whether validation losses from epoch 0 on are above the median of earlier trials.

    Of those that were not pruned, from five on. Hyperband would compare trials that are trained at
    the same time, so that their order would count.
    """
    if search.pruning == "none":
        return lambda losses: False
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=search.warmup)
    before = optuna.create_study(pruner=pruner)
    before.add_trials(earlier)
    own = before.ask()
    reported = 0

    def prune(losses: list[float]) -> bool:
        nonlocal reported
        for epoch in range(reported, len(losses)):
            own.report(losses[epoch], epoch)
        reported = len(losses)
        return own.should_prune()

    return prune
