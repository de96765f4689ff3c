"""The best of k tangents by its cosine to ∇f: the projection onto that line alone.

|cos(v_i, ∇f)| = |d_i| / (‖v_i‖ ‖∇f‖), so that the largest |d_i|/‖v_i‖ tells which it is, and the
projection of ∇f onto it is d_i/‖v_i‖² · v_i. (fgrad's ``max-normalized`` takes d_i v_i, which is
longer by ‖v_i‖², about n.)

Source: the paper, section 3, on choosing among tangents.
"""

import torch
from torch import Tensor


def best_of_k(tangents: Tensor, derivatives: Tensor) -> Tensor:
    """Coefficients [*T, *B, k] from tangents [*T, k, n] and derivatives [*T, *B, k]."""
    lengths = tangents.norm(dim=-1)
    more = derivatives.ndim - lengths.ndim
    lengths = lengths.reshape(*lengths.shape[:-1], *[1] * more, lengths.shape[-1])
    best = (derivatives.abs() / lengths).argmax(-1, keepdim=True)
    projected = derivatives / lengths.square()
    return torch.zeros_like(derivatives).scatter(-1, best, projected.gather(-1, best))
