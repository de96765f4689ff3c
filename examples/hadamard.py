"""Structured orthogonal directions: random rows of a Hadamard matrix with random signs, H D.

k n numbers from n + k random ones; entries are ±1, so that each tangent has the length √n.

Source: Choromanski, Rowland, Sindhwani, Turner, Weller, Structured evolution with compact
architectures for scalable policy optimization, ICML 2018.
"""

import torch
from torch import Tensor


def hadamard(size: tuple[int, ...], generator: torch.Generator, *, dtype: torch.dtype) -> Tensor:
    """Tangents [*, k, n], k ≤ n a power of two: rows of H D, orthogonal in each set."""
    *sets, k, n = size
    if n & (n - 1) or k > n:
        raise ValueError(f"k = {k}, n = {n}: rows of a Hadamard matrix need k ≤ n = 2, 4, 8 …")
    here = {"generator": generator, "device": generator.device}
    many = int(torch.tensor(sets).prod())
    columns = torch.arange(n, device=generator.device)
    signs = torch.randint(2, (many, 1, n), **here)
    rows = torch.rand(many, n, **here).argsort(-1)[:, :k, None]
    # Sylvester's H: the sign at (i, j) is the parity of the ones that i and j share
    shared = rows & columns
    parity = signs
    while bool(shared.any()):
        parity, shared = parity ^ (shared & 1), shared >> 1
    return (1 - 2 * parity).to(dtype).view(size)
