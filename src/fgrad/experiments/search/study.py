"""A search as a study of Optuna: ask for rates, evaluate them, tell their losses, select one.

Half of the evaluations cover the range; a quarter zooms in between the rates tried next to those
within the margin of the best, and another quarter does so again: with 100 evaluations of six
decades the last rates are a few tenths of a percent apart. Within each stage the rates are a
scrambled Halton sequence on the log scale: rate i depends on the stage's range, the seed and i
alone, so that the trials of a stage can be evaluated in one batch, in any order, or after a kill.
Every answer goes to a journal beside the output; a killed search goes on from there.

Source: Halton 1960; Akiba et al., Optuna, 2019; the selection rule is the paper's, with the margin
taken of what a loss is above its minimum and the mean taken on the log scale.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
import torch
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from fgrad.errors import ConfigError, row_name
from fgrad.options.base import HIGHEST, LOWEST
from fgrad.options.search import SearchOptions, six_digits
from fgrad.problems.functions import resolution
from fgrad.store import files, log, parquet, schemas
from fgrad.store.files import check_writable

WIDENED = 100.0
"""Factor by which a range grows, once, beyond the edge where its best rate lies."""

NAME = "lr"
"""Of the one study in a journal."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        loss: what is minimised; infinite if the trial diverged.
        std: standard deviation over repeats, if there are several.
        stop: why it ended: ``completed``, ``stalled``, ``diverged`` or ``pruned``.
        history: losses on the way, which later trials are compared with.
    """

    loss: float
    std: float | None
    stop: str
    history: tuple[float, ...] = ()


@dataclass(frozen=True)
class Found:
    """The rate that a search selects.

    Args:
        lr: the selected rate.
        loss: its loss.
        best_lr: the rate with the lowest loss.
        best_loss: its loss.
        within: number of rates within the margin of the best.
        edge: ``low`` or ``high`` if no rate beyond the best was tried, else empty.
        between: the rates tried next to those, below and above.
        widened: whether the range was widened.
    """

    lr: float
    loss: float
    best_lr: float
    best_loss: float
    within: int
    edge: str
    between: tuple[float, float]
    widened: bool = False


@dataclass(frozen=True)
class Scale:
    """What losses are measured by: their known minimum, −∞ if there is none, and the start's."""

    minimum: float
    start: float


Evaluate = Callable[[list[FrozenTrial], list[FrozenTrial]], Iterable[tuple[int, Outcome]]]
"""(trials of a generation, finished trials of earlier ones) → (trial number, outcome), as they
come; trials that are finished already may be left out."""


