"""Orthonormal random directions: the Q of normal tangents' QR decomposition, uniform on all frames.

Their span has the law of that of normal tangents, and the sum of d_i v_i is the projection onto it:
frog without a linear system. With ``aggregation: mean-times-n`` the estimate is unbiased.

Source: Kozak, Becker, Doostan, Tenorio, A stochastic subspace approach to gradient-free
optimization in high dimensions, Computational Optimization and Applications 79, 2021.
"""

import torch
from torch import Tensor


def orthonormal(size: tuple[int, ...], generator: torch.Generator, *, dtype: torch.dtype) -> Tensor:
    """Tangents [*, k, n] with k ≤ n, orthonormal rows in each set."""
    k, n = size[-2:]
    if k > n:
        raise ValueError(f"k = {k}: {n} is the most orthonormal tangents in n = {n}")
    v = torch.randn(size, generator=generator, dtype=dtype, device=generator.device)
    return torch.linalg.qr(v.mT)[0].mT
