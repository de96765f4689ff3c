"""What a forward pass may change, put back: buffers, attributes, weights, random states.

One policy for every module, torch's own and a user's: a step changes the state of a network once,
as a plain forward pass does, and every other pass (measuring, pushing tangents, the true gradient)
leaves it as it was.
"""

import copy
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = nn.Module().__dict__.keys() - {"training"}
"""Attributes of every module, which are not its state."""


SCALAR = (int, float, complex, bool, str, bytes, type(None))

CONTAINER = (list, dict, set, deque, bytearray, OrderedDict, defaultdict, Counter)
"""What is copied with what it holds, if it is of just these classes."""

STATEFUL = (np.ndarray, np.random.Generator, np.random.RandomState, random.Random)


class _Copies:
    """Stand-ins for values that must not change: one for each, however many modules share it.

    Containers are followed to what they hold, objects of other classes are not. Parameters stay, as
    does what is computed of them.
    """

    def __init__(self, drawing: bool) -> None:
        self.drawing = drawing
        self.made: dict[int, tuple[Any, Any]] = {}
        """With what they stand for, whose id is then its own."""

    def __call__(self, value: Any) -> Any:
        if type(value) in SCALAR:
            return value
        if id(value) not in self.made:
            self.made[id(value)] = value, self._made(value)
        return self.made[id(value)][1]

    def _made(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            own = isinstance(value, nn.Parameter) or value.requires_grad
            return value if own else value.detach().clone()
        if isinstance(value, torch.Generator):
            return value if self.drawing else value.clone_state()
        if isinstance(value, STATEFUL):
            return copy.deepcopy(value)
        if type(value) is tuple or (isinstance(value, tuple) and hasattr(value, "_make")):
            values = [self(one) for one in value]
            if all(one is other for one, other in zip(values, value, strict=True)):
                return value
            make: Any = getattr(type(value), "_make", tuple)
            return make(values)
        return self._copied(value) if type(value) in CONTAINER else value

    def _copied(self, value: Any) -> Any:
        made = copy.copy(value)
        self.made[id(value)] = value, made  # which it may hold itself
        if isinstance(value, list):
            made[:] = [self(one) for one in value]
        elif isinstance(value, deque):
            made.clear()
            made.extend(self(one) for one in value)
        elif isinstance(value, dict):
            made.update({key: self(one) for key, one in value.items()})
        return made


@contextmanager
def unchanged(*networks: nn.Module, drawing: bool = False) -> Iterator[None]:
    """Passes inside leave buffers and attributes of all modules as they were.

    Copies stand in for them; so that a pass in forward mode may change them too, it has to enter
    this itself.

    Args:
        networks: whose modules are kept.
        drawing: whether torch's generators that are attributes move on.
    """
    copies = _Copies(drawing)
    kept: list[tuple[nn.Module, dict[str, Any], dict[str, Any]]] = []
    values: list[tuple[Tensor, Tensor]] = []
    modules = {id(module): module for network in networks for module in network.modules()}
    try:
        for module in modules.values():
            if isinstance(module, torch.jit.ScriptModule):  # which owns its buffers
                values += [(b, b.detach().clone()) for b in module.buffers(recurse=False)]
                continue
            attributes = {name: value for name, value in vars(module).items() if name not in OWN}
            kept.append((module, attributes, dict(module._buffers)))
            vars(module).update({name: copies(value) for name, value in attributes.items()})
            module._buffers.update({name: copies(b) for name, b in module._buffers.items()})
        yield
    finally:
        for module, attributes, buffers in kept:
            for name in vars(module).keys() - OWN - attributes.keys():
                del vars(module)[name]
            vars(module).update(attributes)
            module._buffers.clear()
            module._buffers.update(buffers)
        _put_back(values)


@contextmanager
def held(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Passes inside leave these parameters as they were, such as those of `Embedding(max_norm)`."""
    values = [(p, p.detach().clone()) for p in parameters]
    try:
        yield
    finally:
        _put_back(values)


def _put_back(values: Sequence[tuple[Tensor, Tensor]]) -> None:
    for tensor, value in values:
        tensor.data.copy_(value)


@contextmanager
def same_random(network: nn.Module) -> Iterator[Callable[[], bool]]:
    """What is drawn inside, from torch, NumPy or Python, is what is drawn next outside.

    Gives a function that says, when all is over, whether anything was drawn.
    """
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    before = _random(devices)
    after: list[Any] = []
    try:
        with torch.random.fork_rng(devices):
            yield lambda: any(map(differ, before, after))
            after += _random(devices)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _random(devices: Iterable[torch.device]) -> list[Any]:
    """States of the generators that nobody names."""
    torchs = [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in devices)]
    return [random.getstate(), np.random.get_state(), *torchs]


def differ(one: Any, other: Any) -> bool:
    """Whether two states of a generator are different."""
    if isinstance(one, Tensor):
        return not torch.equal(one, other)
    return any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
