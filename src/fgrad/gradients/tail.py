"""Blocks that end in a linear layer, whose part of the second backward pass is cheap.

See `fgrad.gradients.perturbation`: the estimate of a block output's gradient is C V, of rank k over
the samples of the batch, and a linear layer need not see every sample of it.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn.modules import module as hooks

from fgrad.gradients.kernels import compiled


class Tailed(nn.Module):
    """A module that is ``skip + tail(hidden)`` by definition, where ``skip, hidden = body(x)``."""

    @property
    @abstractmethod
    def tail(self) -> nn.Linear:
        """The layer that ends the module; ``body`` may use it too."""

    @abstractmethod
    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All of the module before it."""

    def forward(self, x: Tensor) -> Tensor:
        """The module's output [B, T, m]."""
        skip, hidden = self.body(x)
        narrowed: Tensor = self.tail(hidden)
        return skip + narrowed


@dataclass(frozen=True)
class Tail:
    """A block that ends as skip + layer(hidden), with a linear layer.

    The estimate of its output's gradient is C V, with the tangents' part V [k, T, m] and
    coefficients C [B, k]. A linear layer commutes with mixing samples, so its own gradients are
    those of k mixed samples Cᵀ hidden with V, and what it carries back is C (V W): products with
    k T rows instead of B T.
    """

    skip: Tensor
    hidden: Tensor
    layer: nn.Linear

    @property
    def short(self) -> bool:
        """Whether nothing is broadcast over the samples, as the cheap way assumes."""
        return self.skip.shape[:-1] == self.hidden.shape[:-1] and self.skip.requires_grad

    def output(self) -> Tensor:
        """The block's output [B, T, m]."""
        narrowed: Tensor = self.layer(self.hidden)
        return self.skip + narrowed

    def gradients(self, c: Tensor, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the layer's weight, of its bias, and of ``hidden`` [B, T, wide]."""
        outputs, inputs = self.layer.weight.shape
        rows = part.reshape(-1, outputs)
        mixed = (c.mT @ self.hidden.detach().flatten(1).to(c.dtype)).view(-1, inputs)
        bias = c.sum(0) @ part.view(len(part), -1, outputs).sum(1)
        back = c @ (rows @ self.layer.weight.detach().to(c.dtype)).view(len(part), -1)
        return rows.mT @ mixed, bias, back.view(self.hidden.shape).to(self.hidden.dtype)


def split(block: nn.Module, a: Tensor) -> Tail | None:
    """Apply a block that ends in a linear layer up to there; ``None`` for any other block.

    So it is for a block that anything is attached to: the shortcut goes past hooks, and a layer
    that is parametrised, frozen or of a subclass need not be linear in its own weight.
    """
    *first, last = block if type(block) is nn.Sequential and len(block) else [block]
    if not isinstance(last, Tailed) or type(last).forward is not Tailed.forward:
        return None
    layer = last.tail
    if not plain(layer) or any(map(attached, {block, last, layer})) or attached(hooks):
        return None
    if not all(p.requires_grad for p in last.parameters()):
        return None
    for part in first:
        a = part(a)
    skip, hidden = last.body(a)
    return Tail(skip, hidden, layer)


def plain(layer: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a layer is torch's linear layer, its weight and bias its own parameters."""
    if type(layer) is not nn.Linear:
        return False
    kinds = [type(layer._parameters.get(name, name)) for name in ("weight", "bias")]
    return kinds[0] is nn.Parameter and kinds[1] is not str


HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_global_forward_hooks", "_global_forward_pre_hooks",
    "_global_backward_hooks", "_global_backward_pre_hooks",
)  # fmt: skip


def attached(where: object) -> bool:
    """Whether a module, or torch to all modules, has hooks, or it has another forward or call."""
    own = vars(where)
    if any(own.get(name) for name in HOOKS):
        return True
    if not isinstance(where, nn.Module):
        return False
    parameters = where.parameters(recurse=False)
    return "forward" in own or compiled(where) or any(map(watched, parameters))


def watched(parameter: nn.Parameter) -> bool:
    """Whether a parameter's gradient goes through hooks."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)
