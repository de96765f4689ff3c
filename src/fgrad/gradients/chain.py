"""A network as a chain of blocks, aᵢ = Bᵢ(aᵢ₋₁): an `nn.Sequential` whose children are the blocks.

`chain` makes one of a network of the user's own, by naming its blocks.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import FAILED, first_line, handed, mapped
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.state import held, same_random, unchanged

Part = str | nn.Module


def chain(
    module: nn.Module, blocks: Mapping[str, Part | Sequence[Part]], example: Any = None
) -> nn.Sequential:
    """A network of the user's own as a chain, by naming its blocks; parameters are shared with it.

    Args:
        module: the network.
        blocks: for each block its parts, applied in order: names of submodules as
            `nn.Module.get_submodule` takes them, or modules such as ``nn.Flatten()`` for what the
            network's ``forward`` does by function calls.
        example: inputs [B, …] on which chain and network are compared, in training and in
            evaluation; nothing of them is changed.

    Returns:
        The chain.

    Raises:
        ValueError: if the module has no such submodule, a block has no parts or a dot in its name,
            a parameter belongs to no block or to two (its gradient would be incomplete), or chain
            and network differ on the example: a function call of ``forward`` that no part stands
            for, such as a residual connection.

    Examples:
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> made = chain(network, {"hidden": ["0", "1"], "head": "2"}, example=torch.randn(2, 4))
        >>> [name for name, _ in made.named_children()]
        ['hidden', 'head']
    """

    def find(part: object) -> nn.Module:
        if isinstance(part, nn.Module):
            return part
        if not isinstance(part, str):
            raise ValueError(f"a block has the part {part!r}: a module or its name is needed")
        try:
            return module.get_submodule(part)
        except AttributeError:
            known = [name for name, _ in module.named_children()]
            raise ValueError(f"no submodule {part!r}; there are {', '.join(known)}") from None

    if not isinstance(blocks, Mapping):
        raise ValueError(f"blocks = {blocks!r}: the parts of each block by its name are needed")
    found = {}
    for name, parts in blocks.items():
        each = list(parts) if isinstance(parts, list | tuple) else [parts]
        if not each or "." in name:
            raise ValueError(f"block {name!r}: a name without dots and at least one part is needed")
        found[name] = find(each[0])
        if len(each) > 1:
            found[name] = nn.Sequential(*map(find, each))
            found[name].training = module.training
    made = nn.Sequential(OrderedDict(found))
    made.training = module.training
    owners = [set(map(id, block.parameters())) for block in made]
    for name, parameter in module.named_parameters():
        count = sum(id(parameter) in own for own in owners)
        if count != 1 and (count or parameter.requires_grad):
            where = "no block" if count == 0 else f"{count} blocks"
            raise ValueError(f"parameter {name!r} belongs to {where}; it must belong to one")
    if example is not None:
        _compare(module, made, example)
    return made


def _compare(module: nn.Module, made: nn.Sequential, example: Any) -> None:
    """Refuse a chain that is another function than its network, in either mode of it."""
    parts = list({id(m): m for whole in (module, made) for m in whole.modules()}.values())
    now, modes = module.training, [part.training for part in parts]
    # a module that does something when its mode changes keeps its mode
    plain = all(type(part).train is nn.Module.train for part in parts)
    try:
        for training in (now, not now) if plain else (now,):
            if training != now:
                module.train(training)
                made.train(training)
            with torch.no_grad(), differentiable(module), held(module.parameters()):
                difference = _difference(module, made, example)
            if difference and not (difference.startswith("network") and training != now):
                mode = "training" if training else "evaluation"
                raise ValueError(f"in {mode} the blocks are another function: {difference}")
    finally:
        for part, training in zip(parts, modes, strict=True):
            part.training = training


def _difference(module: nn.Module, made: nn.Sequential, example: Any) -> str:
    """What is different between a network and its chain; empty if nothing is."""
    draws = Draws()
    positions, keywords = handed(module, mapped(Tensor.clone, example))
    try:
        with unchanged(module), same_random(module), draws.recorded():
            expected = module(*positions, **keywords)
    except FAILED as error:
        return f"network does not take the example: {first_line(error)}"
    try:
        with unchanged(module, made), same_random(module), draws.again():
            found = made(mapped(Tensor.clone, example))
    except FAILED as error:
        return f"chain does not take the example: {first_line(error)}"
    if isinstance(expected, Tensor) and isinstance(found, Tensor) and expected.shape == found.shape:
        return _distance(found, expected)
    what = [
        list(one.shape) if isinstance(one, Tensor) else type(one).__name__
        for one in (expected, found)
    ]
    return f"network gives {what[0]}, chain {what[1]}"


def _distance(found: Tensor, expected: Tensor) -> str:
    """How far outputs are from what they should be, if further than rounding."""
    other = ~torch.isclose(found, expected, rtol=0, atol=0, equal_nan=True)
    if not other.any():
        return ""
    kind = expected.dtype
    tolerance = torch.finfo(kind).eps ** 0.5 if kind.is_floating_point else 0.0
    size = float(expected[expected.isfinite()].double().abs().max())
    off = float((found[other].double() - expected[other].double()).abs().max())
    return (
        "" if off <= tolerance * size else f"outputs are up to {off:.3g} off, of {size:.3g} at most"
    )
