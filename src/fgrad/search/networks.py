"""Search for the learning rate of a network (4.4, 4.5), on its lowest validation loss.

Trials come in generations. A trial is pruned by the median of the trials of earlier generations, so
that neither the order in which trials end nor how many are trained at once changes a number.

Source: the paper, sections 4.4 and 4.5 and their learning-rate search.
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import optuna
import torch
from optuna.trial import FrozenTrial

from fgrad import results
from fgrad.config import repeat_seeds
from fgrad.data import load
from fgrad.datasets import DATASETS
from fgrad.device import choose_device, settings
from fgrad.networks import NetworkSearch, TrainRun, TrainTask
from fgrad.rates import NetworkRow
from fgrad.search import study
from fgrad.source import fingerprint
from fgrad.training import Data, checkpoint_of, train

EXECUTION = {"in_flight", "checkpoint_minutes"}
"""Options that change no number."""


def write(
    search: NetworkSearch,
    path: Path | str,
    source: Path | None = None,
    say: study.Say = results.log_line,
    progress: results.PROGRESS = lambda done, total: None,
) -> study.Found:
    """Search and write every trial as Parquet, a row for each.

    All trials start from the same parameters, in the same order of batches, with the same tangents.

    With trials in flight the calling script must be importable: its work below
    ``if __name__ == "__main__"``.

    Args:
        search: the table row and how to search.
        path: Parquet file. A journal, and a checkpoint of each trial that is being trained, lie
            beside it while the search goes on; the same call takes them up again.
        source: prepared file or folder of the data set, see `fgrad.data.load`.
        say: told about every trial in a line.
        progress: called with trials done and trials asked for.

    Returns:
        The selected rate.

    Raises:
        ConfigError: as `fgrad.search.study.conduct`, or if there is no such device or data.
    """
    target, start = Path(path), results.now()
    device = choose_device(search.device)
    plain = search.model_dump(mode="json", exclude=EXECUTION)
    versions = study.versions(fingerprint("search.networks")) | {"on": device.type}
    (seed,) = repeat_seeds(search.seed, "search", 1)
    data(search.dataset, source, str(device))  # a data set that is not there ends the search here

    done: list[int] = []

    def evaluate(
        trials: list[FrozenTrial], earlier: list[FrozenTrial]
    ) -> Iterator[tuple[int, study.Outcome]]:
        waiting = {
            trial.number: (search, trial.params["lr"], seed, earlier, target, source)
            for trial in trials
            if not trial.state.is_finished()
        }
        for number, outcome in _trained(waiting, search.in_flight):
            lr = waiting[number][1]
            say(
                f"{results.now()} trial {number}: lr {lr:g}, validation loss {outcome.loss:.4g}, "
                f"{outcome.stop} after {max(0, len(outcome.history) - 1)} epochs"
            )
            done.append(number)
            progress(len(done), search.evaluations)
            yield number, outcome

    description = plain | versions
    scale = study.Scale(0.0, math.log(DATASETS[search.dataset].classes))
    key = {name: getattr(search, name) for name in results.NETWORK_ROW}
    trials, found = study.conduct(
        search,
        NetworkRow.describe(tuple(key.values())),
        study.journal_of(target, description),
        description,
        evaluate,
        search.generation,
        scale,
        say,
    )
    study.write(
        target,
        key,
        results.NETWORK_ROW,
        trials,
        found,
        run=search.model_dump(mode="json"),
        scale=asdict(scale),
        seeds=[seed],
        device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=search.threads,
        start=start,
    )
    results.forget(target, "checkpoint")
    return found


Work = tuple[NetworkSearch, float, int, list[FrozenTrial], Path, Path | None]


def _trained(waiting: dict[int, Work], in_flight: int) -> Iterator[tuple[int, study.Outcome]]:
    """Outcomes as they come, of so many trials at once."""
    if in_flight == 1 or len(waiting) == 1:
        for number, work in waiting.items():
            yield number, trial(*work)
        return
    workers = min(in_flight, len(waiting))
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        futures = {pool.submit(trial, *work): number for number, work in waiting.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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


def trial(
    search: NetworkSearch,
    lr: float,
    seed: int,
    earlier: list[FrozenTrial],
    target: Path,
    source: Path | None,
) -> study.Outcome:
    """Train with one rate, until it ends or its validation loss is above what is usual.

    Args:
        search: the table row and how to search.
        lr: learning rate.
        seed: of the training.
        earlier: finished trials it is compared with.
        target: output of the search, beside which the checkpoint lies.
        source: as in `write`.
    """
    task = search.model_dump(include=set(TrainTask.model_fields))
    run = TrainRun(**task | {"statistics": False}, lr=lr, seed=seed)
    with settings(run):
        split = data(search.dataset, source, str(choose_device(search.device)))
        trained = train(
            run, split, checkpoint_of(run, target), parts=("val",), prune=_pruning(search, earlier)
        )
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
