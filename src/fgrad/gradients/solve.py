"""Linear algebra of the projection onto a span of tangents: Cholesky, QR, SVD, stable batches.

The coefficients c of P_U(∇f) = V c solve the normal equations VᵀV c = d. A Cholesky factorisation
does it where the tangents are independent, a singular value decomposition where they are not, and
where ∇f itself is known Householder's QR needs no normal equations at all.

Shapes: tangents v [N, k, n] (rows are tangents), derivatives d = Vᵀ∇f of shape [N, R, k], of R
gradients that share the tangents; coefficients [N, R, K, k] for K sizes of leading subsets.

Source: Golub and Van Loan, Matrix Computations, 4th ed., sections 4.2, 5.2 and 5.5.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

RANK_TOLERANCE = 1e-6
"""Linearly dependent: sine of a tangent's angle to the span of those before it below this."""

SAFE_SINE = 0.5
"""Float32 is enough for the projection if every such sine is at least this (30°)."""

BLOCK = 64
"""Rows of the Gram matrix that are factorised at a time."""


def independent(v: Tensor) -> bool:
    """Whether every tangent is linearly independent of those before it, by `RANK_TOLERANCE`.

    Args:
        v: [*, k, n] with k ≤ n.
    """
    return bool((cholesky(v.double())[1] > RANK_TOLERANCE).all())


Factor = tuple[Tensor, Tensor]
"""What `cholesky` gives."""


def in_float32(v: Tensor, d: Tensor, sizes: Sequence[int], known: Factor | None = None) -> Tensor:
    """Coefficients in float32, those of tangents not far from dependent by way of `in_float64`.

    Args:
        v: [N, k, n], float32.
        d: [N, R, k].
        sizes: K sizes m ≤ k of leading subsets.
        known: `cholesky` of v, if it has been done.

    Returns:
        [N, R, K, k], zeros from m on.
    """
    factor, sine = known or cholesky(v)
    coefficients = substitute(factor, d, sizes)
    unsafe = sine < SAFE_SINE
    if bool(unsafe.any()):
        again = on_rows(unsafe, lambda v, d: in_float64(v, d, sizes), v, d)
        coefficients[unsafe] = again.float()
    return coefficients


def in_float64(v: Tensor, d: Tensor, sizes: Sequence[int], known: Factor | None = None) -> Tensor:
    """Coefficients in float64, those of dependent tangents by `decompose`; as `in_float32`."""
    v, d = v.double(), d.double()
    factor, sine = known or cholesky(v)
    coefficients = substitute(factor, d, sizes)
    deficient = sine <= RANK_TOLERANCE
    if bool(deficient.any()):
        again = on_rows(deficient, lambda v, d: decompose(v, d, sizes), v, d)
        coefficients[deficient] = again
    return coefficients


def on_rows(chosen: Tensor, solve: Callable[..., Tensor], *batches: Tensor) -> Tensor:
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


def cholesky(v: Tensor) -> Factor:
    """Lower Cholesky factor L of the Gram matrix, v vᵀ = L Lᵀ, and how far from dependent v is.

    Args:
        v: [*T, k, n].

    Returns:
        L [*T, k, k], and the smallest sine of an angle between a tangent and the span of those
        before it, min Lᵢᵢ/‖Lᵢ‖ [*T]; zero where the factorisation breaks down.
    """
    factor, failures = factorise(v)
    sine = (factor.diagonal(dim1=-2, dim2=-1) / factor.norm(dim=-1)).amin(-1)
    return factor, sine.where(failures == 0, 0)


def factorise(v: Tensor) -> tuple[Tensor, Tensor]:
    """L of `cholesky`, and where it breaks down: not zero [*T].

    Left-looking by blocks of rows: only the lower half of the Gram matrix is ever computed.
    """
    k = v.shape[-2]
    if k <= BLOCK:
        factor, failures = torch.linalg.cholesky_ex(v @ v.mT)
        return factor, failures
    factor = v.new_zeros(*v.shape[:-1], k)
    failures = torch.zeros(v.shape[:-2], dtype=torch.int32, device=v.device)
    for i in range(0, k, BLOCK):
        j = min(i + BLOCK, k)
        panel = v[..., i:, :] @ v[..., i:j, :].mT
        if i:
            panel -= factor[..., i:, :i] @ factor[..., i:j, :i].mT
        corner, info = torch.linalg.cholesky_ex(panel[..., : j - i, :])
        failures += info
        factor[..., i:j, i:j] = corner
        if j < k:
            factor[..., j:, i:j] = torch.linalg.solve_triangular(
                corner.mT, panel[..., j - i :, :], upper=True, left=False
            )
    return factor, failures


def substitute(factor: Tensor, d: Tensor, sizes: Sequence[int]) -> Tensor:
    """Coefficients of every leading subset, c_m = L⁻ᵀ [(L⁻¹ d)₁ … (L⁻¹ d)_m, 0 …].

    Args:
        factor: L of `cholesky`, [*T, k, k].
        d: [*T, R, k].
        sizes: K sizes m ≤ k.

    Returns:
        [*T, R, K, k].
    """
    y = torch.linalg.solve_triangular(factor, d.mT, upper=False)
    if list(sizes) == [factor.shape[-1]]:
        full: Tensor = torch.linalg.solve_triangular(factor.mT, y, upper=True)
        return full.mT.unsqueeze(-2)
    size = torch.tensor(sizes, device=y.device)
    leading = torch.arange(y.shape[-2], device=y.device)[:, None] < size
    y = (y.unsqueeze(-1) * leading[:, None, :]).flatten(-2)
    c: Tensor = torch.linalg.solve_triangular(factor.mT, y, upper=True)
    return c.reshape(*c.shape[:-1], -1, len(sizes)).movedim(-3, -1)


def decompose(v: Tensor, d: Tensor, sizes: Sequence[int]) -> Tensor:
    """Coefficients of least norm for dependent tangents, by a singular value decomposition.

    Args:
        v: [N, k, n], float64.
        d: [N, R, k], float64.
        sizes: K sizes m ≤ k of leading subsets.

    Returns:
        [N, R, K, k], zeros from m on.
    """
    lengths: Tensor = v.norm(dim=-1, keepdim=True)
    lengths = lengths.where(lengths > 0, 1)
    v, d = v / lengths, d / lengths.mT
    coefficients = d.new_zeros(*d.shape[:-1], len(sizes), d.shape[-1])
    for i, m in enumerate(sizes):
        left, s, _ = torch.linalg.svd(v[:, :m], full_matrices=False)
        inverse = torch.where(s > RANK_TOLERANCE * s[:, :1], 1 / s**2, 0)
        coefficients[..., i, :m] = ((d[..., :m] @ left) * inverse[:, None]) @ left.mT
    return coefficients / lengths.mT.unsqueeze(-2)


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
            d = gradient.unsqueeze(-2) @ v.mT
            return in_float64(v, d, nested).squeeze(-3) @ v

        again = on_rows(unsure, solve, gradient.double(), directions.double())
        projected[unsure] = again.to(projected.dtype)
    return projected
