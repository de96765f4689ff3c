"""Gradient estimators: backpropagation, full forward mode, forward gradients, fixed directions.

A function f maps points [*B, n] to values [*B], each point on its own. Directional derivatives come
from forward-mode automatic differentiation (`forward_derivatives`: one batched dual pass for all
points and tangents) or from a known gradient (`known_derivatives`: the same numbers by a matrix
product, which is how large experiments are simulated).

Source: the paper, section 3; Baydin et al., Gradients without Backpropagation, 2022.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fgrad.gradients import aggregation, laws, tangents
from fgrad.gradients.approach import LAWS, Approach
from fgrad.gradients.registry import AGGREGATIONS, SAMPLERS

Scalar = Callable[[Tensor], Tensor]


def backpropagation(f: Scalar, x: Tensor) -> Tensor:
    """∇f(x) by reverse-mode differentiation.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].

    Returns:
        [*B, n].
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(f(x).sum(), x)
    return gradient


def forward_derivatives(f: Scalar, x: Tensor, directions: Tensor) -> Tensor:
    """dᵢ = ∇f(x)·vᵢ for all points and tangents in one dual pass, no backward pass.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        directions: [*B, k, n].

    Returns:
        [*B, k].
    """
    points = x.unsqueeze(-2).expand_as(directions).contiguous()
    with forward_ad.dual_level():
        value = f(forward_ad.make_dual(points, directions.contiguous()))
        tangent = forward_ad.unpack_dual(value).tangent
    return torch.zeros_like(value) if tangent is None else tangent


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


def known_projection(gradient: Tensor, directions: Tensor, nested: Sequence[int]) -> Tensor:
    """P_U(∇f) for the leading subsets of the tangents, from a known gradient.

    With Vᵀ's orthonormal factor, V = Q R, the coordinates of ∇f are Qᵀ∇f and the first m of them
    belong to the first m tangents. Householder's Q is orthogonal to rounding whatever the tangents,
    so float32 is enough even for k = n, where the normal equations need float64 and take twice the
    time. (A forward pass knows d alone: `fgrad.gradients.aggregation.projection`.)

    Args:
        gradient: [B, n].
        directions: [B, k, n] with k ≤ n.
        nested: sizes m ≤ k of leading subsets.

    Returns:
        [B, len(nested), n].
    """
    factor, scales = torch.geqrf(directions.mT)
    sines = factor.diagonal(dim1=-2, dim2=-1).abs() / directions.norm(dim=-1)
    size = torch.tensor(nested, device=gradient.device)
    leading = torch.arange(gradient.shape[-1], device=gradient.device)[:, None] < size
    coordinates = torch.ormqr(factor, scales, gradient.unsqueeze(-1), transpose=True) * leading
    projected: Tensor = torch.ormqr(factor, scales, coordinates).mT
    unsure = (sines < 1e-5).any(-1)  # float32 cannot tell whether these are dependent
    if bool(unsure.any()):

        def solve(gradient: Tensor, v: Tensor) -> Tensor:
            d = known_derivatives(gradient, v)
            return combine(aggregation.projection(v, d, nested), v)

        again = aggregation._on_rows(unsure, solve, gradient.double(), directions.double())
        projected[unsure] = again.to(projected.dtype)
    return projected


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
    generator: tangents.Generators,
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
    if approach.tangents == "angle":
        if angle is None:
            raise ValueError("the sampler 'angle' needs an angle in degrees")
        options["angle"] = angle
    if approach.tangents == "orthogonal":
        options["max_length"] = approach.max_length
    sampler = SAMPLERS[approach.tangents]
    v: Tensor = sampler(size, generator, dtype=dtype, **options)
    if approach.independent:
        if size[-2] > size[-1]:
            raise ValueError(f"no k = {size[-2]} tangents are independent in n = {size[-1]}")
        each = [generator] if isinstance(generator, torch.Generator) else generator
        for g, entry in zip(each, v[None] if v.ndim == len(size) else v, strict=True):
            for one in entry.view(-1, *size[-2:]):
                while not aggregation._independent(one):
                    one.copy_(sampler(size[-2:], g, dtype=dtype, **options))
    return v / v.norm(dim=-1, keepdim=True) if approach.normalize else v


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


