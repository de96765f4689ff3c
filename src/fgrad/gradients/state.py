"""What a forward pass may change, put back: buffers, attributes, weights, random states.

One policy for every module, torch's own and a user's: a step changes the state of a network once,
as a plain forward pass does, and every other pass (measuring, pushing tangents, the true gradient)
leaves it as it was.
"""

import copy
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

COPIED = (
    list, dict, set, bytearray, deque, Counter, OrderedDict, defaultdict,
    np.ndarray, np.random.Generator, np.random.RandomState, random.Random,
)  # fmt: skip
"""Attributes that a pass may change without another being bound to the name."""


def _fresh(value: Any, drawing: bool) -> Any:
    """What stands in for an attribute while it must not change: a copy, or itself."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, torch.Generator):
        return value if drawing else value.clone_state()
    if type(value) in COPIED:
        simple = isinstance(value, np.random.RandomState | np.random.Generator | random.Random)
        return copy.deepcopy(value) if simple else copy.copy(value)
    return value


@contextmanager
def unchanged(
    network: nn.Module, moving: Iterable[nn.Parameter] = (), drawing: bool = False
) -> Iterator[None]:
    """Passes inside leave buffers and attributes of all modules as they were.

    Copies stand in for them; so that a pass in forward mode may change them too, it has to enter
    this itself. An attribute's own attributes are not followed.

    Args:
        network: whose modules are kept.
        moving: parameters that a forward pass changes, such as those of ``Embedding(max_norm)``.
        drawing: whether torch's generators that are attributes move on.
    """
    own = nn.Module().__dict__.keys() - {"training"}
    kept = []
    for module in network.modules():
        attributes = {name: value for name, value in vars(module).items() if name not in own}
        kept.append((module, attributes, dict(module._buffers)))
        vars(module).update({name: _fresh(value, drawing) for name, value in attributes.items()})
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.detach().clone()
    values = [(p, p.detach().clone()) for p in moving]
    try:
        yield
    finally:
        for module, attributes, buffers in kept:
            for name in vars(module).keys() - own - attributes.keys():
                del vars(module)[name]
            vars(module).update(attributes)
            module._buffers.clear()
            module._buffers.update(buffers)
        for parameter, value in values:
            parameter.data.copy_(value)


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
