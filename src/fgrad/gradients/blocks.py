"""A network with its loss, as functions that leave their input as it was.

Tangents of activations need a chain, an `nn.Sequential` whose children are the blocks; to tangents
of weights any module is one block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import FAILED, first_line, handed, mapped, tensors
from fgrad.gradients.jacobians import assign, vjp
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.state import same_random, unchanged

Loss = Callable[[Any, Any], Tensor]


@dataclass
class Found:
    """What the first pass over inputs of a shape has found, in the network's mode of then.

    Args:
        sizes: entries of each block's output for one sample.
        in_place: blocks that change their input.
        moving: parameters that a pass changes.
        draws: whether a pass draws random numbers.
        coupled: whether samples depend on one another; not known before forward mode is checked.
    """

    sizes: list[int]
    in_place: set[int]
    moving: list[nn.Parameter]
    draws: bool
    coupled: bool | None = None


class Blocks:
    """A network with its loss.

    Args:
        network: a chain, or any module where it is to be one block.
        loss: (outputs [B, …], targets [B, …]) → a loss for each sample [B].
        whole: whether the network is one block.
    """

    def __init__(self, network: nn.Module, loss: Loss, whole: bool = False) -> None:
        self.network, self.loss, self.whole = network, loss, whole
        self._found: dict[object, Found] = {}
        self.now = Found([], set(), [], False)

    @property
    def named(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order, by name."""
        if self.whole:
            return [("", self.network)]
        return [(name, block) for name, block in self.network._modules.items() if block is not None]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that require a gradient, in the order of the network."""
        return [p for p in self.network.parameters() if p.requires_grad]

    @property
    def dtype(self) -> torch.dtype:
        """Of the tangents: float64 for a network in float64, else float32."""
        wide = any(p.dtype == torch.float64 for p in self.parameters)
        return torch.float64 if wide else torch.float32

    def sizes(self, x: Any, y: Any) -> list[int]:
        """Entries of each block's output for one sample; the first call of a kind measures.

        Args:
            x: inputs [B, …].
            y: targets [B, …].

        Raises:
            ValueError: if no parameter requires a gradient, the blocks do not compose, a block or
                the loss gives what has no derivative, or the loss is not one number a sample.
        """
        modes = tuple(module.training for module in self.network.modules())
        kinds = [
            (t.ndim if self.whole else t.shape[1:], t.dtype, t.shape[:1] > (1,)) for t in tensors(x)
        ]
        key = tuple(kinds), modes
        if key not in self._found:
            self._found[key] = self._measured(x, y)
        self.now = self._found[key]
        return self.now.sizes

    def _measured(self, x: Any, y: Any) -> Found:
        if not self.parameters:
            raise ValueError("no parameter of the network requires a gradient")
        for name, parameter in self.network.named_parameters():
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise ValueError(f"parameter {name!r} has no size before a first plain pass")
            if parameter.is_complex():
                raise ValueError(f"parameter {name!r} is {parameter.dtype}; real ones are needed")
        for one in tensors(x):
            if one.ndim and not len(one):
                raise ValueError(f"inputs {list(one.shape)} hold no sample")
        self.now = found = Found([], set(), [], False)
        every = list(self.network.parameters())
        before = [(p, p.detach().clone()) for p in every]
        draws = Draws()
        try:
            with unchanged(self.network), same_random(self.network), draws.recorded():
                found.sizes, found.in_place = self._first_pass(x, y)
        finally:
            # by value: a change through .data leaves no other trace
            found.moving = [p for p, old in before if not torch.equal(p.detach(), old)]
            for parameter, old in before:
                if any(parameter is moving for moving in found.moving):
                    parameter.data.copy_(old)
        found.draws = bool(draws)
        return found

    def _first_pass(self, x: Any, y: Any) -> tuple[list[int], set[int]]:
        """What a step could not differentiate is refused; sizes and who works in place."""
        with torch.enable_grad():
            if not self.whole:
                return self._through(x, y, self.named)
            try:
                _, in_place = self._through(x, y, [("", self.network)])
            except ValueError:
                if type(self.network).forward is nn.Sequential.forward:
                    self._through(x, y, list(self.network.named_children()))  # names the culprit
                raise
            return [sum(p.numel() for p in self.parameters)], in_place

    def _through(
        self, x: Any, y: Any, named: list[tuple[str, nn.Module]]
    ) -> tuple[list[int], set[int]]:
        """A pass through blocks, one block's graph at a time."""
        a, sizes, in_place, trained = x, [], set(), False
        # parameters and inputs of blocks, on which others may depend by their own input alone
        others: list[Tensor] = list(self.parameters)
        for i, (name, block) in enumerate(named):
            own = set(map(id, block.parameters()))
            trained |= any(p.requires_grad for p in block.parameters())
            given = mapped(Tensor.clone, a)
            versions = [t._version for t in tensors(given)]
            output = self._applied(name, block, given)
            if [t._version for t in tensors(given)] != versions:
                in_place.add(i)
            if name:
                _check(name, output, next(tensors(a)), trained)
                beside = [t for t in others if id(t) not in own]
                _refuse(f"block {name!r}", output, beside)
                sizes.append(output[0].numel())
                others += [t for t in tensors(a) if t.requires_grad]
                output = output.detach().requires_grad_(trained)
            a = output
        losses = self.losses(a, y)
        if named[0][0]:
            _refuse("the loss", losses, [t for t in others if t is not a])
        if not losses.requires_grad:
            raise ValueError(
                "the loss has no derivative: outputs or loss are computed outside of torch, "
                "under no_grad() or detached"
            )
        return sizes, in_place

    def _applied(self, name: str, block: nn.Module, a: Any) -> Any:
        """Apply one block; raises ValueError that names it if it does not take a."""
        positions, keywords = ((a,), {}) if name else handed(block, a)
        try:
            return block(*positions, **keywords)
        except FAILED as error:
            if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
                raise
            shapes = " ".join(str(list(t.shape)) for t in tensors(a))
            who = f"block {name!r}" if name else "the network"
            raise ValueError(f"{who} does not take {shapes}: {first_line(error)}") from None

    def block(self, i: int) -> Callable[[Any], Tensor]:
        """A block as a function that leaves its input as it was."""
        return lambda a: self.named[i][1](self.given(i, a))

    def frozen(self, i: int) -> Callable[[Any], Tensor]:
        """As `block`, and it leaves the block's state as it was."""
        block = self.named[i][1]

        def pure(a: Any) -> Tensor:
            with unchanged(block, () if i else self.now.moving):
                output: Tensor = block(self.given(i, a))
                return output

        return pure

    def given(self, i: int, a: Any) -> Any:
        """What a block is handed: a copy of its input where it works in place."""
        return mapped(Tensor.clone, a) if i in self.now.in_place else a

    def outputs(self, x: Any) -> Any:
        """The network as a function that leaves its input as it was."""
        positions, keywords = handed(self.network, self.given(0, x))
        return self.network(*positions, **keywords)

    def losses(self, outputs: Any, y: Any) -> Tensor:
        """A loss for each sample [B]; raises ValueError if it is anything else."""
        try:
            losses = self.loss(outputs, y)
        except FAILED as error:
            if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
                raise
            shapes = [" ".join(str(list(t.shape)) for t in tensors(a)) for a in (outputs, y)]
            raise ValueError(
                f"the loss does not take outputs {shapes[0]} with targets {shapes[1]}: "
                f"{first_line(error)}; loss= takes (outputs, targets) → one number for each sample"
            ) from None
        samples = len(y) if isinstance(y, Tensor) else len(losses) if losses.ndim else 1
        if losses.shape != (samples,):
            raise ValueError(
                f"the loss has shape {list(losses.shape)}; one number for each of the {samples} "
                "samples is needed, without a reduction: loss= takes another"
            )
        if not losses.is_floating_point():  # complex, or counts
            raise ValueError(f"the loss is {losses.dtype}; real numbers are needed")
        return losses

    def mean_loss(self, x: Any, y: Any) -> Tensor:
        """Mean loss over the batch, with its graph."""
        return self.losses(self.outputs(x), y).mean()

    def of_weights(self, x: Any, y: Any) -> tuple[Callable[[Any], Tensor], tuple[Tensor, ...]]:
        """The mean loss as a function of the parameters' values, and those they have."""
        names = [name for name, p in self.network.named_parameters() if p.requires_grad]

        def mean_loss(values: tuple[Tensor, ...]) -> Tensor:
            with unchanged(self.network):
                positions, keywords = handed(self.network, self.given(0, x))
                named = dict(zip(names, values, strict=True))
                outputs = functional_call(self.network, named, positions, keywords)
                return self.losses(outputs, y).mean()

        return mean_loss, tuple(p.detach() for p in self.parameters)

    def unchanged(self) -> AbstractContextManager[None]:
        """Passes inside leave the network's state as it was."""
        return unchanged(self.network, self.now.moving)

    def draws(self, x: Any, y: Any) -> Draws:
        """The random draws of this step, made in a pass of their own where it draws at all."""
        draws = Draws()
        if self.now.draws:
            kept = unchanged(self.network, self.now.moving, drawing=True)
            with kept, differentiable(self.network), torch.no_grad(), draws.recorded():
                self.losses(self.outputs(x), y)
        return draws

    @contextmanager
    def passes(self, draws: Draws) -> Iterator[None]:
        """Passes of forward mode: what was drawn is drawn again, by kernels it has derivatives of.

        Where nothing was drawn and something is after all, `Found.draws` says so afterwards.
        """
        with differentiable(self.network):
            if draws:
                with draws.again():
                    yield
            else:
                with same_random(self.network) as moved:
                    yield
                self.now.draws |= moved()


