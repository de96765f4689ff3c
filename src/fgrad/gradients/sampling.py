"""Estimates drawn from their exact law, whatever the number of tangents.

Of k normal tangents only their part along û = ∇f/‖∇f‖ and one direction orthogonal to it, uniform
on its sphere, enter an estimate. The laws are those of `fgrad.gradients.laws`.

Source: the paper, section 3.
"""

import torch
from torch import Tensor

from fgrad.gradients.approach import Approach, has_law
from fgrad.gradients.registry import LAWS


def gamma(a: float, generator: torch.Generator, size: tuple[int, ...] = ()) -> Tensor:
    """Independent variables of the law Γ(a, 1); zeros, and nothing drawn, for a = 0.

    Args:
        a: shape, ≥ 0.
        generator: drawn from, on its device.
        size: of the result.

    Returns:
        [*size], float64.
    """
    shape = torch.full(size, a, dtype=torch.float64, device=generator.device)
    # what torch.distributions draws with too, but there no generator can be given
    return torch._standard_gamma(shape, generator=generator) if a else shape


def sample(approach: Approach, gradient: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """An estimate drawn from its exact law, in O(n) time and memory whatever k is.

    * mean: ‖∇f‖ (q/k û + √q/k w), q ~ χ²(k), w the part of an N(0, I) vector orthogonal to û;
    * projection, k < n: ‖∇f‖ (B û + √(B(1−B)) w/‖w‖) with B ~ Beta(k/2, (n−k)/2); ∇f itself for
      k ≥ n.

    Args:
        approach: normal tangents, not normalised, and one of
            `fgrad.gradients.registry.LAWS`.
        gradient: ∇f [n].
        k: number of tangents.
        generator: on the gradient's device.

    Returns:
        [n], of the same distribution as `fgrad.gradients.estimators.aggregate` of k drawn tangents;
        zeros where ∇f is zero.

    Raises:
        ValueError: if no law is known for the approach.

    Examples:
        >>> frog = Approach(aggregation="projection")
        >>> gradient = torch.tensor([3.0, 4.0])
        >>> sample(frog, gradient, k=2, generator=torch.Generator().manual_seed(0))
        tensor([3., 4.])
    """
    if not has_law(approach):
        raise ValueError(f"an exact law is known for normal tangents and {', '.join(LAWS)}")
    law, n = LAWS[str(approach.aggregation)], len(gradient)
    correction = float(law.expected_ratio(n, k)) if approach.scale else 1.0
    if law.certain(n, k):
        return gradient / correction
    # squares of entries beyond 1e19 are beyond float32
    norm = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    unit = gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)
    across = torch.empty_like(gradient).normal_(generator=generator)
    across -= (across @ unit) * unit
    along, length = law.parts(lambda a: gamma(a, generator), across, n, k)
    scale = norm / correction
    estimate: Tensor = (scale * along).to(unit.dtype) * unit
    return estimate.add_(across.mul_((scale * length).to(unit.dtype)))
