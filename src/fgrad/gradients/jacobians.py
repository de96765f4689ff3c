"""Products with Jacobians, forward and backward, and where their results go."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fgrad.gradients.inputs import first_line


def jvp(f: Callable[[Any], Tensor], x: Any, tangents: Any, what: str) -> tuple[Tensor, Tensor]:
    """Value and Jacobian-vector products f(x), J tᵢ for all i.

    The value is computed once, and the tangents go through f in one batch with the same random
    draws.

    Args:
        f: of a tensor, or of a tuple of tensors.
        x: where.
        tangents: as x, each tensor with a leading dimension k.
        what: f in words.

    Returns:
        f(x) [*], and its tangents [k, *].

    Raises:
        ValueError: if torch has no derivative in forward mode of something in f.
    """

    def one(tangent: Any) -> Any:
        return torch.func.jvp(f, (x,), (tangent,))

    out_dims: Any = (None, 0)  # torch's types do not know None: the same for every tangent
    try:
        value, derivatives = torch.vmap(one, out_dims=out_dims, randomness="same")(tangents)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        if str(error).startswith("random numbers"):
            raise ValueError(f"{what}: {error}") from None
        raise ValueError(
            f"{what} has no derivative in forward mode; mode sim needs none: {first_line(error)}"
        ) from None
    return value, derivatives


def vjp(
    outputs: Tensor | list[Tensor],
    parameters: Sequence[Tensor],
    cotangents: Tensor | list[Tensor] | None = None,
    keep: bool = False,
) -> list[Tensor]:
    """Vector-Jacobian product for each parameter; zeros for those without a part in the outputs.

    Args:
        outputs: with their graphs.
        parameters: what to differentiate with respect to.
        cotangents: as the outputs; none for a single number.
        keep: the graphs, which are freed otherwise.

    Returns:
        A tensor of the shape of each parameter.

    Raises:
        ValueError: if torch cannot go back through the outputs' graphs.
    """
    try:
        found = torch.autograd.grad(
            outputs, parameters, cotangents, keep, allow_unused=True, materialize_grads=True
        )
    except RuntimeError as error:
        if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(f"no gradient comes back: {first_line(error)}") from None
    return [g.to_dense() if g.is_sparse else g for g in found]


def assign(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Set ``.grad``; gradients of a parameter that several blocks share are summed."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        new = gradient.to(parameter.dtype)
        parameter.grad = new if parameter.grad is None else parameter.grad + new


def flatten(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Tensors of any shapes → [n]."""
    return torch.cat([t.flatten().to(dtype) for t in tensors])


def unflatten(flat: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """[*, n] → a tensor [*, *shape] for each parameter, of its dtype."""
    parts = flat.split([p.numel() for p in parameters], dim=-1)
    pairs = zip(parts, parameters, strict=True)
    return [part.view(*flat.shape[:-1], *p.shape).to(p.dtype) for part, p in pairs]
