"""What a first pass over inputs finds: what is refused, and what a step has to know."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fgrad.gradients.inputs import RefusedError, mapped, samples, tensors
from fgrad.gradients.state import same_random

if TYPE_CHECKING:
    from fgrad.gradients.blocks import Blocks


@dataclass
class Modes:
    """What comparing forward with reverse mode has found.

    Args:
        compared: whether they were.
        coupled: whether samples depend on one another.
        rounding: of the coarsest numbers computed with.
        disagreement: of the two modes, in words.
    """

    compared: bool = False
    coupled: bool = False
    rounding: float = 0.0
    disagreement: str = ""


@dataclass
class Found:
    """What passes over inputs of a kind have found, with the network as it is.

    Args:
        shapes: of each block's output for one sample.
        in_place: blocks that change their input.
        moving: parameters that a pass changes.
        draws: whether a pass draws random numbers.
        modes: what is known of forward mode, of inputs of whatever size.
        calls: how often such inputs were met.
        many: samples of the last ones measured.
    """

    shapes: list[torch.Size] = field(default_factory=list)
    in_place: set[int] = field(default_factory=set)
    moving: list[nn.Parameter] = field(default_factory=list)
    draws: bool = False
    modes: Modes = field(default_factory=Modes)
    calls: int = 0
    many: int = 1

    @property
    def sizes(self) -> list[int]:
        """Entries of each block's output for one sample."""
        return [shape.numel() for shape in self.shapes]

    @property
    def fresh(self) -> bool:
        """Whether it is time to look, which it is at the calls 1, 8, 64 and so on."""
        bits = self.calls.bit_length() - 1
        return self.calls == 1 << bits and bits % 3 == 0


def measure(blocks: "Blocks", x: Any, y: Any, found: Found) -> None:
    """Refuse what a step could not do right; note what it has to know."""
    _check_given(blocks, x)
    every = list(blocks.network.parameters())
    modules = list(blocks.network.modules())
    before = [(p, p.detach().clone()) for p in every]
    attributes = (value for module in modules for value in vars(module).values())
    found.draws |= any(isinstance(value, torch.Generator) for value in attributes)
    try:
        with blocks.unchanged(), same_random(blocks.network) as moved, torch.enable_grad():
            _first_pass(blocks, x, y, found)
        found.draws |= moved()
    finally:
        # by value: a change through .data leaves no other trace
        changed = [(p, old) for p, old in before if not torch.equal(p.detach(), old)]
        for parameter, old in changed:
            parameter.data.copy_(old)
    grown = [m for m in modules if getattr(m, "max_norm", None)]  # whose rows may have to shrink
    moving = [
        *(p for p, _ in changed),
        *(p for m in grown for p in m.parameters(recurse=False)),
    ]
    found.moving = list({id(p): p for p in moving}.values())


def _check_given(blocks: "Blocks", x: Any) -> None:
    if not blocks.parameters:
        raise RefusedError("no parameter of the network requires a gradient")
    for name, parameter in blocks.network.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise RefusedError(f"parameter {name!r} has no size before a first plain pass")
        if parameter.is_complex():
            raise RefusedError(f"parameter {name!r} is {parameter.dtype}; real ones are needed")
    losses = blocks.modules[1:]
    if any(p.requires_grad for loss in losses for p in loss.parameters()):
        raise RefusedError("the loss has parameters of its own, which would get no gradient")
    for one in tensors(x):
        if one.ndim and not len(one):
            raise RefusedError(f"inputs {list(one.shape)} hold no sample")


def _first_pass(blocks: "Blocks", x: Any, y: Any, found: Found) -> None:
    if not blocks.whole:
        _through(blocks, x, y, blocks.named, found)
        return
    try:
        _through(blocks, x, y, [("", blocks.network)], found)
    except ValueError:
        if type(blocks.network).forward is nn.Sequential.forward:  # names the culprit
            _through(blocks, x, y, list(blocks.network.named_children()), Found())
        raise


def _through(
    blocks: "Blocks", x: Any, y: Any, named: list[tuple[str, nn.Module]], found: Found
) -> None:
    """A pass through blocks, one block's graph at a time."""
    a, trained, many = x, False, samples(x)
    found.shapes = []
    # parameters and inputs of blocks, on which others may depend by their own input alone
    others: list[Tensor] = list(blocks.parameters)
    for i, (name, block) in enumerate(named):
        own = set(map(id, block.parameters()))
        trained |= any(p.requires_grad for p in block.parameters())
        given = mapped(Tensor.clone, a)
        versions = [t._version for t in tensors(given)]
        output = blocks.applied(name, block, given)
        if [t._version for t in tensors(given)] != versions:
            found.in_place.add(i)
        if name:
            found.many = many = _check(name, output, many, trained)
            _refuse(f"block {name!r}", output, [t for t in others if id(t) not in own])
            found.shapes.append(output.shape[1:])
            others += [t for t in tensors(a) if t.requires_grad]
            output = output.detach().requires_grad_(trained)
        a = output
    losses = blocks.losses(a, y)
    if named[0][0]:
        _refuse("the loss", losses, [t for t in others if t is not a])
    if not losses.requires_grad:
        raise RefusedError(
            "the loss has no derivative: outputs or loss are computed outside of torch, "
            "under no_grad() or detached"
        )


def _check(name: str, output: Any, many: int | None, trained: bool) -> int:
    """Refuse what a block gives if tangents cannot perturb it, or no gradient comes back."""
    if not isinstance(output, Tensor) or not output.ndim or len(output) != (many or len(output)):
        got = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise RefusedError(f"block {name!r} gives {got}; a tensor [{many or 'B'}, …] is needed")
    if not output.is_floating_point():
        raise RefusedError(f"block {name!r} gives {output.dtype}; real numbers are needed")
    if trained and not output.requires_grad:
        raise RefusedError(
            f"block {name!r} gives an output without a derivative: it is computed outside of "
            "torch, under no_grad() or detached"
        )
    return len(output)


def _refuse(what: str, output: Tensor, others: Sequence[Tensor]) -> None:
    """Refuse what depends on anything but its input and its own parameters."""
    if not output.requires_grad or not others:
        return
    found = torch.autograd.grad(output.sum(), others, retain_graph=True, allow_unused=True)
    if any(g is not None for g in found):
        raise RefusedError(
            f"{what} depends on parameters or activations of a block before it otherwise than by "
            "its input; join these blocks, or perturb weights"
        )
