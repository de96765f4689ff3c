"""What networks are given: a tensor, or tensors in a tuple, a list or a dict; what they refuse."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

FAILED = RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError
"""What a module raises on inputs that it was not made for."""


class RefusedError(ValueError):
    """What cannot be done right, in one line that is said as it is."""


def first_line(error: BaseException) -> str:
    """An error's message in one line; raises it again if memory is all that is wanting."""
    if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
        raise error
    return (str(error).splitlines() or [type(error).__name__])[0]


def tensors(x: Any) -> Iterator[Tensor]:
    """All tensors of an input, in order."""
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, Mapping):
        for value in x.values():
            yield from tensors(value)
    elif isinstance(x, tuple | list):
        for value in x:
            yield from tensors(value)


def samples(x: Any) -> int | None:
    """Length of the first tensor, if there is one."""
    return next((len(t) for t in tensors(x) if t.ndim), None)


def shapes(x: Any) -> str:
    """Of all tensors of an input."""
    return " ".join(str(list(t.shape)) for t in tensors(x)) or type(x).__name__


def mapped(f: Callable[[Tensor], Tensor], x: Any) -> Any:
    """The same input with f of each tensor."""
    if isinstance(x, Tensor):
        return f(x)
    if isinstance(x, Mapping):
        return {name: mapped(f, value) for name, value in x.items()}
    if isinstance(x, tuple | list):
        values = [mapped(f, value) for value in x]
        return type(x)(*values) if hasattr(x, "_fields") else type(x)(values)
    return x


def handed(module: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of a module for an input.

    A dict goes by keywords and a tuple by position where ``forward`` takes them so; anything else,
    and whatever an `nn.Sequential` is given, as it is.
    """
    if isinstance(module, nn.Sequential) or not isinstance(x, tuple | Mapping):
        return (x,), {}
    positions, keywords = (tuple(x), {}) if isinstance(x, tuple) else ((), dict(x))
    try:
        inspect.signature(module.forward).bind(*positions, **keywords)
    except TypeError:
        return (x,), {}
    return positions, keywords