def _check(name: str, output: Any, a: Tensor, trained: bool) -> None:
    """Refuse what a block gives if tangents cannot perturb it, or no gradient comes back."""
    if not isinstance(output, Tensor) or output.shape[:1] != a.shape[:1]:
        got = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"block {name!r} gives {got}; a tensor [{len(a)}, …] is needed")
    if not output.is_floating_point():
        raise ValueError(f"block {name!r} gives {output.dtype}; real numbers are needed")
    if trained and not output.requires_grad:
        raise ValueError(
            f"block {name!r} gives an output without a derivative: it is computed outside of "
            "torch, under no_grad() or detached"
        )


def _refuse(what: str, output: Tensor, others: Sequence[Tensor]) -> None:
    """Refuse what depends on anything but its input and its own parameters."""
    if not output.requires_grad or not others:
        return
    found = torch.autograd.grad(output.sum(), others, retain_graph=True, allow_unused=True)
    if any(g is not None for g in found):
        raise ValueError(
            f"{what} depends on parameters or activations of a block before it otherwise than by "
            "its input; join these blocks, or perturb weights"
        )


def backpropagate(blocks: Blocks, tangents: object, x: Any, y: Any) -> Tensor:
    """Set ``.grad`` to ∇f of the mean loss; without tangents, the loss is returned detached."""
    loss = blocks.mean_loss(x, y)
    assign(blocks.parameters, vjp(loss, blocks.parameters))
    return loss.detach()
