"""Whether forward and reverse mode derive the same function of a network.

They need not: `torch.no_grad` inside a module hides its work from reverse mode alone, and a
function of the user's own may have a derivative in one mode that it has not in the other. For
the Jacobian J of every block, tangents u and cotangents w, ⟨w, J u⟩ = ⟨Jᵀ w, u⟩: the left side is
computed in forward mode, the right side in reverse mode, once for each kind of input.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fgrad.gradients.blocks import Blocks
from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import mapped, tensors
from fgrad.gradients.jacobians import jvp, vjp
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.state import same_random

TANGENTS = 4
"""Random ones, so that a difference of few entries is not orthogonal to all of them."""


def agreed(blocks: Blocks, x: Any, y: Any) -> None:
    """Refuse a network on which the two modes disagree; looked at once for each kind of input.

    Whether its samples depend on one another is noted in `Found.coupled`: every second one is
    perturbed, and the others must not move.

    Args:
        blocks: the network.
        x: inputs [B, …].
        y: targets [B, …].

    Raises:
        ValueError: if a block or the loss has no derivative in forward mode, or another than in
            reverse mode.
    """
    blocks.sizes(x, y)
    if blocks.now.coupled is not None:
        return
    with same_random(blocks.network), torch.no_grad():
        if blocks.whole:
            f, values = blocks.of_weights(x, y)
            plain = partial(blocks.mean_loss, x, y)
            blocks.now.coupled = _compare(blocks, f, values, "the network", plain)
            return
        a = blocks.frozen(0)(x)
        coupled = False
        for i, (name, _) in enumerate(blocks.named[1:], start=1):
            coupled |= _compare(blocks, blocks.frozen(i), a, f"block {name!r}")
            a = blocks.frozen(i)(a)
        coupled |= _compare(blocks, lambda a: blocks.losses(a, y), a, "the loss")
    blocks.now.coupled = coupled


def _compare(
    blocks: Blocks,
    f: Callable[[Any], Tensor],
    at: Any,
    what: str,
    plain: Callable[[], Tensor] | None = None,
) -> bool:
    """Refuse f where the modes disagree; whether its samples depend on one another.

    Reverse mode derives f at copies of ``at``, or a plain pass of a network by its parameters.
    """
    generator = torch.Generator(next(tensors(at)).device).manual_seed(0)

    def drawn(one: Tensor, *size: int) -> Tensor:
        v = torch.randn((*size, *one.shape), generator=generator, device=one.device)
        return v.to(one.dtype)

    draws = Draws()
    with differentiable(blocks.network), draws.recorded():
        value = f(at)
    w = drawn(value)
    leaves = mapped(lambda one: one.detach().requires_grad_(), at)
    with blocks.passes(draws), torch.enable_grad(), blocks.unchanged():
        value = plain() if plain else f(leaves)
        with draws.no_more():
            backward = vjp(value, blocks.parameters if plain else list(tensors(leaves)), w)
    coupled, off, size = False, 0.0, 0.0
    for _ in range(TANGENTS):
        u = mapped(lambda one: drawn(one, 1), at)
        if not blocks.whole:
            u[:, 1::2] = 0
        with blocks.passes(draws):
            forward = jvp(f, at, u, what)[1]
        coupled |= not blocks.whole and bool((forward[:, 1::2] != 0).any())
        left = (forward[0].double() * w).flatten()
        right = [(v.double() * g).flatten() for v, g in zip(tensors(u), backward, strict=True)]
        difference = abs(float(left.sum()) - sum(float(one.sum()) for one in right))
        if difference >= off:
            off = difference
            size = max(float(left.norm()), sum(float(one.norm()) ** 2 for one in right) ** 0.5)
    if off > 3 * _rounding(forward, draws.rounding) ** 0.5 * size:
        raise ValueError(
            f"{what} has another derivative in forward mode than in reverse mode, "
            f"{off / size:.1g} of it apart: forward mode does not see no_grad(), both see "
            ".detach(); mode sim needs no forward mode"
        )
    return coupled


def _rounding(value: Tensor, computed: float) -> float:
    """Relative rounding of what came of numbers as coarse as that, on whatever cores."""
    tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    coarse = 2.0**-10 if value.is_cuda and tf32 and value.dtype == torch.float32 else 0.0
    return max(coarse, computed, torch.finfo(value.dtype).eps)
