"""Gradients from perturbed activations: block by block, each sample with an estimate of its own.

The tangent space is the concatenation of all block outputs of one sample, n = Σ sizes. The k
tangents V of a batch are shared by its samples; sample b has its own directional derivatives
d_b = Vᵀ∇_{a_b}L and its own estimate of ∇_{a_b}L, and a block's parameter gradient is the
block-local vector-Jacobian product of that.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.agreement import agreed
from fgrad.gradients.blocks import Blocks
from fgrad.gradients.draws import Draws
from fgrad.gradients.estimators import coefficients, combine
from fgrad.gradients.explicit import Tangents, drawn
from fgrad.gradients.inputs import tensors
from fgrad.gradients.jacobians import assign, jvp, vjp
from fgrad.gradients.tail import Tail, split


def simulated(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """Directional derivatives from the true gradients of the activations.

    One forward pass through detached blocks; each block's graph serves two backward passes. The
    first carries ∇_{aᵢ}L from block to block and skips every parameter, the second brings the
    estimate to the parameters of its block and skips the block's input.

    Args:
        blocks: the chain, whose ``.grad`` are set.
        tangents: what the estimate is made with.
        x: inputs [B, …].
        y: targets [B, …].

    Returns:
        The mean loss, detached.

    Raises:
        ValueError: as `Blocks.sizes` and `Tangents.check`.
        MemoryError: as `Tangents.check`.
    """
    sizes, chain = blocks.sizes(x, y), [block for _, block in blocks.named]
    inputs: list[Any] = []
    outputs: list[Tensor] = []
    tails: list[Tail | None] = []
    for i, block in enumerate(chain):
        inputs.append(outputs[-1].detach().requires_grad_() if outputs else x)
        given = blocks.given(i, inputs[-1])
        tail = split(block, given) if tangents.k < len(given) else None
        tails.append(tail)
        outputs.append(block(given) if tail is None else tail.output())
    last = outputs[-1].detach().requires_grad_()
    loss = blocks.losses(last, y).mean()
    deltas = vjp(loss, [last])
    for a, output in zip(inputs[:0:-1], outputs[:0:-1], strict=True):
        deltas += vjp(output, [a], deltas[-1], keep=True)
    deltas.reverse()
    with tangents.in_full_precision():
        v = drawn(tangents, sum(sizes), blocks.dtype)
        parts = v.split(sizes, dim=1)
        pairs = zip(deltas, parts, strict=True)
        d = reduce(add, (a.flatten(1).to(v.dtype) @ part.mT for a, part in pairs))
        del deltas
        c = coefficients(tangents.approach, v, d)
        for block, tail, part in zip(chain, tails, parts, strict=True):
            output = outputs.pop(0)
            if tail is None:
                local(block, output, c, part)
            else:
                local_through(tail, block, output, c, part)
            del output
    return loss.detach()


def forward(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """Directional derivatives by forward mode; arguments and result as of `simulated`.

    Tangents are carried forward block by block, then one block's graph is made at a time. Where
    samples depend on one another, as in batch norm, ∂L/∂a_b is the sum over all samples of what
    follows from sample b alone: tangents are carried forward once for each sample.

    Raises:
        ValueError: as `simulated`, or if forward and reverse mode disagree on the network.
    """
    sizes = blocks.sizes(x, y)
    agreed(blocks, x, y)
    v = drawn(tangents, sum(sizes), blocks.dtype)
    draws = blocks.draws(x, y)
    inputs, losses, d = _derivatives(blocks, x, y, v, tangents.chunk, draws)
    if blocks.now.draws and not draws:  # for the first time
        draws = blocks.draws(x, y)
        inputs, losses, d = _derivatives(blocks, x, y, v, tangents.chunk, draws)
    with tangents.in_full_precision():
        c = coefficients(tangents.approach, v, d.mT / len(losses))
    with blocks.passes(draws) if draws else nullcontext():
        for i, (a, part) in enumerate(zip(inputs, v.split(sizes, dim=1), strict=True)):
            output = blocks.block(i)(a)
            with draws.no_more():
                local(blocks.named[i][1], output, c, part)
    return losses.mean()


def _derivatives(
    blocks: Blocks, x: Any, y: Any, v: Tensor, chunk: int | None, draws: Draws
) -> tuple[list[Any], Tensor, Tensor]:
    """Block inputs, losses [B], and the losses' sum derived by each sample's tangents [k, B]."""
    found = []
    for some in v.split(chunk or len(v)):
        parts, each = some.split(blocks.now.sizes, dim=1), []
        for only in range(len(next(tensors(x)))) if blocks.now.coupled else [None]:
            with blocks.passes(draws), torch.no_grad():
                inputs, losses, d = push(blocks, x, y, parts, only)
            each.append(d if only is None else d.sum(1, keepdim=True))
        found.append(torch.cat(each, 1).to(v.dtype))
    return inputs, losses, torch.cat(found)


def push(
    blocks: Blocks, x: Any, y: Any, parts: Sequence[Tensor], only: int | None = None
) -> tuple[list[Any], Tensor, Tensor]:
    """Carry tangents through the chain, ȧᵢ = Jᵢ ȧᵢ₋₁ + vᵢ.

    Args:
        blocks: the chain.
        x: inputs [B, …].
        y: targets [B, …].
        parts: the tangents' part at each block's output, [k, size].
        only: the one sample whose activations are perturbed; every sample's for ``None``.

    Returns:
        Block inputs, losses [B], and the tangents of the losses [k, B].
    """
    inputs: list[Any] = []
    a, tangent = x, torch.zeros(())
    for i, ((name, _), part) in enumerate(zip(blocks.named, parts, strict=True)):
        inputs.append(a)
        if i == 0:
            a = blocks.frozen(i)(a)
        else:
            a, tangent = jvp(blocks.frozen(i), a, tangent.to(a.dtype), f"block {name!r}")
        new = part.view(-1, 1, *a.shape[1:]).expand(-1, *a.shape)
        if only is not None:
            alone = torch.arange(len(a), device=a.device) == only
            new = new * alone.view(-1, *[1] * (a.ndim - 1))
        tangent = new + tangent.to(new.dtype)
    losses, d = jvp(lambda a: blocks.losses(a, y), a, tangent.to(a.dtype), "the loss")
    return inputs, losses, d


def local(block: nn.Module, output: Tensor, c: Tensor, part: Tensor) -> None:
    """Parameter gradients of one block from the estimate C V of its output's gradient.

    Args:
        block: whose ``.grad`` are set.
        output: [B, …], with its graph.
        c: coefficients C [B, k].
        part: the tangents' part at this output, V [k, size].
    """
    parameters = [p for p in block.parameters() if p.requires_grad]
    if parameters:
        estimate = combine(c, part).view(output.shape).to(output.dtype)
        assign(parameters, vjp(output, parameters, estimate))


def local_through(tail: Tail, block: nn.Module, output: Tensor, c: Tensor, part: Tensor) -> None:
    """As `local`, for a block that ends in a linear layer: the cheap way through its `Tail`."""
    parameters = [p for p in block.parameters() if p.requires_grad]
    estimate = combine(c, part).view(output.shape).to(output.dtype)
    weight, bias, hidden = tail.gradients(c.to(part.dtype), part)
    # the layer's weight may have a part in what is before it too
    derived = [(a, g) for a, g in ((tail.skip, estimate), (tail.hidden, hidden)) if a.requires_grad]
    if derived:
        assign(parameters, vjp([a for a, _ in derived], parameters, [g for _, g in derived]))
    assign([tail.layer.weight], [weight])
    if tail.layer.bias is not None:
        assign([tail.layer.bias], [bias])
