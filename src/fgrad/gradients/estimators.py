"""Gradient estimators: backpropagation, full forward mode, forward gradients, fixed directions.

A function f maps points [*B, n] to values [*B], each point on its own. Directional derivatives come
from forward-mode automatic differentiation (`forward_derivatives`: one batched dual pass for all
points and tangents) or from a known gradient (`known_derivatives`: the same numbers by a matrix
product, which is how large experiments are simulated).

Source: the paper, section 3; Baydin et al., Gradients without Backpropagation, 2022.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fgrad.gradients.approach import Approach, named
from fgrad.gradients.registry import (
    AGGREGATIONS,
    CONDITIONS,
    ESTIMATORS,
    FACTORS,
    LAWS,
    SAMPLERS,
)
from fgrad.gradients.stateful import Kept
from fgrad.gradients.tangents import Generators

Scalar = Callable[[Tensor], Tensor]


def backpropagation(f: Scalar, x: Tensor) -> Tensor:
    """∇f(x) by reverse-mode differentiation.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].

    Returns:
        [*B, n].

    Raises:
        ValueError: if f gives anything but a real number for each point, or computes it outside of
            torch.

    Examples:
        >>> backpropagation(lambda x: x.square().sum(-1), torch.tensor([1.0, 2.0]))
        tensor([2., 4.])
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = _one_for_each(f(x), x)
        if not value.requires_grad:
            return _constant(f, x, torch.ones_like(x), value, torch.zeros_like(x))
        (gradient,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
    return gradient


def forward_derivatives(f: Scalar, x: Tensor, directions: Tensor) -> Tensor:
    """dᵢ = ∇f(x)·vᵢ for all points and tangents in one dual pass, no backward pass.

    Forward mode does not see `torch.no_grad` inside f, as reverse mode does; both see ``detach``.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        directions: [*B, k, n].

    Returns:
        [*B, k].

    Raises:
        ValueError: as `backpropagation`.

    Examples:
        >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> forward_derivatives(lambda x: x.square().sum(-1), x, v)
        tensor([2., 6.])
    """
    points = x.unsqueeze(-2).expand_as(directions).contiguous()
    with forward_ad.dual_level():
        value = f(forward_ad.make_dual(points, directions.contiguous()))
        value = _one_for_each(value, points)
        tangent: Tensor | None = forward_ad.unpack_dual(value).tangent
    if tangent is None:
        return _constant(f, points, directions, value, torch.zeros_like(value))
    return tangent


def _one_for_each(value: object, x: Tensor) -> Tensor:
    """What f gives, if it is a real number for each point."""
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not isinstance(value, Tensor) or shape != x.shape[:-1] or value.is_complex():
        got = type(value).__name__ if shape is None else f"{list(shape)} of {kind}"
        raise ValueError(
            f"f gives {got} for points {list(x.shape)}: one real number each is needed"
        )
    return value


def _constant(f: Scalar, x: Tensor, step: Tensor, value: Tensor, zeros: Tensor) -> Tensor:
    """Zeros, if it is true that f does not depend on x."""
    if not torch.equal(f(x.detach() + step), value):
        raise ValueError(
            "f has no derivative though it depends on its points: it is computed outside of torch "
            "(by NumPy, .item()), detached, or rounded"
        )
    return zeros


def known_derivatives(gradient: Tensor, directions: Tensor) -> Tensor:
    """dᵢ = ∇f·vᵢ from a known gradient.

    Args:
        gradient: [*B, n].
        directions: [*B, k, n].

    Returns:
        [*B, k].
    """
    # as a row times Vᵀ: the product the other way round is up to ten times slower
    return (gradient.unsqueeze(-2) @ directions.mT).squeeze(-2)


def combine(coefficients: Tensor, directions: Tensor) -> Tensor:
    """The estimate g = Σ cᵢ vᵢ, computed in the precision of the coefficients.

    Args:
        coefficients: [*T, m, k], m combinations of the same tangents.
        directions: [*T, k, n].

    Returns:
        [*T, m, n] in the dtype of the tangents.
    """
    return (coefficients @ directions.to(coefficients.dtype)).to(directions.dtype)


def draw(
    approach: Approach,
    size: tuple[int, ...],
    generator: Generators,
    angle: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Tangents of an approach: its sampler, then its options.

    Args:
        approach: names the sampler, whether tangents are redrawn until linearly independent
            (``independent``), and whether they are normalised (``normalize``).
        size: [*, k, n] of what each generator draws.
        generator: one generator, or S of them for a leading dimension S.
        angle: α in degrees for the sampler ``angle``.
        dtype: of the tangents.

    Returns:
        [(S,) *, k, n].

    Raises:
        ValueError: if ``independent`` is asked of k > n tangents, or the sampler refuses the size.
    """
    options: dict[str, float] = {}
    if approach.sampler == "angle":
        if angle is None:
            raise ValueError("the sampler 'angle' needs an angle in degrees")
        options["angle"] = angle
    if approach.sampler == "orthogonal":
        options["max_length"] = approach.max_length
    sampler = SAMPLERS.of(approach.sampler)
    if inspect.isclass(sampler):
        raise ValueError(f"the sampler {sampler.__name__} keeps state: give an object of it")
    named_here = isinstance(approach.sampler, str) and approach.sampler in SAMPLERS
    if not named_here and not isinstance(sampler, Kept):
        sampler = _one_by_one(sampler)
    v: Tensor = sampler(size, generator, dtype=dtype, **options)
    if approach.independent:
        if size[-2] > size[-1]:
            raise ValueError(f"no k = {size[-2]} tangents are independent in n = {size[-1]}")
        independent = CONDITIONS["independent"]
        each = [generator] if isinstance(generator, torch.Generator) else generator
        for g, entry in zip(each, v[None] if v.ndim == len(size) else v, strict=True):
            for one in entry.view(-1, *size[-2:]):
                while not independent(one):
                    one.copy_(sampler(size[-2:], g, dtype=dtype, **options))
    return v / v.norm(dim=-1, keepdim=True) if approach.normalize else v


def _one_by_one(sampler: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A sampler of the user's own, which knows one generator."""

    def sampled(size: tuple[int, ...], generator: Generators, *, dtype: torch.dtype) -> Tensor:
        if isinstance(generator, torch.Generator):
            return sampler(size, generator, dtype=dtype)
        return torch.stack([sampler(size, one, dtype=dtype) for one in generator])

    return sampled


def aggregate(approach: Approach, directions: Tensor, derivatives: Tensor) -> Tensor:
    """Gradient estimate of an approach from its tangents and their directional derivatives.

    Args:
        approach: names the aggregation and whether its expected norm is corrected for (``scale``).
        directions: [*T, k, n].
        derivatives: [*T, k].

    Returns:
        [*T, n].
    """
    c = coefficients(approach, directions, derivatives)
    return combine(c.unsqueeze(-2), directions).squeeze(-2)


def factor(approach: Approach, directions: Tensor) -> tuple[Tensor, ...] | None:
    """What the `coefficients` of an approach need of the tangents alone; None if nothing.

    Args:
        approach: names the aggregation.
        directions: [*T, k, n].
    """
    name = str(approach.aggregation)
    return FACTORS[name](directions) if name in FACTORS else None


def coefficients(
    approach: Approach,
    directions: Tensor,
    derivatives: Tensor,
    known: tuple[Tensor, ...] | None = None,
) -> Tensor:
    """The cᵢ of an approach's estimate g = Σ cᵢ vᵢ.

    Args:
        approach: names the aggregation and whether its expected norm is corrected for (``scale``).
        directions: [*T, k, n].
        derivatives: [*T, *B, k], of B gradients that share the tangents.
        known: `factor` of the tangents, if it has been found.

    Returns:
        [*T, *B, k], in float64 where the aggregation needs it.
    """
    assert approach.aggregation is not None
    k, n = directions.shape[-2:]
    options: dict[str, Any] = {} if known is None else {"known": known}
    if approach.aggregation == "projection":
        # so many normal tangents are never near dependent: min sin² ~ Beta((n−k+1)/2, (k−1)/2)
        options["apart"] = approach.sampler == "normal" and n >= max(4 * k, 256)
    c = AGGREGATIONS.of(approach.aggregation)(directions, derivatives, **options)
    if approach.scale:
        c = c / float(LAWS[str(approach.aggregation)].expected_ratio(n, k, approach.normalize))
    return c


def whole(approach: Approach, f: Scalar, x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Estimate of an approach that is a whole gradient.

    Args:
        approach: with an estimator.
        f: [*B, n] → [*B].
        x: [n].
        k: number of tangents or evaluations, as the estimator understands it.
        generator: drawn from.

    Returns:
        [n].

    Raises:
        ValueError: if the estimator gives anything else.
    """
    assert approach.estimator is not None
    found = ESTIMATORS.of(approach.estimator)(f, x, k, generator)
    if not isinstance(found, Tensor) or found.shape != x.shape:
        got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the estimator gives {got} at a point {list(x.shape)}")
    return found.to(x.dtype)


def full_forward_mode(f: Scalar, x: Tensor) -> Tensor:
    """∇f(x) without a backward pass: one directional derivative along every basis vector.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].

    Returns:
        [*B, n].

    Examples:
        >>> full_forward_mode(lambda x: x.square().sum(-1), torch.tensor([1.0, 2.0]))
        tensor([2., 4.])
    """
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return forward_derivatives(f, x, eye.expand(*x.shape, -1))


def fixed_directions(f: Scalar, x: Tensor, directions: Tensor, approach: Approach | str) -> Tensor:
    """Gradient estimate along given tangents.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        directions: [*B, k, n].
        approach: with the aggregation, or the name of one of the paper's.

    Returns:
        [*B, n].

    Raises:
        ValueError: if the approach has no aggregation; as `backpropagation`.

    Examples:
        >>> x = torch.tensor([1.0, 2.0])
        >>> v = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> fixed_directions(lambda x: x.square().sum(-1), x, v, "frog")
        tensor([2., 4.])
    """
    approach = named(approach)
    if approach.aggregation is None:
        raise ValueError("an approach with an aggregation is needed")
    return aggregate(approach, directions, forward_derivatives(f, x, directions))


def forward_gradient(
    f: Scalar,
    x: Tensor,
    k: int,
    generator: torch.Generator,
    approach: Approach | str,
    angle: float | None = None,
) -> Tensor:
    r"""Multi-tangent forward gradient with fresh random tangents at every point.

    $$g = \sum_{i=1}^k c_i v_i, \qquad d_i = \nabla f(x) \cdot v_i$$

    The aggregation makes the coefficients: c = d/k is the mean (``fg-mean``), c = (VᵀV)⁻¹ d the
    projection onto the span of the tangents (``frog``).

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        k: number of tangents.
        generator: the tangents are drawn from it.
        approach: sampler, aggregation and options, or the name of one of the paper's.
        angle: α in degrees for the sampler ``angle``.

    Returns:
        [*B, n].

    Raises:
        ValueError: as `draw`; if there is no such approach.

    Examples:
        >>> x, generator = torch.ones(4), torch.Generator().manual_seed(0)
        >>> g = forward_gradient(lambda x: x.square().sum(-1), x, 4, generator, "frog")
        >>> g.round(decimals=3)
        tensor([2., 2., 2., 2.])
    """
    approach = named(approach)
    if approach.estimator is not None:
        rows = [whole(approach, f, one, k, generator) for one in x.reshape(-1, x.shape[-1])]
        return torch.stack(rows).view(x.shape)
    size = (*x.shape[:-1], k, x.shape[-1])
    return fixed_directions(f, x, draw(approach, size, generator, angle, x.dtype), approach)
