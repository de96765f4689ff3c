"""Gradients from perturbed activations: block by block, each sample with an estimate of its own.

The tangent space is the concatenation of all block outputs of one sample, n = Σ sizes. The k
tangents V of a batch are shared by its samples; sample b has its own directional derivatives
d_b = Vᵀ∇_{a_b}L and its own estimate of ∇_{a_b}L, and a block's parameter gradient is the
block-local vector-Jacobian product of that.

Source: the paper, sections 3, 4.4 and 4.5.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from fgrad.gradients.chain import Blocks, same_function
from fgrad.gradients.estimators import coefficients, combine
from fgrad.gradients.explicit import Tangents, drawn
from fgrad.gradients.jacobians import assign, jvp, vjp
from fgrad.gradients.tail import Tail, split


def simulated(blocks: Blocks, tangents: Tangents, x: Tensor, y: Tensor) -> Tensor:
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
    sizes, chain = blocks.sizes(x, y), blocks.chain
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    tails: list[Tail | None] = []
    for i in range(len(chain)):
        inputs.append((outputs[-1] if outputs else x).detach().requires_grad_(bool(outputs)))
        given = blocks.given(i, inputs[-1])
        tail = split(chain[i], given) if tangents.k < len(x) else None
        tails.append(tail)
        outputs.append(chain[i](given) if tail is None else tail.output())
    last = outputs[-1].detach().requires_grad_()
    loss = blocks.losses(last, y).mean()
    deltas = [torch.autograd.grad(loss, last)[0]]
    for a, output in zip(inputs[:0:-1], outputs[:0:-1], strict=True):
        deltas += torch.autograd.grad(output, a, deltas[-1], retain_graph=True)
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


def forward(blocks: Blocks, tangents: Tangents, x: Tensor, y: Tensor) -> Tensor:
    """Directional derivatives by forward mode; arguments and result as of `simulated`.

    Tangents are carried forward block by block, then one block's graph is made at a time.
    """
    sizes = blocks.sizes(x, y)
    v = drawn(tangents, sum(sizes), blocks.dtype)
    derivatives = []
    for some in v.split(tangents.chunk or len(v)):
        with same_function(blocks.chain), torch.no_grad():
            inputs, losses, d = push(blocks, x, y, some.split(sizes, dim=1))
        derivatives.append(d / len(x))
    c = coefficients(tangents.approach, v, torch.cat(derivatives).mT)
    for i, (a, part) in enumerate(zip(inputs, v.split(sizes, dim=1), strict=True)):
        local(blocks.chain[i], blocks.block(i)(a), c, part)
    return losses.mean()


def push(
    blocks: Blocks, x: Tensor, y: Tensor, parts: Sequence[Tensor]
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Carry tangents through the chain, ȧᵢ = Jᵢ ȧᵢ₋₁ + vᵢ.

    Args:
        blocks: the chain.
        x: inputs [B, …].
        y: targets [B, …].
        parts: the tangents' part at each block's output, [k, size].

    Returns:
        Block inputs, losses [B], and the tangents of the losses [k, B].
    """
    inputs: list[Tensor] = []
    a, tangent = x, torch.zeros(())
    for i, part in enumerate(parts):
        inputs.append(a)
        if i == 0:
            a = blocks.block(i)(a)
        else:
            a, tangent = jvp(blocks.block(i), a, tangent)
        new = part.view(-1, 1, *a.shape[1:]).expand(-1, *a.shape)
        tangent = new + tangent.to(new.dtype)
    losses, d = jvp(lambda outputs: blocks.losses(outputs, y), a, tangent.to(a.dtype))
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
    if not parameters:
        return
    estimate = combine(c, part).view(output.shape).to(output.dtype)
    weight, bias, hidden = tail.gradients(c.to(part.dtype), part)
    own = {id(tail.layer.weight): weight, id(tail.layer.bias): bias}
    mine = [p for p in parameters if id(p) in own]
    rest = [p for p in parameters if id(p) not in own]
    assign(mine, [own[id(p)].to(p.dtype) for p in mine])
    assign(rest, vjp([tail.skip, tail.hidden], rest, [estimate, hidden]))
