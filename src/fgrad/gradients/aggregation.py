r"""From k directional derivatives to one gradient estimate.

Every aggregation is a function ``(tangents, derivatives) → coefficients``: the estimate is always a
linear combination g = Σ cᵢ vᵢ of the tangents, so only c has to be found. Each public function here
is an aggregation that a configuration can name; `fgrad.gradients.estimators.combine` forms g.
The paper compares the mean with the projection onto U = span V,

$$\frac{1}{k} V V^\top \nabla f \qquad\text{and}\qquad
P_U(\nabla f) = V (V^\top V)^{-1} V^\top \nabla f.$$

Shapes: tangents [*T, k, n] (rows are tangents), derivatives d = Vᵀ∇f of shape [*T, *B, k], where B
are further gradients that share the same tangents; coefficients have the shape of the derivatives.

Source: the paper, section 3.

Examples:
    >>> v, gradient = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([2.0, 4.0])
    >>> d = v @ gradient
    >>> mean(v, d) @ v
    tensor([4., 3.])
    >>> projection(v, d)  # k = n: −2 v₁ + 4 v₂ = ∇f
    tensor([-2.,  4.], dtype=torch.float64)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fgrad.gradients.solve import (
    Factor,
    cholesky,
    factorise,
    in_float32,
    in_float64,
    substitute,
)


def sum_(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """V d: c = d."""
    return derivatives


def mean(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """V d / k, the multi-tangent forward gradient: unbiased for normal tangents."""
    return derivatives / derivatives.shape[-1]


def mean_times_n(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """As `mean`, times n: n V d / k, unbiased for unit-norm tangents."""
    return derivatives * (tangents.shape[-1] / derivatives.shape[-1])


def max_(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """dᵢ vᵢ for the tangent with the largest |dᵢ|."""
    return _select(derivatives, derivatives.abs())


def max_normalized(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """dᵢ vᵢ for the tangent with the largest |dᵢ|/‖vᵢ‖, that is the best |cosine| to ∇f."""
    return _select(derivatives, _slopes(tangents, derivatives))


def mean_of_best(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """Mean of dᵢ vᵢ over the tangents whose |cosine| to ∇f is at least 0.9 of the best.

    The paper's 0.1 is taken relative to the best: |cos| = |dᵢ|/(‖vᵢ‖ ‖∇f‖), and no forward pass
    knows ‖∇f‖.
    """
    slopes = _slopes(tangents, derivatives)
    best = slopes >= 0.9 * slopes.amax(-1, keepdim=True)
    return derivatives * best / best.sum(-1, keepdim=True)


def projection(
    tangents: Tensor,
    derivatives: Tensor,
    nested: Sequence[int] | None = None,
    apart: bool = False,
    known: tuple[Tensor, ...] | None = None,
) -> Tensor:
    r"""Orthogonal projection onto U = span V: c = (VᵀV)⁻¹ d, so that V c = P_U(∇f).

    $$V c = V (V^\top V)^{-1} V^\top \nabla f = P_U(\nabla f)
    = \operatorname*{arg\,min}_{u \in U} \lVert u - \nabla f \rVert$$

    With the Cholesky factor VᵀV = L Lᵀ, y = L⁻¹ d are the coordinates of ∇f in the Gram–Schmidt
    basis of the tangents, and the first m of them belong to the first m tangents: one factorisation
    serves every leading subset, c_m = L⁻ᵀ (y₁ … y_m, 0 … 0).

    For 2 k ≤ n the factorisation is done in float32, and again in float64 for the sets of tangents
    that are not far from dependent; for larger k always in float64. Where the rank is below k the
    solution of least norm is taken from a singular value decomposition in float64, see
    `fgrad.gradients.solve`. Only the first n of k > n tangents count.

    Args:
        tangents: [*T, k, n].
        derivatives: [*T, *B, k].
        nested: sizes m of leading subsets; ``None`` for all k tangents.
        apart: the tangents are known to be far from dependent (2 k ≤ n): nothing is looked at, so
            that a GPU need not be waited for.
        known: `factor` of the tangents, if it has been found.

    Returns:
        [*T, *B, k], with ``nested`` [*T, *B, len(nested), k]; zeros where a tangent takes no part.
        In float64 for 2 k > n: the combination V c wants the same precision.
    """
    k, n = tangents.shape[-2:]
    m = min(k, n)
    sizes = [min(size, m) for size in nested or (k,)]
    v = tangents[..., :m, :].reshape(-1, m, n)
    d = derivatives[..., :m].reshape(len(v), -1, m)
    found = None if known is None else (known[0].reshape(-1, m, m), known[1].reshape(-1))
    few = _few(m, v)
    if few and apart:
        coefficients = substitute((found or factorise(v))[0], d, sizes)
    else:
        coefficients = (in_float32 if few else in_float64)(v, d, sizes, found)
    if m < k:
        coefficients = torch.nn.functional.pad(coefficients, (0, k - m))
    shape = (*derivatives.shape[:-1], len(sizes), k)
    return coefficients.reshape(shape if nested else derivatives.shape)


def factor(tangents: Tensor) -> Factor:
    """What `projection` makes of the tangents alone, in its precision; of many sets at once.

    Args:
        tangents: [*T, k, n].

    Returns:
        `fgrad.gradients.solve.cholesky` of the first m = min(k, n) tangents, [*T, m, m] and [*T].
    """
    m = min(tangents.shape[-2:])
    v = tangents[..., :m, :]
    return cholesky(v if _few(m, v) else v.double())


def _few(m: int, v: Tensor) -> bool:
    """Whether float32 may be enough for m tangents."""
    return 2 * m <= v.shape[-1] and v.dtype == torch.float32


def _slopes(tangents: Tensor, derivatives: Tensor) -> Tensor:
    lengths: Tensor = tangents.norm(dim=-1)
    extra = derivatives.ndim - lengths.ndim
    return derivatives.abs() / lengths[(..., *[None] * extra, slice(None))]


def _select(derivatives: Tensor, keys: Tensor) -> Tensor:
    best = keys.argmax(-1, keepdim=True)
    return torch.zeros_like(derivatives).scatter(-1, best, derivatives.gather(-1, best))
