"""A network with its loss, as functions that leave their input as it was.

Tangents of activations need a chain, an `nn.Sequential` whose children are the blocks; to tangents
of weights any module is one block.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from fgrad.gradients.draws import Draws
from fgrad.gradients.inputs import (
    FAILED,
    RefusedError,
    first_line,
    handed,
    mapped,
    samples,
    shapes,
    tensors,
)
from fgrad.gradients.jacobians import assign, vjp
from fgrad.gradients.kernels import differentiable
from fgrad.gradients.measuring import Found, Modes, measure
from fgrad.gradients.state import held, same_random, unchanged

T = TypeVar("T")

Loss = Callable[[Any, Any], Tensor]

FORWARD = RLock()
"""Forward mode and its switches are the process's, not a thread's."""


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
        self._modes: dict[object, Modes] = {}
        self.now = Found()

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

    def sizes(self, x: Any, y: Any, step: bool = False) -> list[int]:
        """Entries of each block's output for one sample, or of all parameters.

        The first call of a kind measures, and later ones now and then: a network may come to do
        what it did not at first.

        Args:
            x: inputs [B, …].
            y: targets [B, …].
            step: whether a gradient is to be made.

        Raises:
            ValueError: if no parameter requires a gradient, the blocks do not compose, a block or
                the loss gives what has no derivative, or the loss is not one number a sample.
        """
        kind = self._kind(x)
        key = kind, tuple(() if self.whole else t.shape[1:] for t in tensors(x))
        if key not in self._found:
            self._found[key] = Found(modes=self._modes.setdefault(kind, Modes()))
        found = self._found[key]
        self.now = found
        if step or not found.calls:
            found.calls += 1
            if found.fresh:
                with self.looking():
                    measure(self, x, y, found)
        if self.whole:
            return [sum(p.numel() for p in self.parameters)]
        return found.sizes

    @contextmanager
    def looking(self) -> Iterator[None]:
        """What is refused inside is looked at again the next time."""
        try:
            yield
        except BaseException:
            self._found = {k: found for k, found in self._found.items() if found is not self.now}
            self.now.modes.compared = False
            raise

    def _kind(self, x: Any) -> object:
        """What a measurement depends on: inputs, modules, their modes and what is trained."""
        kinds = [(t.ndim, t.dtype, t.shape[:1] > (1,)) for t in tensors(x)]
        modules = [
            (id(m), m.training, getattr(m, "inplace", False)) for m in self.network.modules()
        ]
        trained = [p.requires_grad for p in self.network.parameters()]
        return tuple(kinds), tuple(modules), tuple(trained)

    def applied(self, name: str, block: nn.Module, a: Any) -> Any:
        """Apply one block; raises ValueError that names it if it does not take a."""
        positions, keywords = ((a,), {}) if name else handed(block, a)
        try:
            return block(*positions, **keywords)
        except RefusedError:
            raise
        except FAILED as error:
            who = f"block {name!r}" if name else "the network"
            said = f"{who} does not take {shapes(a)}: {first_line(error)}"
            raise RefusedError(said) from None

    def given(self, i: int, a: Any) -> Any:
        """What a block is handed: a copy of its input where it works in place."""
        return mapped(Tensor.clone, a) if i in self.now.in_place else a

    def outputs(self, x: Any) -> Any:
        """The network as a function that leaves its input as it was."""
        return self.applied("", self.network, self.given(0, x))

    def losses(self, outputs: Any, y: Any) -> Tensor:
        """A loss for each sample [B]; raises ValueError if it is anything else."""
        try:
            losses = self.loss(outputs, y)
        except RefusedError:
            raise
        except FAILED as error:
            raise RefusedError(
                f"the loss does not take outputs {shapes(outputs)} with targets {shapes(y)}: "
                f"{first_line(error)}; loss= takes (outputs, targets) → one number for each sample"
            ) from None
        if not isinstance(losses, Tensor) or losses.is_complex() or not losses.is_floating_point():
            kind = losses.dtype if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
            raise RefusedError(f"the loss is {kind}; a tensor of real numbers is needed")
        many = samples(y) or (len(losses) if losses.ndim else 1)
        if losses.shape != (many,):
            raise RefusedError(
                f"the loss has shape {list(losses.shape)}; one number for each of the {many} "
                "samples is needed, without a reduction: loss= takes another"
            )
        return losses

    def mean_loss(self, x: Any, y: Any) -> Tensor:
        """Mean loss over the batch, with its graph."""
        return self.losses(self.outputs(x), y).mean()

    def unchanged(self) -> AbstractContextManager[None]:
        """Passes inside leave the state of network and loss as it was; weights may move."""
        return unchanged(*self.modules)

    @property
    def modules(self) -> list[nn.Module]:
        """What has a state: the network, and the loss if it is a module."""
        loss = getattr(self.loss, "unscaled", self.loss)
        return [self.network, loss] if isinstance(loss, nn.Module) else [self.network]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A pass inside leaves nothing changed, and what it draws is drawn next outside."""
        with self.unchanged(), held(self.now.moving), same_random(self.network):
            yield

    def draws(self, x: Any, y: Any) -> Draws:
        """The random draws of this step, made in a pass of their own where it draws at all."""
        draws = Draws()
        if self.now.draws:
            state = unchanged(*self.modules, drawing=True)
            kept = held(self.now.moving)
            kernels = differentiable(self.network)
            with FORWARD, state, kept, kernels, torch.no_grad(), draws.recorded():
                self.losses(self.outputs(x), y)
        return draws

    def with_draws(self, x: Any, y: Any, work: Callable[[Draws], T]) -> tuple[Draws, T]:
        """The draws of this step, and work with them; once more if it draws for the first time."""
        draws = self.draws(x, y)
        found = work(draws)
        if self.now.draws and not draws:
            draws = self.draws(x, y)
            found = work(draws)
        return draws, found

    @contextmanager
    def passes(self, draws: Draws) -> Iterator[None]:
        """Passes of forward mode: what was drawn is drawn again, by kernels it has derivatives of.

        Where nothing was drawn and something is after all, `Found.draws` says so afterwards.
        """
        with FORWARD, differentiable(self.network), held(self.now.moving):
            if draws:
                with draws.again():
                    yield
            else:
                with same_random(self.network) as moved:
                    yield
                self.now.draws |= moved()


def backpropagate(blocks: Blocks, tangents: object, x: Any, y: Any) -> Tensor:
    """Set ``.grad`` to ∇f of the mean loss; without tangents, the loss is returned detached."""
    loss = blocks.mean_loss(x, y)
    assign(blocks.parameters, vjp(loss, blocks.parameters))
    return loss.detach()
