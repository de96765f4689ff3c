"""Gradients from perturbed activations: block by block, each sample with an estimate of its own.

The tangent space is the concatenation of all block outputs of one sample, n = Σ sizes. The k
tangents V of a batch are shared by its samples; sample b has its own directional derivatives
d_b = Vᵀ∇_{a_b}L and its own estimate of ∇_{a_b}L, and a block's parameter gradient is the
block-local vector-Jacobian product of that.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.agreement import agreed
from fgrad.gradients.blocks import Blocks
from fgrad.gradients.dense import Dense, through
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
    applied: list[Applied] = []
    a = x
    for i, block in enumerate(chain):
        inputs.append(a)
        applied.append(_apply(block, blocks.given(i, a), tangents.k))
        a = applied[-1].output.detach().requires_grad_()
    loss = blocks.losses(a, y).mean()
    deltas = vjp(loss, [a])
    for a, one in zip(inputs[:0:-1], applied[:0:-1], strict=True):
        deltas.append(one.back(a, deltas[-1]))
    deltas.reverse()
    with tangents.in_full_precision():
        v = drawn(tangents, sum(sizes), blocks.dtype)
        parts = v.split(sizes, dim=1)
        pairs = zip(deltas, parts, strict=True)
        d = reduce(add, (a.flatten(1).to(v.dtype) @ part.mT for a, part in pairs))
        del deltas
        c = coefficients(tangents.approach, v, d)
        tangents.learn(c, v)
        for part in parts:
            applied.pop(0).assign(c, part)
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
        assign(parameters, vjp(output, parameters, estimated(output, c, part)))


def estimated(output: Tensor, c: Tensor, part: Tensor) -> Tensor:
    """C V in the shape and precision of an output."""
    return combine(c, part).view(output.shape).to(output.dtype)


@dataclass(frozen=True)
class Applied:
    """A block that has been applied, and its two backward passes.

    Args:
        block: whose ``.grad`` are set.
        output: [B, …], with its graph unless the block is dense.
        shortcut: a cheaper way back than the graph.
    """

    block: nn.Module
    output: Tensor
    shortcut: Dense | Tail | None = None

    def back(self, a: Tensor, delta: Tensor) -> Tensor:
        """From a cotangent of the output to that of the input a [B, …]."""
        if isinstance(self.shortcut, Dense):
            return self.shortcut.back(delta).view(a.shape)
        return vjp(self.output, [a], delta, keep=True)[0]

    def assign(self, c: Tensor, part: Tensor) -> None:
        """As `local`, by the shortest way there is."""
        match self.shortcut:
            case None:
                local(self.block, self.output, c, part)
            case Dense() as dense:
                assign(dense.parameters, dense.gradients(estimated(self.output, c, part)))
            case Tail(skip, hidden, layer) as tail:
                parameters = [p for p in self.block.parameters() if p.requires_grad]
                weight, bias, back = tail.gradients(c.to(part.dtype), part)
                # the layer's weight may have a part in what is before it too
                both = [estimated(self.output, c, part), back]
                assign(parameters, vjp([skip, hidden], parameters, both))
                assign([layer.weight], [weight])
                if layer.bias is not None:
                    assign([layer.bias], [bias])


def _apply(block: nn.Module, a: Any, k: int) -> Applied:
    """Apply a block, for two backward passes by the shortest way there is for it."""
    plain = through(block, a)
    if plain is not None:
        return Applied(block, plain.output, plain)
    tail = split(block, a) if k < (samples(a) or 0) else None
    if tail is None:
        return Applied(block, block(a))
    return Applied(block, tail.output(), tail if tail.short else None)
