"""Search for the learning rate of a network (4.4, 4.5), on its lowest validation loss.

Trials come in generations. A trial is pruned by the median of the trials of earlier generations, so
that neither the order in which trials end nor how many are trained at once changes a number.

Source: the paper, sections 4.4 and 4.5 and their learning-rate search.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread

import optuna
import torch
from optuna.trial import FrozenTrial

from fgrad import plugins
from fgrad.experiments import gpus
from fgrad.experiments.device import choose_device, settings
from fgrad.experiments.search import study
from fgrad.experiments.search.select import Outcome, Scale
from fgrad.experiments.seeds import repeat_seeds
from fgrad.experiments.state import Data
from fgrad.experiments.training import checkpoint_of, train
from fgrad.options.networks import NetworkSearch, TrainRun, TrainTask
from fgrad.plugins import short
from fgrad.problems.data import load
from fgrad.problems.registry import DATASETS
from fgrad.store import interrupts, log
from fgrad.store.context import Context, Result, silent


def compute(search: NetworkSearch, context: Context) -> Result:
    """Search for the rate of a network; one row for each trial.

    All trials start from the same parameters, in the same order of batches, with the same tangents.
    A journal, and a checkpoint of each trial that is being trained, lie beside the output while the
    search goes on; the same call takes them up again.

    With trials in flight the calling script must be importable: its work below
    ``if __name__ == "__main__"``.

    Raises:
        ConfigError: as `fgrad.experiments.search.study.carry_out`, or if there is no such device or
            data.
    """
    with gpus.claimed(search.device, search.gpu_slots, context.say) as device:
        # by its name the trials find the one device of the search, in whichever process they are
        return _carry_out(search.model_copy(update={"device": str(device)}), context)


def _carry_out(search: NetworkSearch, context: Context) -> Result:
    device = choose_device(search.device)
    (seed,) = repeat_seeds(search.seed, "search", 1)
    # a data set that is not there ends the search here
    data(search.dataset, context.source, str(device))

    def evaluate(
        trials: list[FrozenTrial], earlier: list[FrozenTrial]
    ) -> Iterator[tuple[int, Outcome]]:
        # by rate: one that a generation asks for twice is trained once
        waiting: dict[float, list[int]] = {}
        for one in trials:
            if not one.state.is_finished():
                waiting.setdefault(one.params["lr"], []).append(one.number)
        quiet = replace(context, say=silent, progress=silent)
        works = [Work(search, _run(search, lr, seed), earlier, quiet) for lr in waiting]
        done = len(earlier) + sum(one.state.is_finished() for one in trials)
        for run, outcome in _trained(works, search.in_flight):
            for number in waiting[run.lr]:
                context.say(log.trial_line(number, run.lr, outcome.loss, outcome.stop))
                done += 1
                context.progress(done, max(search.evaluations, trials[-1].number + 1))
                yield number, outcome
            checkpoint = checkpoint_of(run, context)
            if checkpoint is not None:
                checkpoint.path.unlink(missing_ok=True)

    names = ("experiment", "model", "width", "dataset", "gradient", "k")
    row = {name: getattr(search, name) for name in names}
    row |= {"model": short(search.model), "dataset": short(search.dataset)}
    scale = Scale(0.0, math.log(DATASETS[search.dataset].classes))
    result = study.carry_out(search, row, device.type, evaluate, search.generation, scale, context)
    facts = {"seeds": [seed], "threads": search.threads} | gpus.facts(device)
    return replace(result, facts=result.facts | facts)


@dataclass(frozen=True)
class Work:
    """A rate to train with.

    Args:
        search: the table row and how to search.
        run: the training.
        earlier: finished trials it is compared with.
        context: silent, as it is handed to another process.
    """

    search: NetworkSearch
    run: TrainRun
    earlier: list[FrozenTrial]
    context: Context


def _trained(works: list[Work], in_flight: int) -> Iterator[tuple[TrainRun, Outcome]]:
    """Rates and outcomes as they come, of so many trials at once.

    After an error no other trial begins; those in flight end and count, unless a process died.
    """
    if in_flight == 1 or len(works) == 1:
        for work in works:
            yield work.run, trial(work)
        return
    workers = min(in_flight, len(works))
    waiting, error = iter(works), None
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (plugins.in_use(),))
    with pool, _ended_with_it():
        flying: dict[Future[Outcome], TrainRun] = {}
        while True:
            if error is None:
                for work in itertools.islice(waiting, workers - len(flying)):
                    flying[pool.submit(trial, work)] = work.run
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                run = flying.pop(future)
                if future.exception() is None:
                    yield run, future.result()
                error = error or future.exception()
    if error is not None:
        raise error


@contextmanager
def _ended_with_it() -> Iterator[None]:
    """Workers are told to end when the search is, and keep what they have."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for worker in active_children():
            worker.terminate()
        raise


def _begin(sources: Mapping[str, str]) -> None:
    """A worker has its parent's files of the user's own; if that is killed, it must not train
    beside the search that goes on.
    """
    plugins.use(sources)
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


def trial(work: Work) -> Outcome:
    """Train with one rate, until it ends or its validation loss is above what is usual."""
    run, source = work.run, work.context.source
    with interrupts.noticed(), settings(run.threads, run.precision, run.deterministic):
        split = data(run.dataset, source, str(choose_device(run.device)))
        prune = _pruning(work.search, work.earlier)
        trained = train(run, split, work.context, ("val",), prune)
    losses = tuple(epoch["val_loss"] for epoch in trained.epochs)
    if trained.stop == "diverged":
        return Outcome(math.inf, None, "diverged", losses[:-1])
    return Outcome(min(losses), None, trained.stop, losses)


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
