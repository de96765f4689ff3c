"""Gradient descent on closed-form functions (4.2, 4.3), batched over seeds and learning rates.

Source: the paper, section 4.2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import (
    backpropagation,
    coefficients,
    combine,
    draw,
    factor,
    forward_derivatives,
    whole,
)
from fgrad.gradients.stateful import begun, keeps_state, told
from fgrad.options.functions import (
    FunctionComparison,
    FunctionRun,
    FunctionTask,
    UnratedFunctionRun,
)
from fgrad.plugins import short
from fgrad.problems.registry import FUNCTIONS
from fgrad.store.context import Context, Progress, Result

BLOCK = 64
"""Steps between two looks at the stopping rule, at most."""

ELEMENTS = 2**18
"""Tangent entries of one seed drawn at a time, about."""

OfStep = tuple[Tensor, tuple[Tensor, ...] | None]
"""Tangents of a step [S, k, n], and what was made of them before."""

Step = Callable[[Tensor, OfStep | None], Tensor]


@dataclass(frozen=True)
class Descent:
    """Value at every step of every seed.

    Args:
        values: one array [steps + 1] for each seed, from step 0 (the start) to where it stopped.
        stops: why each seed stopped: ``completed`` all steps, ``stalled`` (no lower value for
            `patience` steps in a row) or ``diverged`` (NaN or infinite).
    """

    values: list[npt.NDArray[np.float32]]
    stops: list[str]


def descend(
    run: FunctionRun,
    angle: float | None = None,
    progress: Progress = lambda done, total: None,
    device: torch.device | str = "cpu",
) -> Descent:
    """Gradient descent x ← x − lr · g(x), all seeds at once.

    A seed's values depend on its own row alone: tangents come from its own generator, in blocks
    whose length depends on n and k only, and a seed that has stopped changes nothing for others.

    Args:
        run: what to do.
        angle: α in degrees; one of ``run.angle``, or ``None`` without angles.
        progress: called with steps done and steps at most.
        device: where to compute.

    Returns:
        Values and stop reasons in the order of the seeds.
    """
    return descend_all(run, [run.lr], run.seeds, angle, progress, device)[0]


def descend_all(
    task: FunctionTask,
    rates: Sequence[float],
    seeds: Sequence[int],
    angle: float | None = None,
    progress: Progress = lambda done, total: None,
    device: torch.device | str = "cpu",
) -> list[Descent]:
    """Gradient descent with many learning rates at once.

    A seed's tangents are drawn once and shared by all rates, so that they are factorised once too,
    and the derivatives of all rates are one matrix product [rates, n] × [n, k]. A rate whose seeds
    have all stopped is dropped.

    Args:
        task: what to do.
        rates: learning rates.
        seeds: a descent of each rate for each of them.
        angle: as in `descend`.
        progress: as in `descend`.
        device: as in `descend`.

    Returns:
        Values and stop reasons of each rate. With the same tangents as `descend` has them, and the
        same values but for rounding.
    """
    function = FUNCTIONS[task.function]
    approach = _approach(task, angle)
    remembers, own = keeps_state(approach), approach.estimator is not None
    if (remembers or own) and len(rates) > 1:  # its tangents depend on the rate
        alone = [descend_all(task, [lr], seeds, angle, progress, device) for lr in rates]
        return [descent for (descent,) in alone]
    # A batch of one takes another path through the BLAS and differs in the last bits.
    doubled = [*seeds, *seeds] if len(seeds) == 1 else list(seeds)
    generators = [torch.Generator(device).manual_seed(seed) for seed in doubled]
    shape = (len(doubled), len(rates))
    x = torch.full((*shape, task.n), function.start[1], dtype=torch.float32, device=device)
    x[..., 0] = function.start[0]
    lr = torch.tensor(rates, dtype=torch.float32, device=device)[:, None]
    block = 1 if remembers else min(BLOCK, max(1, ELEMENTS // (task.n * (task.k or 1))))
    approach = begun(approach, len(doubled))
    step = _step(task, approach, generators)
    with torch.inference_mode(task.mode == "sim" and not own), torch.no_grad():
        start = function.value(x).cpu().numpy()
        values = np.empty((task.steps + 1, *shape), dtype=np.float32)
        values[0] = start
        rule = StoppingRule(start, task.patience)
        done, active = 0, np.arange(len(rates))
        drawn: Iterator[OfStep | None] = repeat(None)
        while done < task.steps and len(active):
            if task.k is not None and not own:
                tangents = draw(approach, (block, task.k, task.n), generators, angle)
                drawn = _each_step(approach, tangents.transpose(0, 1).contiguous())
            found = torch.empty(min(block, task.steps - done), *x.shape[:2], device=device)
            for values_of in found.split(max(1, ELEMENTS // x.numel())):
                # few operations are what a small step costs: values of many steps are one
                path = x.new_empty(len(values_of), *x.shape)
                for new in path:
                    g = step(x, next(drawn))
                    if remembers:
                        told(approach, g[:, 0])
                    x = torch.addcmul(x, g, lr, value=-1, out=new)
                values_of.copy_(function.value(path))
            last = done + len(found)
            values[done + 1 : last + 1, :, active] = found.cpu().numpy()
            done = last
            goes_on = rule.update(values[: done + 1], len(found), active)
            if not goes_on.all():
                keep = torch.from_numpy(goes_on).to(device)
                x, lr, active = x[:, keep], lr[keep], active[goes_on]
            progress(done, task.steps)
    ends = np.where(rule.ends >= 0, rule.ends, done)
    descents = []
    for j in range(len(rates)):
        each = [values[: ends[i, j] + 1, i, j].copy() for i in range(len(seeds))]
        descents.append(Descent(each, [_reason(one, task.steps) for one in each]))
    return descents


def compute(run: FunctionRun, context: Context) -> Result:
    """Compute a run on one thread; one row for each seed and step, angle by angle."""
    torch.set_num_threads(1)
    columns, stops = _rows(run, run.lr, context)
    return _result(run, columns, stops)


def compare(run: FunctionComparison, context: Context) -> Result:
    """Compute what both rates of a row reach; rows as of `compute`, with the rate's ``source``."""
    torch.set_num_threads(1)
    rates = {"found": run.lr} | ({"published": run.published} if run.published else {})
    parts, stops = [], []
    for source, lr in rates.items():
        columns, own = _rows(run, lr, context)
        length = len(columns["value"])
        parts.append(columns | {"lr": np.full(length, lr), "source": np.full(length, source)})
        stops += [stop | {"source": source} for stop in own]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _result(run, columns, stops)


