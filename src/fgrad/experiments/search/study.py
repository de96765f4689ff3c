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

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from fgrad.errors import ConfigError, row_name
from fgrad.experiments.search.select import Found, Outcome, Scale, select
from fgrad.options.base import HIGHEST, LOWEST
from fgrad.options.search import SearchOptions, six_digits
from fgrad.store import files, identity
from fgrad.store.context import Context, Result, Say, silent
from fgrad.store.journal import study_of

WIDENED = 100.0
"""Factor by which a range grows, once, beyond the edge where its best rate lies."""

Evaluate = Callable[[list[FrozenTrial], list[FrozenTrial]], Iterable[tuple[int, Outcome]]]
"""(trials of a generation, finished trials of earlier ones) → (trial number, outcome), as they
come; trials that are finished already may be left out."""


def conduct(
    search: SearchOptions,
    name: str,
    journal: Path,
    description: dict[str, Any],
    evaluate: Evaluate,
    generation: int,
    scale: Scale,
    say: Say = silent,
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
    study = study_of(journal, description, _Halton(search.seed), say)
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


def carry_out(
    search: SearchOptions,
    row: dict[str, Any],
    on: str,
    evaluate: Evaluate,
    generation: int,
    scale: Scale,
    context: Context,
) -> Result:
    """Search; one row for each trial.

    A journal lies beside the output while the search goes on; the same call takes it up again.

    Args:
        search: as in `conduct`.
        row: columns of the table row that is searched for.
        on: type of the device.
        evaluate: as in `conduct`.
        generation: likewise.
        scale: likewise.
        context: where the journal is kept, and what is told.

    Returns:
        The trials, and what was selected.

    Raises:
        ConfigError: as `conduct`.
    """
    description = identity.description(search.model_dump(mode="json"), context.code, on)
    assert context.target is not None
    key = identity.digest(description)
    journal = files.beside(context.target, key, "journal")
    trials, found = conduct(
        search, row_name(row), journal, description, evaluate, generation, scale, context.say
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
    return Result(row | columns, {"found": asdict(found), "scale": asdict(scale)})


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
