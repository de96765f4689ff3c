"""Products with Jacobians, forward and backward, and where their results go."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fgrad.gradients.inputs import RefusedError, first_line


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

    Raises:
        ValueError: if torch has no derivative in forward mode of something in f.
    """

    def one(tangent: Any) -> Any:
        return torch.func.jvp(f, (x,), (tangent,))

    out_dims: Any = (None, 0)  # torch's types do not know None: the same for every tangent
    try:
        value, derivatives = torch.vmap(one, out_dims=out_dims, randomness="same")(tangents)
    except RefusedError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise not_forward("the network", error) from None
    return value, derivatives


def not_forward(what: str, error: BaseException) -> RefusedError:
    """What is said of something that torch cannot derive in forward mode."""
    return RefusedError(
        f"{what} has no derivative in forward mode; mode sim needs none: {first_line(error)}"
    )


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
        A tensor of the shape of each parameter, no two of which share memory.

    Raises:
        ValueError: if torch cannot go back through the outputs' graphs.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    given = [cotangents] * len(outputs) if not isinstance(cotangents, list) else cotangents
    derived = [(a, g) for a, g in zip(outputs, given, strict=True) if a.requires_grad]
    if not derived or not parameters:
        return [torch.zeros_like(p) for p in parameters]
    try:
        found = torch.autograd.grad(
            [a for a, _ in derived] if len(derived) > 1 else derived[0][0],
            parameters,
            [g for _, g in derived] if len(derived) > 1 else derived[0][1],
            keep,
            allow_unused=True,
            materialize_grads=True,
        )
    except RefusedError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        raise RefusedError(f"no gradient comes back: {first_line(error)}") from None
    return _apart([g.to_dense() if g.is_sparse else g for g in found])


def _apart(gradients: list[Tensor]) -> list[Tensor]:
    """Copies of those that share memory with one before, or with themselves, as in a + b."""
    seen: set[int] = set()
    for i, gradient in enumerate(gradients):
        where = gradient.untyped_storage().data_ptr()
        if gradient.numel() and (where in seen or 0 in gradient.stride()):
            gradients[i] = gradient.clone(memory_format=torch.contiguous_format)
        seen.add(where)
    return gradients


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
    return [part.view((*flat.shape[:-1], *p.shape)).to(p.dtype) for part, p in pairs]
