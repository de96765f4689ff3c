"""Tangent samplers: k directions in Rⁿ along which directional derivatives are taken.

Every sampler returns rows: a tensor of shape [*batch, k, n], Vᵀ in the paper's notation. One
generator gives ``batch = ()``; a sequence of S generators gives ``batch = (S,)``, entry s drawn
from generator s alone, so that a seed's tangents never depend on the seeds computed beside it.

Source: the paper, sections 3 and 4.3.

Examples:
    >>> generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    >>> normal((4, 100), generators).shape  # four tangents in R¹⁰⁰ for each seed
    torch.Size([2, 4, 100])
    >>> basis((2, 3), generators[0])
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator]
Size = tuple[int, ...]
Fill = Callable[[Tensor, torch.Generator], object]


def normal(size: Size, generator: Generators, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent tangents v ~ N(0, I).

    Args:
        size: [*, k, n] of what each generator draws.
        generator: one, or a sequence of them (adds a leading dimension). The tangents live on its
            device.
        dtype: of the result.

    Returns:
        [(S,) *, k, n].
    """
    return _fill(size, generator, dtype, lambda out, g: out.normal_(generator=g))


def rademacher(size: Size, generator: Generators, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent entries ±1 with probability ½ each; arguments as in `normal`."""
    return (
        _fill(size, generator, dtype, lambda out, g: out.random_(0, 2, generator=g)).mul_(2).sub_(1)
    )


def basis(size: Size, generator: Generators, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """The first k standard basis vectors e₁ … e_k; nothing is drawn, arguments as in `normal`.

    Raises:
        ValueError: if k > n.
    """
    *_, k, n = size
    _at_most_n("basis", k, n)
    return _fill(size, generator, dtype, lambda out, _: out.copy_(torch.eye(k, n)))


def angle(
    size: Size,
    generator: Generators,
    *,
    angle: float,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""Unit tangents at a fixed angle to the first.

    v₁ is uniform on the sphere. Every other vᵢ starts uniform too and is rotated in the plane
    (v₁, vᵢ) until its angle to v₁ is α:

    $$v_i = \cos\alpha \; v_1 + \sin\alpha \; w_i, \qquad w_i \perp v_1.$$

    Args:
        size: as in `normal`.
        generator: as in `normal`.
        angle: α in degrees, 0 < α < 180.
        dtype: of the result.

    Returns:
        [(S,) *, k, n], every row of norm 1.

    Raises:
        ValueError: if n < 2 and k > 1, where no second direction exists.
    """
    *_, k, n = size
    if n < 2 <= k:
        raise ValueError(f"tangents at an angle need n ≥ 2, not n = {n}")
    tangents = normal(size, generator, dtype=dtype)
    first = tangents[..., :1, :]
    first /= first.norm(dim=-1, keepdim=True)
    rest = tangents[..., 1:, :]
    # Twice is enough: one pass leaves rounding errors of the size of float32 along v₁.
    for _ in range(2):
        rest -= (rest * first).sum(-1, keepdim=True) * first
        rest /= rest.norm(dim=-1, keepdim=True)
    alpha = math.radians(angle)
    rest.mul_(math.sin(alpha)).add_(first, alpha=math.cos(alpha))
    return tangents


def orthogonal(
    size: Size,
    generator: Generators,
    *,
    max_length: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Distinct random standard basis vectors, each scaled by U[1, L].

    Args:
        size: as in `normal`.
        generator: as in `normal`.
        max_length: L ≥ 1.
        dtype: of the result.

    Returns:
        [(S,) *, k, n], rows orthogonal to each other.

    Raises:
        ValueError: if k > n.
    """
    *_, k, n = size
    _at_most_n("orthogonal", k, n)

    def fill(out: Tensor, g: torch.Generator) -> None:
        keys = torch.empty(*out.shape[:-2], n, device=out.device).uniform_(generator=g)
        lengths = torch.empty(*out.shape[:-1], 1, dtype=dtype, device=out.device)
        index = keys.argsort(-1)[..., :k, None]
        out.zero_().scatter_(-1, index, lengths.uniform_(1, max_length, generator=g))

    return _fill(size, generator, dtype, fill)


def _fill(size: Size, generator: Generators, dtype: torch.dtype, fill: Fill) -> Tensor:
    if isinstance(generator, torch.Generator):
        tangents = torch.empty(size, dtype=dtype, device=generator.device)
        fill(tangents, generator)
        return tangents
    tangents = torch.empty(len(generator), *size, dtype=dtype, device=generator[0].device)
    for out, g in zip(tangents, generator, strict=True):
        fill(out, g)
    return tangents


def _at_most_n(sampler: str, k: int, n: int) -> None:
    if k > n:
        raise ValueError(f"the sampler {sampler!r} has n = {n} tangents, not k = {k}")
