"""From k directional derivatives to one gradient estimate.

Every aggregation is a function ``(tangents, derivatives) → coefficients``: the estimate is always a
linear combination g = Σ cᵢ vᵢ of the tangents, so only c has to be found. Each public function here
is an aggregation that a configuration can name; `fgrad.gradients.estimators.combine` forms g.

Shapes: tangents [*T, k, n] (rows are tangents), derivatives d = Vᵀ∇f of shape [*T, *B, k], where B
are further gradients that share the same tangents; coefficients have the shape of the derivatives.

Source: the paper, section 3.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

RANK_TOLERANCE = 1e-6
"""Linearly dependent: sine of a tangent's angle to the span of those before it below this."""

SAFE_SINE = 0.5
"""Float32 is enough for the projection if every such sine is at least this (30°)."""

BLOCK = 64


def sum_(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """V d: c = d."""
    return derivatives


def mean(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """V d / k, the multi-tangent forward gradient: unbiased for normal tangents."""
    return derivatives / derivatives.shape[-1]


def mean_times_n(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """N V d / k, unbiased for unit-norm tangents."""
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
) -> Tensor:
    """Orthogonal projection onto U = span V: c = (VᵀV)⁻¹ d, so that V c = P_U(∇f).

    With the Cholesky factor VᵀV = L Lᵀ, y = L⁻¹ d are the coordinates of ∇f in the Gram–Schmidt
    basis of the tangents, and the first m of them belong to the first m tangents: one factorisation
    serves every leading subset, c_m = L⁻ᵀ (y₁ … y_m, 0 … 0).

    For 2 k ≤ n the factorisation is done in float32, and again in float64 for the sets of tangents
    that are not far from dependent (`SAFE_SINE`); for larger k always in float64. Where the rank is
    below k (`RANK_TOLERANCE`) the minimum-norm solution is taken from a singular value
    decomposition in float64. Only the first n of k > n tangents count.

    Args:
        tangents: [*T, k, n].
        derivatives: [*T, *B, k].
        nested: sizes m of leading subsets; ``None`` for all k tangents.
        apart: the tangents are known to be far from dependent (2 k ≤ n): nothing is looked at, so
            that a GPU need not be waited for.

    Returns:
        [*T, *B, k], with ``nested`` [*T, *B, len(nested), k]; zeros where a tangent takes no part.
        In float64 for 2 k > n: the combination V c wants the same precision.
    """
    k, n = tangents.shape[-2:]
    m = min(k, n)
    sizes = [min(size, m) for size in nested or (k,)]
    v = tangents[..., :m, :].reshape(-1, m, n)
    d = derivatives[..., :m].reshape(len(v), -1, m)
    few = 2 * m <= n and v.dtype == torch.float32
    if few and apart:
        coefficients = _substitute(_cholesky(v)[0], d, sizes)
    else:
        coefficients = (_float32 if few else _float64)(v, d, sizes)
    if m < k:
        coefficients = torch.nn.functional.pad(coefficients, (0, k - m))
    shape = (*derivatives.shape[:-1], len(sizes), k)
    return coefficients.reshape(shape if nested else derivatives.shape)


def _independent(v: Tensor) -> bool:
    """Whether every tangent of v [*, k, n] is linearly independent of those before it."""
    return bool((_cholesky(v.double())[1] > RANK_TOLERANCE).all())


def _float32(v: Tensor, d: Tensor, sizes: list[int]) -> Tensor:
    factor, sine = _cholesky(v)
    coefficients = _substitute(factor, d, sizes)
    unsafe = sine < SAFE_SINE
    if bool(unsafe.any()):
        again = _on_rows(unsafe, lambda v, d: _float64(v, d, sizes), v, d)
        coefficients[unsafe] = again.float()
    return coefficients


def _float64(v: Tensor, d: Tensor, sizes: list[int]) -> Tensor:
    v, d = v.double(), d.double()
    factor, sine = _cholesky(v)
    coefficients = _substitute(factor, d, sizes)
    deficient = sine <= RANK_TOLERANCE
    if bool(deficient.any()):
        again = _on_rows(deficient, lambda v, d: _decompose(v, d, sizes), v, d)
        coefficients[deficient] = again
    return coefficients


def _on_rows(chosen: Tensor, solve: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Solve for some rows of a batch so that a row's bits do not depend on the others chosen.

    A batch of one takes another path through the BLAS and differs in the last bits, so a lone row
    is solved beside its own copy.

    Args:
        chosen: [N], true for the rows to solve.
        solve: takes the chosen rows of every batch.
        batches: tensors [N, …].

    Returns:
        What ``solve`` returns, a row for each chosen one.
    """
    index = chosen.nonzero()[:, 0]
    rows = index.repeat(2) if len(index) == 1 else index
    return solve(*(batch[rows] for batch in batches))[: len(index)]


def _cholesky(v: Tensor) -> tuple[Tensor, Tensor]:
    """Lower Cholesky factor L of v vᵀ [*T, k, k], and how far from dependent v is [*T].

    The second is the smallest sine of an angle between a tangent and the span of those before it,
    min Lᵢᵢ/‖Lᵢ‖; zero where the factorisation breaks down. Left-looking by blocks of rows: only the
    lower half of the Gram matrix is ever computed.
    """
    *batch, k, _ = v.shape
    if k <= BLOCK:
        factor, info = torch.linalg.cholesky_ex(v @ v.mT)
        sound = info == 0
    else:
        factor, sound = v.new_zeros(*batch, k, k), torch.ones(batch, dtype=torch.bool).to(v.device)
        for i in range(0, k, BLOCK):
            j = min(i + BLOCK, k)
            panel = v[..., i:, :] @ v[..., i:j, :].mT
            if i:
                panel -= factor[..., i:, :i] @ factor[..., i:j, :i].mT
            corner, info = torch.linalg.cholesky_ex(panel[..., : j - i, :])
            sound &= info == 0
            factor[..., i:j, i:j] = corner
            if j < k:
                factor[..., j:, i:j] = torch.linalg.solve_triangular(
                    corner.mT, panel[..., j - i :, :], upper=True, left=False
                )
    sine = (factor.diagonal(dim1=-2, dim2=-1) / factor.norm(dim=-1)).amin(-1)
    return factor, sine.where(sound, 0)


def _substitute(factor: Tensor, d: Tensor, sizes: list[int]) -> Tensor:
    """c_m = L⁻ᵀ [(L⁻¹ d)₁ … (L⁻¹ d)_m, 0 …] for every m in sizes: [*T, R, k] → [*T, R, K, k]."""
    y = torch.linalg.solve_triangular(factor, d.mT, upper=False)
    if sizes == [factor.shape[-1]]:
        full: Tensor = torch.linalg.solve_triangular(factor.mT, y, upper=True)
        return full.mT.unsqueeze(-2)
    size = torch.tensor(sizes, device=y.device)
    leading = torch.arange(y.shape[-2], device=y.device)[:, None] < size
    y = (y.unsqueeze(-1) * leading[:, None, :]).flatten(-2)
    c: Tensor = torch.linalg.solve_triangular(factor.mT, y, upper=True)
    return c.reshape(*c.shape[:-1], -1, len(sizes)).movedim(-3, -1)


def _decompose(v: Tensor, d: Tensor, sizes: list[int]) -> Tensor:
    """Minimum-norm c_m for rank-deficient tangents, [N, k, n] and [N, R, k] → [N, R, K, k]."""
    lengths: Tensor = v.norm(dim=-1, keepdim=True)
    lengths = lengths.where(lengths > 0, 1)
    v, d = v / lengths, d / lengths.mT
    coefficients = d.new_zeros(*d.shape[:-1], len(sizes), d.shape[-1])
    for i, m in enumerate(sizes):
        left, s, _ = torch.linalg.svd(v[:, :m], full_matrices=False)
        inverse = torch.where(s > RANK_TOLERANCE * s[:, :1], 1 / s**2, 0)
        coefficients[..., i, :m] = ((d[..., :m] @ left) * inverse[:, None]) @ left.mT
    return coefficients / lengths.mT.unsqueeze(-2)


def _slopes(tangents: Tensor, derivatives: Tensor) -> Tensor:
    lengths: Tensor = tangents.norm(dim=-1)
    extra = derivatives.ndim - lengths.ndim
    return derivatives.abs() / lengths[(..., *[None] * extra, slice(None))]


def _select(derivatives: Tensor, keys: Tensor) -> Tensor:
    best = keys.argmax(-1, keepdim=True)
    return torch.zeros_like(derivatives).scatter(-1, best, derivatives.gather(-1, best))
