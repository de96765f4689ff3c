"""Whether forward and reverse mode derive the same function of a network, and sample by sample.

They need not: `torch.no_grad` inside a module hides its work from reverse mode alone, and a
function of the user's own may have a derivative in one mode that it has not in the other. For
the Jacobian J of the losses, tangents u and cotangents w, ⟨w, J u⟩ = ⟨Jᵀ w, u⟩: the left side is
computed in forward mode, the right side in reverse mode.

Weights that are zero hide what is behind them, as at the end of a residual branch, and labels that
are all different what equal ones would do: so both are also looked at with others.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.blocks import Blocks
from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import RefusedError, samples
from fgrad.gradients.jacobians import jvp, vjp
from fgrad.gradients.kernels import differentiable

TOLERANCE = 0.25
"""Largest difference, relative to the terms of the sums, that rounding may be blamed for."""


def agreed(blocks: Blocks, x: Any, y: Any) -> None:
    """Refuse a network on which the two modes disagree; looked at as often as it is measured.

    Whether its samples depend on one another is noted in `Found.coupled`: of any two of them, each
    is perturbed in a pass in which the other is not.

    Args:
        blocks: the network.
        x: inputs [B, …].
        y: targets [B, …].

    Raises:
        ValueError: if a block or the loss has no derivative in forward mode, or another than in
            reverse mode.
    """
    if blocks.now.compared and not blocks.now.fresh:
        return
    with blocks.looking(), blocks.kept(), torch.no_grad():
        _compare(blocks, x, y, True)
        with _others(blocks.network):
            _compare(blocks, x, y, False)
            if not blocks.whole and isinstance(y, Tensor) and y.ndim:
                with suppress(ValueError):  # a loss may want them different
                    _compare(blocks, x, y[torch.zeros(len(y), dtype=torch.long)], False)
    blocks.now.compared = True


@contextmanager
def _others(network: nn.Module) -> Iterator[None]:
    """Inside, parameters have other values, none of them zero."""
    values = [(p, p.data) for p in network.parameters()]
    try:
        for parameter, value in values:
            g = torch.Generator(value.device).manual_seed(0)
            noise = torch.randn(value.shape, generator=g, device=value.device)
            parameter.data = value + ((0.1 + 0.1 * value.abs()) * noise).to(value.dtype)
        torch.clear_autocast_cache()  # which knows a parameter, not its values
        yield
    finally:
        for parameter, value in values:
            parameter.data = value
        torch.clear_autocast_cache()


def _compare(blocks: Blocks, x: Any, y: Any, now: bool) -> None:
    """Refuse where the modes disagree; note whether samples depend on one another.

    Args:
        blocks: the network.
        x: inputs [B, …].
        y: targets [B, …].
        now: whether the weights are those the network has, and must give numbers.
    """
    many = samples(x) or blocks.now.many
    function = partial(blocks.along, x, y, many=many)
    draws = Draws()
    with differentiable(blocks.network), draws.recorded(), function() as (f, at):
        value = f(at)
    if now:
        blocks.now.draws |= bool(draws)
        blocks.now.rounding = draws.rounding
    w = _drawn(value, 0)
    with blocks.passes(draws), function() as (f, at), blocks.unchanged(), torch.enable_grad():
        leaves = tuple(one.detach().requires_grad_() for one in at)
        value = blocks.mean_loss(x, y) if blocks.whole else f(leaves)
        with draws.no_more():
            backward = vjp(value, blocks.parameters if blocks.whole else leaves, w)

    def pushed(u: list[Tensor]) -> Tensor:
        with blocks.passes(draws), function() as (f, at):
            return jvp(f, at, tuple(one[None] for one in u))[1][0]

    for seed, mask in enumerate(_masks(1 if blocks.whole else many, w.device), start=1):
        u = [_drawn(one, seed) for one in at]
        if not blocks.whole:
            u = [one * mask.view(-1, *[1] * (one.ndim - 1)) for one in u]
        forward = pushed(u)
        if not blocks.whole:
            alone = len(forward) == many and not (forward[~mask] != 0).any()
            blocks.now.coupled |= not alone
        off = _difference(forward, w, u, backward)
        if off > min(30 * _rounding(forward, draws.rounding) ** 0.5, TOLERANCE) or (
            now and math.isnan(off)
        ):
            who = _culprit(blocks, pushed, w, u, backward)
            raise RefusedError(
                f"{who} has another derivative in forward mode than in reverse mode, "
                f"{off:.1g} of it apart: forward mode does not see no_grad(), both see .detach(); "
                "mode sim needs no forward mode"
            )


def _masks(many: int, device: torch.device) -> Iterator[Tensor]:
    """Parts of a batch such that of any two samples each is once in a part without the other."""
    index = torch.arange(many, device=device)
    for bit in range(max(many - 1, 1).bit_length()):
        part = (index >> bit) % 2 == 0
        yield part
        if many > 1:
            yield ~part


def _drawn(like: Tensor, seed: int) -> Tensor:
    """Normal numbers, the same for every call."""
    g = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=g, device=like.device).to(like.dtype)


def _difference(forward: Tensor, w: Tensor, u: list[Tensor], backward: list[Tensor]) -> float:
    """Of ⟨w, J u⟩ and ⟨Jᵀ w, u⟩, relative to the terms of these sums; NaN if one has no number."""
    left = (forward.double() * w).flatten()
    right = [(v.double() * g).flatten() for v, g in zip(u, backward, strict=True)]
    sums = float(left.sum()), sum(float(one.sum()) for one in right)
    size = max(float(left.norm()), math.hypot(*(float(one.norm()) for one in right)))
    if not math.isfinite(sums[1]):  # nor has reverse mode
        return 0.0
    return abs(sums[0] - sums[1]) / size if size else 0.0


def _culprit(
    blocks: Blocks,
    pushed: Callable[[list[Tensor]], Tensor],
    w: Tensor,
    u: list[Tensor],
    backward: list[Tensor],
) -> str:
    """The last block whose derivatives differ: what comes after each output, from the last on."""
    if blocks.whole:
        return "the network"
    names = [f"block {name!r}" for name, _ in blocks.named[1:]]
    after = [*names, "the loss"]
    for i in reversed(range(len(u))):
        part = [one if j == i else torch.zeros_like(one) for j, one in enumerate(u)]
        off = _difference(pushed(part), w, part, backward)
        if not off < 1e-3:
            return after[i]
    return "the network"


def _rounding(value: Tensor, computed: float) -> float:
    """Relative rounding of what came of numbers as coarse as that, on whatever cores."""
    tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    coarse = 2.0**-10 if value.is_cuda and tf32 and value.dtype == torch.float32 else 0.0
    return max(coarse, computed, torch.finfo(value.dtype).eps)