def _rows(
    run: UnratedFunctionRun, lr: float, context: Context
) -> tuple[dict[str, npt.NDArray[np.generic]], list[dict[str, Any]]]:
    """What varies from row to row of a run, and where and why each of its descents stopped."""
    columns: dict[str, list[npt.NDArray[np.generic]]] = {}
    stops = []
    for angle in run.angle or (None,):
        (descent,) = descend_all(run, [lr], run.seeds, angle, context.progress)
        for seed, values, reason in zip(run.seeds, descent.values, descent.stops, strict=True):
            length = len(values)
            stops.append({"angle_deg": angle, "seed": seed, "steps": length - 1, "stop": reason})
            columns.setdefault("value", []).append(values.astype(np.float64))
            columns.setdefault("step", []).append(np.arange(length))
            columns.setdefault("seed", []).append(np.full(length, seed))
            if angle is not None:
                columns.setdefault("angle_deg", []).append(np.full(length, angle))
    return {key: np.concatenate(parts) for key, parts in columns.items()}, stops


def _result(
    run: FunctionRun | FunctionComparison,
    columns: dict[str, npt.NDArray[np.generic]],
    stops: list[dict[str, Any]],
) -> Result:
    function, shown = FUNCTIONS[run.function], short(run.function)
    fixed = {"function": shown, "n": run.n, "gradient": run.gradient, "k": run.k}
    facts = {"device": "cpu", "threads": 1, "stop": stops}
    if shown != run.function:  # known to nobody else
        facts |= {"minimum": function.minimum(run.n), "degenerate": function.degenerate_n == run.n}
    return Result(fixed | {"angle_deg": None, "lr": run.lr} | columns, facts)


