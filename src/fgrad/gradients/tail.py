"""Blocks that end in a linear layer, whose part of the second backward pass is cheap.

See `fgrad.gradients.perturbation`: the estimate of a block output's gradient is C V, of rank k over
the samples of the batch, and a linear layer need not see every sample of it.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Tailed(Protocol):
    """A module whose output is ``skip + tail(hidden)``, where ``skip, hidden = body(x)``."""

    @property
    def tail(self) -> nn.Linear:
        """The layer that ends the module."""

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All of the module before it."""


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
    """Apply a block that ends in a linear layer up to there; ``None`` for any other block."""
    *first, last = block if isinstance(block, nn.Sequential) and len(block) else [block]
    if not isinstance(last, Tailed):
        return None
    for part in first:
        a = part(a)
    skip, hidden = last.body(a)
    return Tail(skip, hidden, last.tail)
