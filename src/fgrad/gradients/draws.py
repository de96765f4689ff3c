"""Random draws of one pass through a network, drawn again in every other pass of the same step.

The value, every tangent and the local gradients of a step belong to one function, so dropout must
drop the same entries in all of them. A seed alone does not see to that: what is drawn for a tensor
depends on its memory layout, and forward mode draws by other operations than a plain pass. So the
draws themselves are kept, by their position among the draws of a pass.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fgrad.gradients.inputs import RefusedError
from fgrad.gradients.state import differ

BERNOULLI = ("bernoulli", "bernoulli_", "native_dropout")
"""Operations that draw the same numbers; which one dropout takes depends on the kind of pass."""


class Draws:
    """What a pass has drawn from torch, NumPy and Python's own generator.

    Examples:
        >>> draws = Draws()
        >>> with draws.recorded():
        ...     first = torch.rand(2, 3)
        >>> with draws.again():
        ...     bool((torch.rand(2, 3) == first).all())
        True
    """

    def __init__(self) -> None:
        self._drawn: list[tuple[str, Tensor | None]] = []
        self._before: tuple[Any, Any] | None = None
        self._elsewhere = False
        self.rounding = 0.0
        """Of the coarsest numbers that the pass has computed with, relative."""

    def __bool__(self) -> bool:
        return bool(self._drawn) or self._elsewhere

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Write down what is drawn inside."""
        self._before = random.getstate(), np.random.get_state()
        with _Recorded(self._drawn) as mode:
            yield
        self.rounding = mode.rounding
        after = random.getstate(), np.random.get_state()
        self._elsewhere = any(map(differ, self._before, after))

    @contextmanager
    def again(self) -> Iterator[None]:
        """What is drawn inside is what was drawn then; torch's generators stay where they are.

        Raises:
            ValueError: if something else is drawn, or more.
        """
        if self._before is not None:
            random.setstate(self._before[0])
            np.random.set_state(self._before[1])
        with _Again(self._drawn):
            yield

    @contextmanager
    def no_more(self) -> Iterator[None]:
        """Draw nothing inside, as a checkpointed block would on its second way.

        Raises:
            ValueError: if something is drawn, and something was drawn before.
        """
        with _Again([]) if self else nullcontext():
            yield


def _name(func: Any) -> str:
    name: str = func.overloadpacket.__name__
    return name


class _Recorded(TorchDispatchMode):
    def __init__(self, drawn: list[tuple[str, Tensor | None]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.drawn, self.rounding = drawn, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if isinstance(result, Tensor) and result.is_floating_point():
            self.rounding = max(self.rounding, torch.finfo(result.dtype).eps)
        if torch.Tag.nondeterministic_seeded in func.tags and not _idle(func, args, kwargs or {}):
            name = _name(func)
            noise = result[1] if name == "native_dropout" else result
            written = any(a.alias_info and a.alias_info.is_write for a in func._schema.arguments)
            again = isinstance(noise, Tensor) and (name.endswith("_") or not written)
            self.drawn.append((name, noise.clone() if again else None))
        return result


def _idle(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an attention draws nothing, as its dropout is off."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.name == "dropout_p":
            given = args[i] if i < len(args) else kwargs.get("dropout_p", argument.default_value)
            return not given
    return False


class _Again(TorchDispatchMode):
    def __init__(self, drawn: list[tuple[str, Tensor | None]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.left = iter(drawn)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        seeded = torch.Tag.nondeterministic_seeded in func.tags
        if not seeded or _idle(func, args, kwargs or {}):
            return func(*args, **kwargs or {})
        name = _name(func)
        before, noise = next(self.left, ("nothing", torch.empty(0)))
        if name != before and not {name, before} <= set(BERNOULLI):
            raise RefusedError(
                f"random numbers by {name} in one pass, by {before} in another: forward mode needs "
                "the same in each, mode sim makes one pass alone"
            )
        if noise is None:
            raise RefusedError(
                f"random numbers by {name}, which forward mode would have to draw again; "
                "mode sim makes one pass alone"
            )
        if name == "native_dropout":
            x, p = args[:2]
            _fits(name, x, noise)
            return x * noise.to(x.dtype) * (1 / (1 - p) if p < 1 else 0.0), noise.to(
                torch.bool, copy=True
            )
        if name.endswith("_"):
            _fits(name, args[0], noise)
            return args[0].copy_(noise)
        if name != before:
            _fits(name, args[0], noise)
            return noise.to(args[0].dtype, copy=True)
        return noise.clone()


def _fits(name: str, x: Tensor, noise: Tensor) -> None:
    if x.shape != noise.shape:
        raise RefusedError(
            f"random numbers by {name} of shape {list(x.shape)} in one pass, "
            f"{list(noise.shape)} in another"
        )
