"""A network as a chain of blocks, aᵢ = Bᵢ(aᵢ₋₁): an `nn.Sequential` whose children are the blocks.

`chain` makes one of a network of the user's own, by naming its blocks.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import FAILED, first_line, handed
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.state import same_random, unchanged

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

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> made = chain(network, {"hidden": ["0", "1"], "head": "2"}, example=torch.randn(2, 4))
        >>> [name for name, _ in made.named_children()]
        ['hidden', 'head']
    """

    def find(part: Part) -> nn.Module:
        if isinstance(part, nn.Module):
            return part
        try:
            return module.get_submodule(part)
        except AttributeError:
            known = [name for name, _ in module.named_children()]
            raise ValueError(f"no submodule {part!r}; there are {', '.join(known)}") from None

    found = {}
    for name, parts in blocks.items():
        each = [parts] if isinstance(parts, str | nn.Module) else list(parts)
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
        if count != 1:
            where = "no block" if count == 0 else f"{count} blocks"
            raise ValueError(f"parameter {name!r} belongs to {where}; it must belong to one")
    if example is not None:
        _compare(module, made, example)
    return made


def _compare(module: nn.Module, made: nn.Sequential, example: Any) -> None:
    """Refuse a chain that is another function than its network, in either mode of it."""
    modes = [(part, part.training) for whole in (module, made) for part in whole.modules()]
    now = module.training
    try:
        for training in (now, not now):
            if training != now:
                module.train(training)
                made.train(training)
            with torch.no_grad(), differentiable(module):
                difference = _difference(module, made, example)
            if difference and not (difference.startswith("network") and training != now):
                mode = "training" if training else "evaluation"
                raise ValueError(f"in {mode} the blocks are another function: {difference}")
    finally:
        for part, training in modes:
            part.training = training


def _difference(module: nn.Module, made: nn.Sequential, example: Any) -> str:
    """What is different between a network and its chain; empty if nothing is."""
    draws = Draws()
    positions, keywords = handed(module, example)
    try:
        with unchanged(module), same_random(module), draws.recorded():
            expected = module(*positions, **keywords)
    except FAILED as error:
        return f"network does not take the example: {first_line(error)}"
    try:
        with unchanged(module), same_random(module), unchanged(made), draws.again():
            found = made(example)
    except FAILED as error:
        return f"chain does not take the example: {first_line(error)}"
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor):
        return f"network gives {type(expected).__name__}, chain {type(found).__name__}, not tensors"
    if expected.shape != found.shape:
        return f"network gives {list(expected.shape)}, chain {list(found.shape)}"
    exact = not expected.dtype.is_floating_point
    tolerance = 0.0 if exact else float(torch.finfo(expected.dtype).eps) ** 0.5
    size = expected.abs().max()
    off = (found - expected).abs().max()
    if off <= tolerance * size:
        return ""
    return f"outputs are up to {float(off):.3g} off, of {float(size):.3g} at most"
