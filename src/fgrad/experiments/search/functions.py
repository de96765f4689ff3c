"""Search for the learning rate of a descent (4.2, 4.3): all rates and repeats in one batch.

Source: the paper, section 4.2 and its learning-rate search.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from optuna.trial import FrozenTrial

from fgrad.experiments.descent import descend_all
from fgrad.experiments.search import study
from fgrad.experiments.search.select import Outcome, Scale
from fgrad.experiments.seeds import repeat_seeds
from fgrad.options.functions import FunctionSearch
from fgrad.plugins import short
from fgrad.problems.functions import resolution
from fgrad.problems.registry import FUNCTIONS
from fgrad.store.context import Context, Result


def compute(search: FunctionSearch, context: Context) -> Result:
    """Search on one thread; one row for each trial.

    Every table row with the same options tries the same rates in the first half.

    The loss of a rate is L* + exp(mean of log(f − L*)) over the final values f of all repeats and
    angles: the geometric mean of what is above the minimum L*, so that no seed decides alone where
    values of different seeds are orders of magnitude apart; the plain mean where there is no
    minimum; infinite if one of them diverges. Tangents are common to all rates.

    Raises:
        ConfigError: as `fgrad.experiments.search.study.carry_out`.
    """
    torch.set_num_threads(1)
    function = FUNCTIONS[search.function]
    seeds = repeat_seeds(search.seed, "search", search.repeats)

    def evaluate(trials: list[FrozenTrial], _: list[FrozenTrial]) -> Iterator[tuple[int, Outcome]]:
        # all of them, also those told before a kill: a product of other sizes rounds otherwise
        rates = [trial.params["lr"] for trial in trials]
        finals: list[list[float]] = [[] for _ in rates]
        stops: list[list[str]] = [[] for _ in rates]
        for angle in search.angle or (None,):
            descents = descend_all(search, rates, seeds, angle, context.progress)
            for i, descent in enumerate(descents):
                finals[i] += [float(values[-1]) for values in descent.values]
                stops[i] += descent.stops
        for trial, final, stop in zip(trials, finals, stops, strict=True):
            yield trial.number, _outcome(final, stop, scale.minimum)

    # f in float32 as the descents have it
    point = torch.full((search.n,), float(function.start[1]))
    point[0] = function.start[0]
    scale = Scale(function.minimum(search.n), float(function.value(point)))
    angle_deg = search.angle[0] if len(search.angle) == 1 else None
    names = ("function", "n", "gradient", "k")
    row = {name: getattr(search, name) for name in names} | {"angle_deg": angle_deg}
    row["function"] = short(search.function)
    result = study.carry_out(search, row, "cpu", evaluate, search.evaluations, scale, context)
    return replace(result, facts=result.facts | {"seeds": seeds, "device": "cpu", "threads": 1})


def _outcome(finals: list[float], stops: list[str], minimum: float) -> Outcome:
    if "diverged" in stops:
        return Outcome(float("inf"), None, "diverged")
    values = np.array(finals)
    if np.isfinite(minimum):
        above = np.maximum(values - minimum, resolution(minimum))
        loss = minimum + np.exp(np.log(above).mean())
    else:
        loss = values.mean()
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return Outcome(float(loss), std, max(sorted(set(stops)), key=stops.count))
