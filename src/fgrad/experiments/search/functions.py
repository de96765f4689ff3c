"""Search for the learning rate of a descent (4.2, 4.3): all rates and repeats in one batch.

Source: the paper, section 4.2 and its learning-rate search.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from optuna.trial import FrozenTrial

from fgrad.experiments.descent import descend_all
from fgrad.experiments.search import study
from fgrad.experiments.seeds import repeat_seeds
from fgrad.options.functions import FunctionSearch
from fgrad.problems.functions import resolution
from fgrad.problems.registry import FUNCTIONS
from fgrad.store import log, schemas
from fgrad.store.source import fingerprint


def write(
    search: FunctionSearch,
    path: Path | str,
    say: study.Say = log.log_line,
    progress: log.PROGRESS = log.log_progress,
) -> study.Found:
    """Search on one thread and write every trial as Parquet, a row for each.

    Every table row with the same options tries the same rates in the first half.

    The loss of a rate is L* + exp(mean of log(f − L*)) over the final values f of all repeats and
    angles: the geometric mean of what is above the minimum L*, so that no seed decides alone where
    values of different seeds are orders of magnitude apart; the plain mean where there is no
    minimum; infinite if one of them diverges. Tangents are common to all rates.

    Args:
        search: the table row and how to search.
        path: Parquet file. A journal lies beside it while the search goes on; the same call takes
            it up again, with the same result.
        say: told what is done in lines.
        progress: called with steps done and steps at most.

    Returns:
        The selected rate.

    Raises:
        ConfigError: as `fgrad.experiments.search.study.carry_out`.
    """
    torch.set_num_threads(1)
    function = FUNCTIONS[search.function]
    seeds = repeat_seeds(search.seed, "search", search.repeats)

    def evaluate(
        trials: list[FrozenTrial], _: list[FrozenTrial]
    ) -> Iterator[tuple[int, study.Outcome]]:
        # all of them, also those told before a kill: a product of other sizes rounds otherwise
        rates = [trial.params["lr"] for trial in trials]
        finals: list[list[float]] = [[] for _ in rates]
        stops: list[list[str]] = [[] for _ in rates]
        for angle in search.angle or (None,):
            descents = descend_all(search, rates, seeds, angle, progress)
            for i, descent in enumerate(descents):
                finals[i] += [float(values[-1]) for values in descent.values]
                stops[i] += descent.stops
        for trial, final, stop in zip(trials, finals, stops, strict=True):
            yield trial.number, _outcome(final, stop, scale.minimum)

    # f in float32 as the descents have it
    point = torch.full((search.n,), float(function.start[1]))
    point[0] = function.start[0]
    scale = study.Scale(function.minimum(search.n), float(function.value(point)))
    angle_deg = search.angle[0] if len(search.angle) == 1 else None
    dumped = search.model_dump() | {"angle_deg": angle_deg}
    key = {name: dumped[name] for name in schemas.FUNCTION_ROW}
    return study.carry_out(
        search,
        Path(path),
        key,
        schemas.FUNCTION_ROW,
        search.model_dump(mode="json")
        | study.versions(fingerprint("experiments.search.functions")),
        evaluate,
        search.evaluations,
        scale,
        say,
        seeds=seeds,
        device="cpu",
        threads=1,
    )


def _outcome(finals: list[float], stops: list[str], minimum: float) -> study.Outcome:
    if "diverged" in stops:
        return study.Outcome(float("inf"), None, "diverged")
    values = np.array(finals)
    if np.isfinite(minimum):
        above = np.maximum(values - minimum, resolution(minimum))
        loss = minimum + np.exp(np.log(above).mean())
    else:
        loss = values.mean()
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return study.Outcome(float(loss), std, max(sorted(set(stops)), key=stops.count))
