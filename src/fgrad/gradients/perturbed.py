"""The losses as functions of what tangents perturb: block outputs of a chain, or weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from fgrad.gradients.blocks import Blocks
from fgrad.gradients.inputs import FAILED, RefusedError, handed
from fgrad.gradients.jacobians import not_forward


@contextmanager
def along(
    blocks: Blocks, x: Any, y: Any, *, many: int = 1, only: int | None = None
) -> Iterator[tuple[Callable[[Any], Tensor], tuple[Tensor, ...]]]:
    """What tangents perturb, as the argument of a function that leaves the state as it was.

    Args:
        blocks: the network.
        x: inputs [B, …].
        y: targets [B, …].
        many: leading dimension of what is added to each block's output; B, or 1 for the same
            to all samples.
        only: the one sample that it is added to.

    Returns:
        Of a whole network the mean loss [] and the parameters' values; of a chain the losses
        [B] and zeros, which are added to the output of each block.
    """
    if blocks.whole:
        names = [name for name, p in blocks.network.named_parameters() if p.requires_grad]
        yield partial(_at, blocks, x, y, names), tuple(p.detach() for p in blocks.parameters)
        return
    device = blocks.parameters[0].device
    zeros = [
        torch.zeros((many, *shape), dtype=blocks.dtype, device=device)
        for shape in blocks.now.shapes
    ]
    with blocks.unchanged():
        start = blocks.named[0][1](blocks.given(0, x))  # which no tangent goes through
        yield partial(_from, blocks, start, y, only), tuple(zeros)


def _at(blocks: Blocks, x: Any, y: Any, names: list[str], values: tuple[Tensor, ...]) -> Tensor:
    with blocks.unchanged():
        positions, keywords = handed(blocks.network, blocks.given(0, x))
        named = dict(zip(names, values, strict=True))
        outputs = functional_call(blocks.network, named, positions, keywords)
        return blocks.losses(outputs, y).mean()


def _from(blocks: Blocks, a: Tensor, y: Any, only: int | None, added: tuple[Tensor, ...]) -> Tensor:
    with blocks.unchanged():
        for i, ((name, block), part) in enumerate(zip(blocks.named, added, strict=True)):
            if i:
                try:
                    a = block(blocks.given(i, a))
                except RefusedError:
                    raise
                except FAILED as error:
                    raise not_forward(f"block {name!r}", error) from None
            here = part if only is None else part * _one(only, a)
            a = a + here.to(a.dtype)
        return blocks.losses(a, y)


def _one(only: int, a: Tensor) -> Tensor:
    """1 for one sample of a [B, …] and 0 for the others: [B, 1, …]."""
    chosen = torch.arange(len(a), device=a.device).eq(only)
    return chosen.view(-1, *[1] * (a.ndim - 1))
