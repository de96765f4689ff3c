"""Explicit tangents of a training step: whether they fit, and their draw."""

import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fgrad.gradients.approach import Approach, bounded, has_law
from fgrad.gradients.estimators import draw
from fgrad.gradients.stateful import Kept, told


@dataclass
class Tangents:
    """What a step's estimate is made with.

    Args:
        approach: sampler, aggregation and options.
        k: number of tangents.
        generator: they are drawn from it, on its device.
        chunk: tangents of one forward-mode pass; ``None`` for all at once.
    """

    approach: Approach
    k: int
    generator: torch.Generator
    chunk: int | None = None
    _fitting: set[int] = field(default_factory=set)

    def check(self, n: int, dtype: torch.dtype) -> None:
        """Refuse tangents [k, n] that cannot be drawn; looked at once for each n.

        Raises:
            ValueError: if the sampler has not that many.
            MemoryError: if they do not fit in the free memory of their device.
        """
        if n in self._fitting:
            return
        if self.k > n and bounded(self.approach):
            raise ValueError(f"k = {self.k}: {n} is the most independent tangents in n = {n}")
        size, device = dtype.itemsize, self.generator.device
        needed = size * self.k * n
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free()
        if needed > free:
            exact = (
                f", or perturb weights in mode sim with tangents exact, which need {2 * size * n:,}"
            )
            raise MemoryError(
                f"{self.k:,} explicit tangents of n = {n:,} take {needed:,} bytes, {free:,} are "
                f"free; take a smaller k{exact if has_law(self.approach) else ''}"
            )
        self._fitting.add(n)

    def check_rounding(self, n: int, rounding: float) -> None:
        """Refuse a projection that makes derivatives of few digits into a gradient of none.

        It solves for k coefficients, and a matrix of k normal tangents in n = k dimensions is about
        as near to singular as 1/n.

        Raises:
            ValueError: if derivatives are coarser than of float32 and k is beyond n/2.
        """
        if rounding > 1e-4 and self.approach.aggregation == "projection" and 2 * self.k > n:
            raise ValueError(
                f"k = {self.k}: forward mode in half precision allows {n // 2} of n = {n} for a "
                "projection; mode sim allows any"
            )

    def learn(self, c: Tensor, v: Tensor) -> None:
        """Tell a sampler that keeps state the estimate c v; of several samples the mean.

        Args:
            c: coefficients [k], or [B, k].
            v: tangents [k, n].
        """
        if isinstance(self.approach.sampler, Kept):
            mean = c if c.ndim == 1 else c.mean(0)
            told(self.approach, mean.to(v.dtype) @ v)

    def in_full_precision(self) -> AbstractContextManager[object]:
        """The algebra of tangents is not for the lower precision of an autocast around it."""
        return torch.autocast(self.generator.device.type, enabled=False)


def _free() -> int:
    """Bytes that can be had on the CPU; without psutil all there are, or no limit."""
    try:
        from psutil import virtual_memory
    except ImportError:
        if not hasattr(os, "sysconf"):  # Windows
            return sys.maxsize
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available: int = virtual_memory().available
    return available


def drawn(tangents: Tangents, n: int, dtype: torch.dtype) -> Tensor:
    """Tangents [k, n] of a step; raises as `Tangents.check`."""
    tangents.check(n, dtype)
    return draw(tangents.approach, (tangents.k, n), tangents.generator, dtype=dtype)
