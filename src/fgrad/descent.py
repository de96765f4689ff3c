"""Gradient descent on closed-form functions (sections 4.2 and 4.3), batched over seeds.

Source: the paper, section 4.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fgrad import results
from fgrad.config import FunctionRun
from fgrad.estimators import (
    aggregate,
    backpropagation,
    draw,
    forward_derivatives,
    known_derivatives,
)
from fgrad.functions import FUNCTIONS

BLOCK = 64
"""Steps between two looks at the stopping rule, at most."""

ELEMENTS = 2**18
"""Tangent entries of one seed drawn at a time, about."""

Step = Callable[[Tensor, Tensor | None], Tensor]


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
    progress: results.PROGRESS = lambda done, total: None,
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
    function = FUNCTIONS[run.function]
    # A batch of one takes another path through the BLAS and differs in the last bits.
    seeds = run.seeds * 2 if len(run.seeds) == 1 else run.seeds
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    x = torch.full((len(seeds), run.n), function.start[1], dtype=torch.float32, device=device)
    x[:, 0] = function.start[0]
    size = run.n * (run.k or 1)
    block = min(BLOCK, max(1, ELEMENTS // size))
    values = torch.empty(run.steps + 1, len(seeds), device=device)
    step = _step(run)
    with torch.inference_mode(run.mode == "sim"), torch.no_grad():
        values[0] = function.value(x)
        done = 0
        while done < run.steps:
            tangents = None
            if run.k is not None:
                tangents = draw(run.how, (block, run.k, run.n), generators, angle)
            for i in range(min(block, run.steps - done)):
                x = x.sub_(step(x, None if tangents is None else tangents[:, i]), alpha=run.lr)
                done += 1
                values[done] = function.value(x)
            progress(done, run.steps)
            ends = _ends(values[: done + 1].cpu().numpy(), run.patience)
            if (ends >= 0).all():
                break
    found = values[: done + 1].cpu().numpy()
    ends = np.where(ends >= 0, ends, done)
    each = [found[: end + 1, i].copy() for i, end in enumerate(ends[: len(run.seeds)])]
    return Descent(each, [_reason(one, run.steps) for one in each])


def write(
    run: FunctionRun, path: Path | str, progress: results.PROGRESS = results.log_progress
) -> None:
    """Compute a run on one thread and write its Parquet file, one row for each seed and step."""
    torch.set_num_threads(1)
    start = results.now()
    columns: dict[str, list[npt.NDArray[np.generic]]] = {}
    stops = []
    for angle in run.angle or (None,):
        descent = descend(run, angle, progress)
        for seed, values, reason in zip(run.seeds, descent.values, descent.stops, strict=True):
            length = len(values)
            stops.append({"angle_deg": angle, "seed": seed, "steps": length - 1, "stop": reason})
            columns.setdefault("value", []).append(values.astype(np.float64))
            columns.setdefault("step", []).append(np.arange(length))
            columns.setdefault("seed", []).append(np.full(length, seed))
            if angle is not None:
                columns.setdefault("angle_deg", []).append(np.full(length, angle))
    fixed = {"function": run.function, "n": run.n, "gradient": run.gradient, "k": run.k}
    arrays = {key: np.concatenate(parts) for key, parts in columns.items()}
    results.write(
        path,
        results.FUNCTIONS,
        fixed | {"angle_deg": None, "lr": run.lr} | arrays,
        run=run.model_dump(mode="json"),
        device="cpu",
        threads=torch.get_num_threads(),
        start=start,
        end=results.now(),
        stop=stops,
    )


def _step(run: FunctionRun) -> Step:
    """(x [S, n], tangents [S, k, n] or None) → gradient estimate [S, n]."""
    function, approach = FUNCTIONS[run.function], run.how

    def gradient(x: Tensor, tangents: Tensor | None = None) -> Tensor:
        if function.gradient is not None:
            return function.gradient(x)
        with torch.inference_mode(False):
            return backpropagation(function.value, x.clone())

    def simulated(x: Tensor, tangents: Tensor | None) -> Tensor:
        assert tangents is not None
        return aggregate(approach, tangents, known_derivatives(gradient(x), tangents))

    def forward(x: Tensor, tangents: Tensor | None) -> Tensor:
        assert tangents is not None
        return aggregate(approach, tangents, forward_derivatives(function.value, x, tangents))

    if run.k is None:
        return gradient
    return simulated if run.mode == "sim" else forward


def _ends(values: npt.NDArray[np.float32], patience: int) -> npt.NDArray[np.int64]:
    """Where each column stops: its first NaN, or `patience` steps without a fall; else −1."""
    step = np.arange(len(values))[:, None]
    fell = np.ones_like(values, dtype=bool)
    with np.errstate(invalid="ignore"):
        fell[1:] = values[1:] < values[:-1]
    last_fall = np.maximum.accumulate(np.where(fell, step, 0))
    stop = np.isnan(values) | (step - last_fall >= patience)
    return np.where(stop.any(0), stop.argmax(0), -1)


def _reason(values: npt.NDArray[np.float32], steps: int) -> str:
    if not np.isfinite(values[-1]):
        return "diverged"
    return "completed" if len(values) == steps + 1 else "stalled"
