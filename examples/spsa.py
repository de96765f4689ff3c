"""SPSA: central differences along k random sign vectors, their mean; no differentiation at all.

2 k evaluations of f. A difference over C = 0.01 errs by C² of the third derivative, and in float32
by some 1e-7/C of the value, so that it stops being a gradient close to a minimum.

Source: Spall, Multivariate stochastic approximation using a simultaneous perturbation gradient
approximation, IEEE Transactions on Automatic Control 37, 1992.
"""

from collections.abc import Callable

import torch
from torch import Tensor

C = 0.01
"""Length of an entry of a step to either side."""


def spsa(f: Callable[[Tensor], Tensor], x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Estimate of ∇f(x) [n]: 1/k Σ (f(x + C v_i) − f(x − C v_i)) / 2C · v_i."""
    signs = torch.randint(2, (k, len(x)), generator=generator, device=x.device)
    v = (1 - 2 * signs).to(x.dtype)  # 1/v = v
    d = (f(x + C * v) - f(x - C * v)) / (2 * C)
    return d @ v / k