class StoppingRule:
    """Where each descent stops: its first NaN, or `patience` steps in a row without a fall.

    Args:
        start: value at step 0 of each descent, [seeds, rates].
        patience: steps in a row without a value below the one before.
    """

    def __init__(self, start: npt.NDArray[np.float32], patience: int) -> None:
        self.patience = patience
        self.last_fall = np.zeros(start.shape, dtype=np.int64)
        self.ends = np.where(np.isnan(start), 0, -1)
        """Step at which each descent stops, −1 as long as it goes on."""

    def update(
        self, values: npt.NDArray[np.float32], count: int, active: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Look at the last steps.

        Args:
            values: of all steps so far, [steps + 1, seeds, rates].
            count: steps that are new.
            active: the rates that these were computed for, the same or fewer each time.

        Returns:
            For each active rate whether one of its descents goes on.
        """
        new = values[-count - 1 :, :, active]
        step = np.arange(len(values) - count, len(values))[:, None, None]
        with np.errstate(invalid="ignore"):
            fell = new[1:] < new[:-1]
        fall = np.where(fell, step, self.last_fall[:, active])
        fall = np.maximum.accumulate(fall)
        stop = np.isnan(new[1:]) | (step - fall >= self.patience)
        self.last_fall[:, active] = fall[-1]
        first = np.where(stop.any(0), len(values) - count + stop.argmax(0), -1)
        ends = self.ends[:, active]
        ends = np.where(ends >= 0, ends, first)
        self.ends[:, active] = ends
        return np.asarray((ends < 0).any(0))


def _approach(task: FunctionTask, angle: float | None) -> Approach:
    """The approach, with tangents at an angle where one is given."""
    return task.how if angle is None else replace(task.how, sampler="angle")


def _step(task: FunctionTask, approach: Approach, generators: list[torch.Generator]) -> Step:
    """(x [S, R, n], tangents or None) → gradient estimate [S, R, n]."""
    function = FUNCTIONS[task.function]

    def gradient(x: Tensor, of_step: OfStep | None = None) -> Tensor:
        if function.gradient is not None:
            return function.gradient(x)
        with torch.inference_mode(False):
            return backpropagation(function.value, x.clone())

    def estimate(of_step: OfStep, derivatives: Tensor) -> Tensor:
        tangents, known = of_step
        return combine(coefficients(approach, tangents, derivatives, known), tangents)

    def simulated(x: Tensor, of_step: OfStep | None) -> Tensor:
        assert of_step is not None
        return estimate(of_step, gradient(x) @ of_step[0].mT)

    def forward(x: Tensor, of_step: OfStep | None) -> Tensor:
        assert of_step is not None
        each = of_step[0].unsqueeze(1).expand(-1, x.shape[1], -1, -1)
        return estimate(of_step, forward_derivatives(function.value, x, each))

    def of_its_own(x: Tensor, of_step: OfStep | None) -> Tensor:
        each = zip(x[:, 0], generators, strict=True)  # one rate alone
        k = task.k or 0
        return torch.stack([whole(approach, function.value, one, k, g) for one, g in each])[:, None]

    if approach.estimator is not None:
        return of_its_own
    if task.k is None:
        return gradient
    return simulated if task.mode == "sim" else forward


def _each_step(approach: Approach, tangents: Tensor) -> Iterator[OfStep]:
    """Tangents [steps, S, k, n] step by step; what takes tangents alone is done for all at once."""
    known = factor(approach, tangents)
    for i, own in enumerate(tangents):
        yield own, None if known is None else tuple(part[i] for part in known)


def _reason(values: npt.NDArray[np.float32], steps: int) -> str:
    if not np.isfinite(values[-1]):
        return "diverged"
    return "completed" if len(values) == steps + 1 else "stalled"
