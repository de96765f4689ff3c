"""A network as a chain of blocks, aᵢ = Bᵢ(aᵢ₋₁): an `nn.Sequential` whose children are the blocks.

`chain` makes one of a network of the user's own, by naming its blocks. `Blocks` is a chain with its
loss as functions that leave no trace but the one a plain forward pass leaves.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fgrad.gradients.jacobians import assign, vjp

Part = str | nn.Module
Loss = Callable[[Tensor, Tensor], Tensor]


def chain(module: nn.Module, blocks: Mapping[str, Part | Sequence[Part]]) -> nn.Sequential:
    """A network of the user's own as a chain, by naming its blocks; parameters are shared with it.

    Args:
        module: the network.
        blocks: for each block its parts, applied in order: names of submodules as
            `nn.Module.get_submodule` takes them, or modules such as ``nn.Flatten()`` for what the
            network's ``forward`` does by function calls.

    Returns:
        The chain.

    Raises:
        ValueError: if the module has no such submodule, a block has no parts or a dot in its name,
            or a parameter belongs to no block or to two (its gradient would be incomplete).
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
        found[name] = nn.Sequential(*map(find, each)) if len(each) > 1 else find(each[0])
    made = nn.Sequential(OrderedDict(found))
    owners = [set(map(id, block.parameters())) for block in made]
    for name, parameter in module.named_parameters():
        count = sum(id(parameter) in own for own in owners)
        if count != 1:
            where = "no block" if count == 0 else f"{count} blocks"
            raise ValueError(f"parameter {name!r} belongs to {where}; it must belong to one")
    return made


class Blocks:
    """A chain with its loss, as functions that leave their input as it was.

    Args:
        network: its children, in order, are the blocks.
        loss: (outputs [B, …], targets [B, …]) → a loss for each sample [B].
    """

    def __init__(self, network: nn.Sequential, loss: Loss) -> None:
        self.chain, self.loss = network, loss
        self._sizes: dict[torch.Size, list[int]] = {}
        self._in_place: set[int] = set()

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that require a gradient, in the order of the chain."""
        return [p for p in self.chain.parameters() if p.requires_grad]

    @property
    def dtype(self) -> torch.dtype:
        """Of the tangents: float64 for a network in float64, else float32."""
        wide = any(p.dtype == torch.float64 for p in self.parameters)
        return torch.float64 if wide else torch.float32

    def sizes(self, x: Tensor, y: Tensor) -> list[int]:
        """Entries of each block's output for one sample; the first call of a shape measures.

        Args:
            x: inputs [B, …].
            y: targets [B, …].

        Raises:
            ValueError: if no parameter requires a gradient, the blocks do not compose, or the loss
                is not one number for each sample.
        """
        if x.shape[1:] not in self._sizes:
            if not self.parameters:
                raise ValueError("no parameter of the chain requires a gradient")
            with same_function(self.chain), torch.no_grad():
                outputs = [x]
                for i, (name, block) in enumerate(self.chain._modules.items()):
                    given = outputs[-1].clone()
                    version = given._version
                    outputs.append(apply(name, block, given))
                    if given._version != version:
                        self._in_place.add(i)
                self.losses(outputs[-1], y)
            self._sizes[x.shape[1:]] = [a[0].numel() for a in outputs[1:]]
        return self._sizes[x.shape[1:]]

    def block(self, i: int) -> Callable[[Tensor], Tensor]:
        """A block as a function that leaves its input as it was."""
        return lambda a: self.chain[i](self.given(i, a))

    def given(self, i: int, a: Tensor) -> Tensor:
        """What a block is handed: a copy of its input where it works in place."""
        return a.clone() if i in self._in_place else a

    def outputs(self, x: Tensor) -> Tensor:
        """The chain as a function that leaves its input as it was."""
        outputs: Tensor = self.chain(self.given(0, x))
        return outputs

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """A loss for each sample [B]; raises ValueError if it is anything else."""
        losses = self.loss(outputs, y)
        if losses.shape != (len(y),):
            raise ValueError(
                f"the loss has shape {list(losses.shape)}; one number for each of the {len(y)} "
                "samples is needed, without a reduction"
            )
        return losses

    def mean_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss over the batch, with its graph."""
        return self.losses(self.outputs(x), y).mean()


def backpropagate(blocks: Blocks, tangents: object, x: Tensor, y: Tensor) -> Tensor:
    """Set ``.grad`` to ∇f of the mean loss; without tangents, the loss is returned detached."""
    loss = blocks.mean_loss(x, y)
    assign(blocks.parameters, vjp(loss, blocks.parameters))
    return loss.detach()


@contextmanager
def same_function(network: nn.Module) -> Iterator[None]:
    """Passes inside compute what the next pass outside computes, and leave no trace.

    Running statistics stay as they are, dropout draws the masks it will draw again, and attention
    takes the one kernel that has a forward mode.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    kept = [(norm, dict(norm._buffers)) for norm in norms if norm.training]
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices), sdpa_kernel(SDPBackend.MATH):
        for norm, buffers in kept:
            norm._buffers.update(dict.fromkeys(buffers))
        try:
            yield
        finally:
            for norm, buffers in kept:
                norm._buffers.update(buffers)


def apply(name: str, block: nn.Module, a: Tensor) -> Tensor:
    """Apply one block; raises ValueError that names it if it does not take a or gives no batch."""
    try:
        output = block(a)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if "alloc" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"block {name!r} does not take {list(a.shape)}: {reason}") from None
    if not isinstance(output, Tensor) or output.shape[:1] != a.shape[:1]:
        got = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"block {name!r} gives {got}; a tensor [{len(a)}, …] is needed")
    return output
