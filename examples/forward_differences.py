"""Forward differences along k normal tangents in place of forward-mode derivatives, their mean.

k + 1 evaluations of f. ``python forward_differences.py`` prints how far they are from the exact
directional derivatives (JVPs): too long a step errs by its curvature, too short by rounding.

Source: Nesterov, Spokoiny, Random gradient-free minimization of convex functions, Foundations of
Computational Mathematics 17, 2017.
"""

from collections.abc import Callable

import torch
from torch import Tensor

import fgrad

STEP = 1e-4
"""ε: shorter, rounding takes over in float32."""


def along(f: Callable[[Tensor], Tensor], x: Tensor, v: Tensor, step: float) -> Tensor:
    """(f(x + ε v_i) − f(x)) / ε for tangents [k, n]: [k]."""
    return (f(x + step * v) - f(x)) / step


def forward_differences(
    f: Callable[[Tensor], Tensor], x: Tensor, k: int, generator: torch.Generator
) -> Tensor:
    """Estimate of ∇f(x) [n]: fg-mean with differences for derivatives."""
    v = torch.randn(k, len(x), generator=generator, dtype=x.dtype, device=x.device)
    return along(f, x, v, STEP) @ v / k


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(1000, 64, generator=generator)
    print("| function, n = 64 |" + "".join(f" ε = {10.0**-i:.0e} |" for i in range(1, 7)))
    print("|---|" + "---|" * 6)
    for name in ("sphere", "rosenbrock", "styblinski-tang"):
        f = fgrad.FUNCTIONS[name].value
        x = torch.full((64,), 0.5)
        exact = fgrad.forward_derivatives(f, x, v)
        errors = [(along(f, x, v, 10.0**-i) - exact).norm() / exact.norm() for i in range(1, 7)]
        print(f"| {name} |" + "".join(f" {float(error):.1e} |" for error in errors))