def select(
    rates: Sequence[float], losses: Sequence[float], scale: Scale, margin: float
) -> Found | None:
    """Of the rates within the margin of the best the one closest to their mean on the log scale.

    Within the margin m is a loss L ≤ L_best + m · min(L_best − L*, L₀ − L_best): neither m more
    above the minimum L* than the best, nor m less below the start L₀. Relative to the first alone,
    every rate would be as good as the best where even that has hardly left the start; relative to
    the loss itself, nothing would be where it is negative. Differences that float32 does not
    resolve at L* do not count. A rate above one that diverged survived by chance, and is not taken
    if there is another.

    Args:
        rates: learning rates that were tried.
        losses: one each; infinite where the rate diverged, NaN where it was given up.
        scale: of the losses.
        margin: m.

    Returns:
        The selection; ``None`` if no loss is finite.
    """
    order = np.argsort(rates, kind="stable")
    lr, loss = np.asarray(rates, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    diverged = np.isinf(loss)
    loss = np.where(np.isfinite(loss), loss, np.inf)
    safe = np.where(np.logical_or.accumulate(diverged), np.inf, loss)
    loss = safe if np.isfinite(safe).any() else loss
    best = int(loss.argmin())
    if not np.isfinite(loss[best]):
        return None
    left, gained = loss[best] - scale.minimum, max(0.0, scale.start - loss[best])
    allowed = margin * min(left, gained)
    if math.isfinite(scale.minimum):
        allowed = max(allowed, resolution(scale.minimum))
    near = np.flatnonzero(loss <= loss[best] + allowed)
    away = np.abs(np.log(lr[near]) - np.log(lr[near]).mean())
    chosen = near[int(away.argmin())]
    lowest, last = np.flatnonzero(loss == loss[best]), len(lr) - 1
    edge = ""
    if last > 0 and len(lowest) == 1:
        edge = {0: "low", last: "high"}.get(best, "")
    return Found(
        lr=float(lr[chosen]),
        loss=float(loss[chosen]),
        best_lr=float(lr[best]),
        best_loss=float(loss[best]),
        within=len(near),
        edge=edge,
        between=(float(lr[max(0, near[0] - 1)]), float(lr[min(last, near[-1] + 1)])),
    )


def conduct(
    search: SearchOptions,
    name: str,
    journal: Path,
    description: dict[str, Any],
    evaluate: Evaluate,
    generation: int,
    scale: Scale,
    say: Say = lambda line: None,
) -> tuple[list[FrozenTrial], Found]:
    """Carry out a search, or go on with it where its journal ends.

    Where the best rate of the first half is at an edge of the range, a hundredfold beyond is
    searched too, once, with as many rates per decade, or as many as for the range if that is fewer.

    Args:
        search: range, number of evaluations, seed and margin.
        name: of the table row, for messages.
        journal: file, in a folder that is there; made if it is not.
        description: everything the numbers depend on, by name.
        evaluate: evaluates trials.
        generation: trials that are evaluated without knowing of each other.
        scale: of the losses.
        say: told what is done in lines.

    Returns:
        All trials, and the selection.

    Raises:
        ConfigError: if every rate diverges, or the journal is of another search or cannot be read.
    """
    study = _study(journal, description, search.seed, say)
    tried = 0

    def extended(bounds: tuple[float, float], count: int) -> Found:
        nonlocal tried
        numbers = range(tried, tried + count)
        _extend(study, bounds, numbers, evaluate, generation)
        tried += count
        trials = study.get_trials(deepcopy=False)[:tried]
        losses = [
            t.value if t.value is not None and t.state == TrialState.COMPLETE else math.nan
            for t in trials
        ]
        found = select([t.params["lr"] for t in trials], losses, scale, search.margin)
        if found is None:
            raise ConfigError(
                f"{name}: range = [{bounds[0]:g}, {bounds[1]:g}]: all {tried} rates diverge; "
                "lower ones are needed"
            )
        return found

    low, high = search.range
    zooms = [search.evaluations // 4] * 2
    coarse = search.evaluations - sum(zooms)
    found = extended(search.range, coarse)
    at_end = {"low": low <= LOWEST, "high": high >= HIGHEST}
    widened = bool(found.edge) and not at_end[found.edge]
    if widened:
        below = max(six_digits(low / WIDENED), LOWEST)
        above = min(six_digits(high * WIDENED), HIGHEST)
        beyond = (below, low) if found.edge == "low" else (high, above)
        share = math.log(WIDENED) / math.log(high / low)
        more = max(1, round(coarse * min(1.0, share)))
        say(
            f"the best rate {found.best_lr:g} is at the edge of [{low:g}, {high:g}]: "
            f"{more} more from {beyond[0]:g} to {beyond[1]:g}"
        )
        found = extended(beyond, more)
    for count in zooms:
        if count and found.between[0] < found.between[1]:
            found = extended(found.between, count)
    found = replace(found, widened=widened)
    if found.edge:
        say(f"the best rate {found.best_lr:g} is still at the edge: wider range needed")
    return study.get_trials()[:tried], found


def journal_of(path: Path, description: dict[str, Any]) -> Path:
    """The journal of a search: beside its output, named by everything its numbers depend on."""
    text = json.dumps(description, sort_keys=True)
    key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return files.beside(path, key, "journal")


def carry_out(
    search: SearchOptions,
    target: Path,
    key: dict[str, Any],
    kinds: dict[str, Any],
    description: dict[str, Any],
    evaluate: Evaluate,
    generation: int,
    scale: Scale,
    say: Say,
    **provenance: Any,
) -> Found:
    """Search, write every trial as Parquet, and remove what was kept for a restart.

    Args:
        search: as in `conduct`.
        target: Parquet file, beside which the journal lies.
        key: columns of the table row that is searched for.
        kinds: their types.
        description: as in `conduct`.
        evaluate: likewise.
        generation: likewise.
        scale: likewise.
        say: likewise.
        provenance: as in `fgrad.store.parquet.write`.

    Returns:
        The selection.

    Raises:
        ConfigError: as `conduct`, or if another search is at work on the output, or its folder
            cannot be written.
    """
    start = log.now()
    with _alone(target):
        journal = journal_of(target, description)
        trials, found = conduct(
            search, row_name(key), journal, description, evaluate, generation, scale, say
        )
        outcomes = [trial.user_attrs["outcome"] for trial in trials]
        lr = np.array([trial.params["lr"] for trial in trials])
        loss = np.array([outcome["loss"] for outcome in outcomes], dtype=float)
        number = np.arange(len(trials))
        columns = {
            "trial": number,
            "lr": lr,
            "loss": loss,
            "loss_std": [outcome["std"] for outcome in outcomes],
            "stop": [outcome["stop"] for outcome in outcomes],
            # a rate may have been tried twice
            "selected": number == int(((lr == found.lr) & (loss == found.loss)).argmax()),
        }
        parquet.write(
            target,
            kinds | schemas.SEARCH,
            key | columns,
            run=search.model_dump(mode="json"),
            found=asdict(found),
            scale=asdict(scale),
            start=start,
            end=log.now(),
            **provenance,
        )
        for kind in ("journal", "checkpoint"):
            files.forget(target, kind)
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time is at work on an output."""
    check_writable(path.parent)
    lock = path.with_name(f".{path.stem}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        # released by the operating system when the process ends, however it ends
        with FileLock(lock, timeout=0):
            yield
            lock.unlink(missing_ok=True)
    except Timeout:
        raise ConfigError(f"{path}: another search is at work on it") from None


class _Halton(optuna.samplers.BaseSampler):
    """Trial i is point i of a scrambled Halton sequence, to the six digits of the tables."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> float:
        sequence = qmc.Halton(1, scramble=True, rng=self.seed).fast_forward(trial.number)
        low, high = float(param_distribution.low), float(param_distribution.high)
        rate = six_digits(low * (high / low) ** sequence.random()[0, 0])
        return min(max(rate, low), high)


class _Held:
    """The output is locked as a whole, so Optuna's lock of every line has nothing to do."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _mend(journal: Path, say: Say) -> None:
    """Cut off what a kill or a full disk left of a last line, so that more can be added."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    first = b'{"op_code"'
    if content[: len(first)] != first[: len(content)]:
        raise ConfigError(f"{_other(journal)}: no line of a journal")
    whole = lines = 0
    for line in content.splitlines(keepends=True):
        try:
            if not (line.endswith(b"\n") and isinstance(json.loads(line), dict)):
                break
        except ValueError:
            break
        whole, lines = whole + len(line), lines + 1
    if whole < len(content):
        say(f"{journal}: damaged from line {lines + 1} on; what stands before it is kept")
        with journal.open("r+b") as file:
            file.truncate(whole)


def _study(journal: Path, description: dict[str, Any], seed: int, say: Say) -> optuna.Study:
    """The study of a journal, if it is this search's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _mend(journal, say)
    try:
        held = cast(Any, _Held())
        storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=held))
        sampler = _Halton(seed)
        if storage.get_all_studies():
            study = optuna.load_study(study_name=NAME, storage=storage, sampler=sampler)
        else:
            study = optuna.create_study(study_name=NAME, storage=storage, sampler=sampler)
        recorded = study.user_attrs.get("search")
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state.is_finished() and not (trial.params and "outcome" in trial.user_attrs):
                raise ValueError(f"trial {trial.number} is not whole")
    except Exception as error:  # whatever the lines hold, replaying them may fail in any way
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise ConfigError(f"{_other(journal)}: {reason}") from None
    if recorded is None and not trials:
        study.set_user_attr("search", description)
    elif recorded != description:
        theirs = recorded or {}
        key = next((k for k in description if description[k] != theirs.get(k)), "search")
        differs = f"{key} = {theirs.get(key)!r}, here {description.get(key)!r}"
        raise ConfigError(f"{_other(journal)}: {differs}")
    finished = sum(trial.state.is_finished() for trial in trials)
    if trials:
        say(f"resumed: {finished} of {len(trials)} trials are finished")
    return study


def _other(journal: Path) -> str:
    return f"{journal}: not the journal of this search; move or delete it to start anew"


def _extend(
    study: optuna.Study,
    bounds: tuple[float, float],
    numbers: range,
    evaluate: Evaluate,
    generation: int,
) -> None:
    """Ask for the trials of these numbers and evaluate those that are not finished."""
    asked = study.get_trials(deepcopy=False)
    for number in numbers:
        # asked for before a kill, perhaps without its rate
        known = number < len(asked)
        trial = optuna.Trial(study, asked[number]._trial_id) if known else study.ask()
        trial.suggest_float("lr", *bounds, log=True)
    for start in range(numbers.start, numbers.stop, generation):
        trials = study.get_trials()
        some = trials[start : min(start + generation, numbers.stop)]
        if all(trial.state.is_finished() for trial in some):
            continue
        for number, outcome in evaluate(some, trials[:start]):
            if not trials[number].state.is_finished():
                _tell(study, trials[number], outcome)


def _tell(study: optuna.Study, frozen: FrozenTrial, outcome: Outcome) -> None:
    trial = optuna.Trial(study, frozen._trial_id)
    for epoch, loss in enumerate(outcome.history):
        if math.isfinite(loss) and epoch not in frozen.intermediate_values:
            trial.report(loss, epoch)
    trial.set_user_attr("outcome", {"loss": outcome.loss, "std": outcome.std, "stop": outcome.stop})
    if outcome.stop == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, outcome.loss)


def versions(fingerprint: str) -> dict[str, str]:
    """What numbers depend on beside the options: the code and the version of torch."""
    return {"code": fingerprint, "torch": str(torch.__version__)}