def coefficients(approach: Approach, directions: Tensor, derivatives: Tensor) -> Tensor:
    """The cᵢ of an approach's estimate g = Σ cᵢ vᵢ.

    Args:
        approach: names the aggregation and whether its expected norm is corrected for (``scale``).
        directions: [*T, k, n].
        derivatives: [*T, *B, k], of B gradients that share the tangents.

    Returns:
        [*T, *B, k], in float64 where the aggregation needs it.
    """
    assert approach.aggregation is not None
    k, n = directions.shape[-2:]
    if approach.aggregation == "projection":
        # so many normal tangents are never near dependent: min sin² ~ Beta((n−k+1)/2, (k−1)/2)
        apart = approach.tangents == "normal" and n >= max(4 * k, 256)
        c = aggregation.projection(directions, derivatives, apart=apart)
    else:
        c = AGGREGATIONS[approach.aggregation](directions, derivatives)
    if approach.scale:
        c = c / laws.expected_norm_ratio(approach.aggregation, n, k, approach.normalize)
    return c


def sample(approach: Approach, gradient: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """An estimate drawn from its exact law, in O(n) time and memory whatever k is.

    Of k normal tangents only their part along û = ∇f/‖∇f‖ and one direction r ⊥ û, uniform on its
    sphere, enter the estimate (the paper, section 3; `fgrad.gradients.laws`):

    * mean: ‖∇f‖ (q/k û + √q/k w), q ~ χ²(k), w the part of an N(0, I) vector orthogonal to û;
    * projection, k < n: ‖∇f‖ (B û + √(B(1−B)) r) with B ~ Beta(k/2, (n−k)/2); ∇f itself for k ≥ n.

    Args:
        approach: normal tangents, not normalised, and one of
            `fgrad.gradients.approach.LAWS`.
        gradient: ∇f [n].
        k: number of tangents.
        generator: on the gradient's device.

    Returns:
        [n], of the same distribution as `aggregate` of k drawn tangents; zeros where ∇f is zero.

    Raises:
        ValueError: if no law is known for the approach.
    """
    if not approach.has_law:
        raise ValueError(f"an exact law is known for normal tangents and {', '.join(LAWS)}")
    name, n = approach.aggregation, len(gradient)
    correction = laws.expected_norm_ratio(str(name), n, k) if approach.scale else 1.0
    if name == "projection" and k >= n:
        return gradient / correction
    norm = gradient.norm()
    unit = gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)
    across = torch.empty_like(gradient).normal_(generator=generator)
    across -= (across @ unit) * unit

    def gamma(a: float) -> Tensor:
        shape = torch.full((), a, dtype=torch.float64, device=gradient.device)
        # what torch.distributions draws with too, but there no generator can be given
        return torch._standard_gamma(shape, generator=generator)

    if name == "projection":
        g, h = gamma(k / 2), gamma((n - k) / 2)
        beta = g / (g + h)
        along, length = beta, (beta * (1 - beta)).sqrt() / across.norm()
    else:
        q = 2 * gamma(k / 2)
        times = {"mean": 1.0, "sum": float(k), "mean-times-n": float(n)}[str(name)]
        along, length = times * q / k, times * q.sqrt() / k
    scale = norm / correction
    estimate: Tensor = (scale * along).to(unit.dtype) * unit
    return estimate.add_(across.mul_((scale * length).to(unit.dtype)))


def full_forward_mode(f: Scalar, x: Tensor) -> Tensor:
    """∇f(x) without a backward pass: one directional derivative along every basis vector.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].

    Returns:
        [*B, n].
    """
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return forward_derivatives(f, x, eye.expand(*x.shape, -1))


def fixed_directions(f: Scalar, x: Tensor, directions: Tensor, approach: Approach) -> Tensor:
    """Gradient estimate along given tangents.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        directions: [*B, k, n].
        approach: names the aggregation.

    Returns:
        [*B, n].

    Example:
        >>> x = torch.tensor([1.0, 2.0])
        >>> v = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> fixed_directions(lambda x: x.square().sum(-1), x, v, Approach(aggregation="projection"))
        tensor([2., 4.])
    """
    return aggregate(approach, directions, forward_derivatives(f, x, directions))


def forward_gradient(
    f: Scalar,
    x: Tensor,
    k: int,
    generator: torch.Generator,
    approach: Approach,
    angle: float | None = None,
) -> Tensor:
    """Multi-tangent forward gradient with fresh random tangents at every point.

    Args:
        f: [*B, n] → [*B].
        x: [*B, n].
        k: number of tangents.
        generator: the tangents are drawn from it.
        approach: sampler, aggregation and options.
        angle: α in degrees for the sampler ``angle``.

    Returns:
        [*B, n].

    Raises:
        ValueError: as `draw`.
    """
    size = (*x.shape[:-1], k, x.shape[-1])
    return fixed_directions(f, x, draw(approach, size, generator, angle, x.dtype), approach)
