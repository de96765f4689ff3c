"""Gradients from perturbed weights: one estimate for the whole batch.

n is the number of parameters that require a gradient, and d = Vᵀ∇f is one vector [k].

Source: the paper, sections 3, 4.4 and 4.5.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from fgrad.gradients.agreement import agreed
from fgrad.gradients.blocks import Blocks
from fgrad.gradients.draws import Draws
from fgrad.gradients.estimators import coefficients, combine
from fgrad.gradients.estimators import whole as estimated
from fgrad.gradients.explicit import Tangents, drawn
from fgrad.gradients.jacobians import assign, flatten, jvp, unflatten, vjp
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.perturbed import along
from fgrad.gradients.sampling import sample


def simulated(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """Directional derivatives of explicit tangents from the true gradient.

    Args:
        blocks: the network, whose ``.grad`` are set.
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
        gradient = flatten(vjp(loss, parameters), blocks.dtype)
        v = drawn(tangents, len(gradient), blocks.dtype)
        c = coefficients(tangents.approach, v, v @ gradient)
        tangents.learn(c, v)
        assign(parameters, unflatten(combine(c[None], v)[0], parameters))
    return loss.detach()


def exact(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """The estimate drawn from its exact law, in O(n) for any k; arguments as of `simulated`."""
    loss, parameters = blocks.mean_loss(x, y), blocks.parameters
    with tangents.in_full_precision():
        gradient = flatten(vjp(loss, parameters), blocks.dtype)
        estimate = sample(tangents.approach, gradient, tangents.k, tangents.generator)
        assign(parameters, unflatten(estimate, parameters))
    return loss.detach()


def forward(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """Directional derivatives by forward mode: forward passes alone, no graph at all.

    Arguments and result as of `simulated`.

    Raises:
        ValueError: as `simulated`, or if forward and reverse mode disagree on the network.
    """
    parameters = blocks.parameters
    agreed(blocks, x, y)
    n = sum(p.numel() for p in parameters)
    tangents.check_rounding(n, blocks.now.modes.rounding)
    v = drawn(tangents, n, blocks.dtype)
    draws, d = blocks.with_draws(x, y, partial(_derivatives, blocks, x, y, v, tangents.chunk))
    kernels = differentiable(blocks.network)
    with blocks.passes(draws) if draws else kernels, torch.no_grad():
        loss = blocks.mean_loss(x, y)
    with tangents.in_full_precision():
        c = coefficients(tangents.approach, v, d)
        tangents.learn(c, v)
        assign(parameters, unflatten(combine(c[None], v)[0], parameters))
    return loss


def whole(blocks: Blocks, tangents: Tangents, x: Any, y: Any) -> Tensor:
    """An estimate by the user's own estimator, which evaluates the mean loss where it likes.

    Arguments and result as of `simulated`. Nothing that an evaluation changes stays, and what a
    pass draws all of them draw.

    Raises:
        ValueError: as `fgrad.gradients.estimators.whole`.
    """
    point = flatten([p.detach() for p in blocks.parameters], blocks.dtype)
    start = tangents.generator.get_state()

    def estimate(draws: Draws) -> Tensor:
        def at(one: Tensor) -> Tensor:
            with blocks.passes(draws), torch.no_grad(), along(blocks, x, y) as (loss, values):
                return loss(tuple(unflatten(one, values)))

        def f(points: Tensor) -> Tensor:
            each = [at(one) for one in points.reshape(-1, len(point))]
            return torch.stack(each).view(points.shape[:-1]).to(points.dtype)

        tangents.generator.set_state(start)
        return estimated(tangents.approach, f, point, tangents.k, tangents.generator)

    draws, g = blocks.with_draws(x, y, estimate)
    kernels = differentiable(blocks.network)
    with blocks.passes(draws) if draws else kernels, torch.no_grad():
        loss = blocks.mean_loss(x, y)
    assign(blocks.parameters, unflatten(g, blocks.parameters))
    return loss


def _derivatives(
    blocks: Blocks, x: Any, y: Any, v: Tensor, chunk: int | None, draws: Draws
) -> Tensor:
    """Of the mean loss along the tangents [k, n]: [k]."""
    found = []
    for some in v.split(chunk or len(v)):
        with blocks.passes(draws), torch.no_grad(), along(blocks, x, y) as (f, values):
            found.append(jvp(f, values, tuple(unflatten(some, values)))[1].to(v.dtype))
    return torch.cat(found)
