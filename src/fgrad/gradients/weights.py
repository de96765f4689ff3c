"""Gradients from perturbed weights: one estimate for the whole batch.

n is the number of parameters that require a gradient, and d = Vᵀ∇f is one vector [k].

Source: the paper, sections 3, 4.4 and 4.5.
"""

import torch
from torch import Tensor

from fgrad.gradients.chain import Blocks, same_function
from fgrad.gradients.estimators import coefficients, combine
from fgrad.gradients.explicit import Tangents, drawn
from fgrad.gradients.jacobians import assign, jvp, unflatten, vjp
from fgrad.gradients.sampling import sample


def simulated(blocks: Blocks, tangents: Tangents, x: Tensor, y: Tensor) -> Tensor:
    """Directional derivatives of explicit tangents from the true gradient.

    Args:
        blocks: the chain, whose ``.grad`` are set.
        tangents: what the estimate is made with.
        x: inputs [B, …].
        y: targets [B, …].

    Returns:
        The mean loss, detached.

    Raises:
        ValueError: as `Tangents.check`.
        MemoryError: as `Tangents.check`.
    """
    loss, parameters = blocks.mean_loss(x, y), blocks.parameters
    with tangents.in_full_precision():
        gradient = torch.cat([g.flatten() for g in vjp(loss, parameters)])
        v = drawn(tangents, len(gradient), blocks.dtype)
        c = coefficients(tangents.approach, v, v @ gradient)
        assign(parameters, unflatten(combine(c[None], v)[0], parameters))
    return loss.detach()


def exact(blocks: Blocks, tangents: Tangents, x: Tensor, y: Tensor) -> Tensor:
    """The estimate drawn from its exact law, in O(n) for any k; arguments as of `simulated`."""
    loss, parameters = blocks.mean_loss(x, y), blocks.parameters
    with tangents.in_full_precision():
        gradient = torch.cat([g.flatten() for g in vjp(loss, parameters)])
        estimate = sample(tangents.approach, gradient, tangents.k, tangents.generator)
        assign(parameters, unflatten(estimate, parameters))
    return loss.detach()


def forward(blocks: Blocks, tangents: Tangents, x: Tensor, y: Tensor) -> Tensor:
    """Directional derivatives by forward mode: forward passes alone, no graph at all.

    Arguments and result as of `simulated`.
    """
    parameters = blocks.parameters
    names = [name for name, p in blocks.chain.named_parameters() if p.requires_grad]
    v = drawn(tangents, sum(p.numel() for p in parameters), blocks.dtype)

    def mean_loss(values: tuple[Tensor, ...]) -> Tensor:
        named = dict(zip(names, values, strict=True))
        outputs = torch.func.functional_call(blocks.chain, named, (blocks.given(0, x),))
        return blocks.losses(outputs, y).mean()

    values = tuple(p.detach() for p in parameters)
    derivatives = []
    with torch.no_grad():
        for some in v.split(tangents.chunk or len(v)):
            with same_function(blocks.chain):
                derivatives.append(jvp(mean_loss, values, tuple(unflatten(some, parameters)))[1])
        loss = blocks.mean_loss(x, y)
    c = coefficients(tangents.approach, v, torch.cat(derivatives))
    assign(parameters, unflatten(combine(c[None], v)[0], parameters))
    return loss
