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
from fgrad.gradients.perturbed import along

TOGETHER = 4
"""Tangents of one pass."""

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
    modes = blocks.now.modes
    if modes.compared and (blocks.now.calls == 1 or not blocks.now.fresh):
        return
    with blocks.looking(), blocks.kept(), torch.no_grad():
        _compare(blocks, x, y, first=not modes.compared, now=True)
        with suppress(Exception), _others(blocks.network):  # which may be none it can have
            _compare(blocks, x, y)
        if not blocks.whole and isinstance(y, Tensor) and y.ndim:
            with suppress(Exception), _others(blocks.network):  # a loss may want them different
                _compare(blocks, x, y[torch.zeros(len(y), dtype=torch.long)])
        if modes.disagreement:
            raise RefusedError(modes.disagreement)
    modes.compared = True


@contextmanager
def _others(network: nn.Module, relative: float = 0.1) -> Iterator[None]:
    """Inside, parameters have other values, none of them zero."""
    values = [(p, p.data) for p in network.parameters() if p.requires_grad]
    try:
        for seed, (parameter, value) in enumerate(values):
            fan_in = max(1, value.numel() // max(1, len(value))) if value.ndim else 1
            size = (float(value.std()) if value.numel() > 1 else 0.0) or fan_in**-0.5
            parameter.data = value + relative * size * _drawn(value, seed)
        torch.clear_autocast_cache()  # which knows a parameter, not its values
        yield
    finally:
        for parameter, value in values:
            parameter.data = value
        torch.clear_autocast_cache()


def _compare(blocks: Blocks, x: Any, y: Any, *, first: bool = False, now: bool = False) -> None:
    """Note whether the modes disagree and whether samples depend on one another.

    Args:
        blocks: the network.
        x: inputs [B, …].
        y: targets [B, …].
        first: whether all pairs of samples are looked at.
        now: whether the weights are those the network has, and must give numbers.
    """
    many, modes = samples(x) or blocks.now.many, blocks.now.modes
    function = partial(along, blocks, x, y, many=many)
    draws = Draws()
    with differentiable(blocks.network), draws.recorded(), function() as (f, at):
        value = f(at)
    w = _drawn(value, 0)
    if now:
        blocks.now.draws |= bool(draws)
        modes.rounding, modes.disagreement = draws.rounding, ""

    def back() -> list[Tensor]:
        with blocks.passes(draws), function() as (f, at), blocks.unchanged(), torch.enable_grad():
            leaves = tuple(one.detach().requires_grad_() for one in at)
            value = blocks.mean_loss(x, y) if blocks.whole else f(leaves)
            with draws.no_more():
                return vjp(value, blocks.parameters if blocks.whole else leaves, w)

    def pushed(u: list[Tensor]) -> Tensor:
        with blocks.passes(draws), function() as (f, at):
            return jvp(f, at, tuple(u))[1]

    backward = back()
    masks = _masks(1 if blocks.whole else many, first, w.device)
    for start in range(0, len(masks), TOGETHER):
        some = masks[start : start + TOGETHER]
        u = [
            torch.stack([_drawn(one, seed) for seed in range(start, start + len(some))])
            for one in at
        ]
        if not blocks.whole:
            u = [one * some.view(*some.shape, *[1] * (one.ndim - 2)) for one in u]
        forward = pushed(u)
        if not blocks.whole:
            modes.coupled |= forward.shape[1] != many or bool((forward[~some] != 0).any())
        for j in range(len(some)):
            one = [v[j] for v in u]
            if _apart(forward[j], w, one, backward, back, blocks, draws.rounding, now):
                who = _culprit(blocks, pushed, w, one, backward)
                modes.disagreement = (
                    f"{who} has another derivative in forward mode than in reverse mode: "
                    "forward mode does not see no_grad(), both see .detach(); mode sim needs no "
                    "forward mode"
                )
                return


def _apart(
    forward: Tensor,
    w: Tensor,
    u: list[Tensor],
    backward: list[Tensor],
    back: Callable[[], list[Tensor]],
    blocks: Blocks,
    rounding: float,
    now: bool,
) -> bool:
    """Whether ⟨w, J u⟩ and ⟨Jᵀ w, u⟩ differ by more than rounding.

    That is judged by the terms of these sums, and, where these are what is left of larger ones, by
    what becomes of the right side when weights change in their last digits.
    """
    left = (forward.double() * w).flatten()
    right = _terms(u, backward)
    off = abs(float(left.sum()) - float(right.sum()))
    size = max(float(left.norm()), float(right.norm()))
    if not math.isfinite(float(right.sum())):  # nor has reverse mode a number
        return False
    if not math.isfinite(off):
        return now
    rounding = _rounding(forward, rounding)
    if off <= min(30 * rounding**0.5, TOLERANCE) * size:
        return False
    # 1 − p of a fitted network has few digits left, however large what it comes of
    length = math.hypot(*(float(one.norm()) for one in u))
    if off <= 100 * rounding * float(w.norm()) * min(length, 100.0):
        return False
    noise = 0.0
    for times in (1, 2, 4):
        with _others(blocks.network, 4 * times * rounding):
            noise = max(noise, abs(float(_terms(u, back()).sum() - right.sum())))
    return off > 30 * noise


def _terms(u: list[Tensor], backward: list[Tensor]) -> Tensor:
    return torch.cat([(v.double() * g).flatten() for v, g in zip(u, backward, strict=True)])


def _masks(many: int, all_pairs: bool, device: torch.device) -> Tensor:
    """Parts of a batch [M, B]: of any two samples each is once in a part without the other.

    Without ``all_pairs`` that is so of every second pair, which is enough to see what all share.
    """
    index, parts = torch.arange(many, device=device), []
    for bit in range(max(many - 1, 1).bit_length() if all_pairs else 1):
        part = (index >> bit) % 2 == 0
        parts += [part, ~part] if many > 1 else [part]
    return torch.stack(parts)


def _drawn(like: Tensor, seed: int) -> Tensor:
    """Normal numbers, the same for every call."""
    g = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=g, device=like.device).to(like.dtype)


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
    after = [*(f"block {name!r}" for name, _ in blocks.named[1:]), "the loss"]
    for i in reversed(range(len(u))):
        part = [one if j == i else torch.zeros_like(one) for j, one in enumerate(u)]
        left = (pushed([one[None] for one in part])[0].double() * w).flatten()
        right = _terms(part, backward)
        if not abs(float(left.sum() - right.sum())) < 1e-3 * float(right.norm()):
            return after[i]
    return "the network"


def _rounding(value: Tensor, computed: float) -> float:
    """Relative rounding of what came of numbers as coarse as that, on whatever cores."""
    tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    coarse = 2.0**-10 if value.is_cuda and tf32 and value.dtype == torch.float32 else 0.0
    return max(coarse, computed, torch.finfo(value.dtype).eps)
