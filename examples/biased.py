"""Tangents biased by the last estimate: normal ones, and in place of the first that estimate.

A descent's gradients resemble each other, so that the last estimate points to more of the next one
than any random direction. The others keep the estimate from staying in one line.

Source: Maheswaranathan, Metz, Tucker, Choi, Sohl-Dickstein, Guided evolutionary strategies:
augmenting random search with surrogate gradients, ICML 2019.
"""

import torch
from torch import Tensor


class Biased:
    """A sampler with a memory: made anew for each run and seed."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def __call__(
        self, size: tuple[int, ...], generator: torch.Generator, *, dtype: torch.dtype
    ) -> Tensor:
        """Tangents [*, k, n]; the first of each set along the last estimate, of length √n."""
        v = torch.randn(size, generator=generator, dtype=dtype, device=generator.device)
        if self.last is not None:
            v[..., 0, :] = self.last.to(dtype) * size[-1] ** 0.5
        return v

    def update(self, estimate: Tensor) -> None:
        """Keep the direction of an estimate [n]; of zeros there is none."""
        largest = estimate.abs().max()
        if largest > 0:  # scaled first, for the square of a small entry may be zero
            self.last = torch.nn.functional.normalize(estimate / largest, dim=-1)
