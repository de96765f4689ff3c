"""Gradients from perturbed activations: block by block, each sample with an estimate of its own.

The tangent space is the concatenation of all block outputs of one sample, n = Σ sizes. The k
tangents V of a batch are shared by its samples; sample b has its own directional derivatives
d_b = Vᵀ∇_{a_b}L and its own estimate of ∇_{a_b}L, and a block's parameter gradient is the
block-local vector-Jacobian product of that.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from contextlib import nullcontext
from functools import partial, reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.agreement import agreed
from fgrad.gradients.blocks import Blocks
from fgrad.gradients.draws import Draws
from fgrad.gradients.estimators import coefficients, combine
from fgrad.gradients.explicit import Tangents, drawn
from fgrad.gradients.inputs import samples
from fgrad.gradients.jacobians import assign, jvp, vjp
from fgrad.gradients.perturbed import along
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
    sizes, chain = blocks.now.sizes, [block for _, block in blocks.named]
    inputs: list[Any] = []
    outputs: list[Tensor] = []
    tails: list[Tail | None] = []
    for i, block in enumerate(chain):
        inputs.append(outputs[-1].detach().requires_grad_() if outputs else x)
        given = blocks.given(i, inputs[-1])
        tail = split(block, given) if tangents.k < (samples(given) or 0) else None
        outputs.append(block(given) if tail is None else tail.output())
        tails.append(tail if tail is None or tail.short else None)
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
        tangents.learn(c, v)
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

    Tangents are carried forward through the chain, ȧᵢ = Jᵢ ȧᵢ₋₁ + vᵢ, then one block's graph is
    made at a time. Where samples depend on one another, as in batch norm, ∂L/∂a_b is the sum over
    all samples of what follows from sample b alone: tangents are carried once for each sample.

    Raises:
        ValueError: as `simulated`, if forward and reverse mode disagree on the network, or if more
            tangents are asked for than its rounding allows.
    """
    agreed(blocks, x, y)
    sizes = blocks.now.sizes
    tangents.check_rounding(sum(sizes), blocks.now.modes.rounding)
    v = drawn(tangents, sum(sizes), blocks.dtype)
    work = partial(_derivatives, blocks, x, y, v, tangents.chunk)
    draws, (d, many) = blocks.with_draws(x, y, work)
    with tangents.in_full_precision():
        c = coefficients(tangents.approach, v, d.mT / many)
        tangents.learn(c, v)
    with blocks.passes(draws) if draws else nullcontext():
        a = x
        for i, ((_, block), part) in enumerate(zip(blocks.named, v.split(sizes, 1), strict=True)):
            output = block(blocks.given(i, a))
            with draws.no_more():
                local(block, output, c, part)
            a = output.detach()
        return blocks.losses(a, y).mean()


def _derivatives(
    blocks: Blocks, x: Any, y: Any, v: Tensor, chunk: int | None, draws: Draws
) -> tuple[Tensor, int]:
    """Of the losses' sum along each sample's tangents [k, B], and how many losses there are."""
    found = []
    for some in v.split(chunk or len(v)):
        shapes, each = blocks.now.shapes, []
        pairs = zip(some.split(blocks.now.sizes, dim=1), shapes, strict=True)
        parts = tuple(part.view(len(part), 1, *shape) for part, shape in pairs)
        for only in range(samples(x) or blocks.now.many) if blocks.now.modes.coupled else [None]:
            with (
                blocks.passes(draws),
                torch.no_grad(),
                along(blocks, x, y, only=only) as (f, zeros),
            ):
                losses, d = jvp(f, zeros, parts)
            each.append(d if only is None else d.sum(1, keepdim=True))
        found.append(torch.cat(each, 1).to(v.dtype))
    return torch.cat(found), len(losses)


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
    assign(parameters, vjp([tail.skip, tail.hidden], parameters, [estimate, hidden]))
    assign([tail.layer.weight], [weight])
    if tail.layer.bias is not None:
        assign([tail.layer.bias], [bias])
