"""Products with Jacobians, forward and backward, and where their results go."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def jvp(f: Callable[[Any], Tensor], x: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    """Value and Jacobian-vector products f(x), J tᵢ for all i.

    The value is computed once, and the tangents go through f in one batch with the same random
    draws.

    Args:
        f: of a tensor, or of a tuple of tensors.
        x: where.
        tangents: as x, each tensor with a leading dimension k.

    Returns:
        f(x) [*], and its tangents [k, *].
    """

    def one(tangent: Any) -> Any:
        return torch.func.jvp(f, (x,), (tangent,))

    out_dims: Any = (None, 0)  # torch's types do not know None: the same for every tangent
    value, derivatives = torch.vmap(one, out_dims=out_dims, randomness="same")(tangents)
    return value, derivatives


def vjp(
    outputs: Tensor | list[Tensor],
    parameters: list[nn.Parameter],
    cotangents: Tensor | list[Tensor] | None = None,
) -> list[Tensor]:
    """Vector-Jacobian product for each parameter; zeros for those without a part in the outputs.

    Args:
        outputs: with their graphs, which are freed.
        parameters: what to differentiate with respect to.
        cotangents: as the outputs; none for a single number.

    Returns:
        A tensor of the shape of each parameter.
    """
    found = torch.autograd.grad(
        outputs, parameters, cotangents, allow_unused=True, materialize_grads=True
    )
    return list(found)


def assign(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Set ``.grad``; gradients of a parameter that several blocks share are summed."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def unflatten(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """[*, n] → a tensor [*, *shape] for each parameter."""
    parts = flat.split([p.numel() for p in parameters], dim=-1)
    pairs = zip(parts, parameters, strict=True)
    return [part.view(*flat.shape[:-1], *p.shape) for part, p in pairs]
