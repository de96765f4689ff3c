"""Samplers that keep state from step to step, such as tangents biased by the last estimate.

A class is a sampler whose objects do: it is made anew for each run and seed, called as any sampler
of the user's own is, and told each estimate by its method ``update(estimate [n])``. What it keeps
are its attributes: tensors, numbers or ``None``, for they are saved with a training.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fgrad.gradients.approach import Approach
from fgrad.gradients.registry import SAMPLERS
from fgrad.gradients.tangents import Generators


class Kept:
    """Objects of such a class, one for each row of estimates.

    Args:
        make: the class.
        rows: of the estimates; ``None`` for a single estimate [n] without rows.
    """

    def __init__(self, make: Callable[[], Any], rows: int | None) -> None:
        self.single = rows is None
        self.each = [make() for _ in range(rows or 1)]

    def __call__(
        self, size: tuple[int, ...], generator: Generators, *, dtype: torch.dtype
    ) -> Tensor:
        """Tangents of the rows, each from its own generator."""
        if isinstance(generator, torch.Generator):
            return self._drawn(self.each[0], size, generator, dtype)
        drawn = zip(self.each, generator, strict=True)
        return torch.stack([self._drawn(one, size, g, dtype) for one, g in drawn])

    def _drawn(self, one: Any, size: tuple[int, ...], g: torch.Generator, dtype: Any) -> Tensor:
        tangents: Tensor = one(size, g, dtype=dtype)
        if not tangents.isfinite().all():
            name = type(one).__name__
            raise ValueError(f"the sampler {name} gave tangents that are not finite")
        return tangents

    def update(self, estimates: Tensor) -> None:
        """Tell what was estimated, [rows, n] or [n]; of what has diverged nothing is to be told."""
        for one, estimate in zip(
            self.each, estimates[None] if self.single else estimates, strict=True
        ):
            if estimate.isfinite().all():
                one.update(estimate)

    def state_dict(self) -> dict[str, Any]:
        """What is kept."""
        return {str(i): dict(vars(one)) for i, one in enumerate(self.each)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for i, one in enumerate(self.each):
            vars(one).clear()
            vars(one).update(state[str(i)])


def keeps_state(approach: Approach) -> bool:
    """Whether tangents depend on the estimates before."""
    return inspect.isclass(SAMPLERS.of(approach.sampler))


def begun(approach: Approach, rows: int | None = None) -> Approach:
    """The approach for one run: with objects of its own where its sampler keeps state."""
    if not keeps_state(approach):
        return approach
    return replace(approach, sampler=Kept(SAMPLERS.of(approach.sampler), rows))


def told(approach: Approach, estimates: Tensor) -> None:
    """Tell the sampler of a run that is `begun` what was estimated, if it keeps state."""
    if isinstance(approach.sampler, Kept):
        approach.sampler.update(estimates.detach())
