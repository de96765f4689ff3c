"""Blocks that are a linear layer, with a ReLU or without, and need no autograd.

Of a small network a step's products take less time than the graph around them. See
`fgrad.gradients.activations` for the two backward passes through a block.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.modules import module as hooks

from fgrad.gradients.inputs import RefusedError
from fgrad.gradients.tail import attached, plain


@dataclass(frozen=True)
class Dense:
    r"""A block $a = \phi(x W^\top + b)$ that has been applied, φ a ReLU or nothing.

    Its products are those that autograd computes, in the same order: the bits are the same.

    Args:
        x: what the layer was handed [B, inputs].
        layer: with W [outputs, inputs].
        output: a [B, outputs], without a graph.
        rectified: whether φ is a ReLU.
        versions: of x, a and W: how often they had been written to.

    Raises:
        ValueError: on the way back, if any of them has been written to since, as autograd would.
    """

    x: Tensor
    layer: nn.Linear
    output: Tensor
    rectified: bool
    versions: tuple[int, ...]

    @property
    def parameters(self) -> list[Tensor]:
        """W, and b if there is one."""
        return trained(self.layer)

    def back(self, delta: Tensor) -> Tensor:
        """From a cotangent of the output [B, outputs] to that of the input [B, inputs]."""
        return self._before_relu(delta) @ self.layer.weight.detach()

    def gradients(self, estimate: Tensor) -> list[Tensor]:
        """Of `parameters`, from an estimate of the output's gradient [B, outputs]."""
        g = self._before_relu(estimate)
        weight = g.mT @ self.x
        return [weight] if self.layer.bias is None else [weight, g.sum(0)]

    def _before_relu(self, cotangent: Tensor) -> Tensor:
        if versions(self.x, self.output, self.layer.weight) != self.versions:
            raise RefusedError(
                "no gradient comes back: input, output or weight of a linear layer was changed in "
                "place after it had been used"
            )
        if not self.rectified:
            return cotangent
        before: Tensor = torch.ops.aten.threshold_backward(cotangent, self.output, 0)
        return before


def versions(*tensors: Tensor) -> tuple[int, ...]:
    """How often each has been written to in place."""
    return tuple(t._version for t in tensors)


def trained(layer: nn.Linear) -> list[Tensor]:
    """The parameters of a linear layer."""
    return [layer.weight] if layer.bias is None else [layer.weight, layer.bias]


def through(block: nn.Module, a: Any) -> Dense | None:
    """Apply a block that is nothing but a linear layer; ``None`` for any other block.

    So it is for a block that anything is attached to, whose layer is frozen, parametrised or of a
    subclass, and where products are cast.
    """
    layers = list(block) if type(block) is nn.Sequential else [block]
    flat, *_ = layers or [block]
    flattens = type(flat) is nn.Flatten and flat.start_dim == 1 and flat.end_dim == -1
    layer, *after = layers[flattens:] or [block]
    if not plain(layer) or [type(one) for one in after] not in ([], [nn.ReLU]):
        return None
    if any(map(attached, {block, *layers})) or attached(hooks):
        return None
    if not all(p.requires_grad for p in trained(layer)):
        return None
    if type(a) is not Tensor or a.layout is not torch.strided or a.is_nested or a.ndim < 2:
        return None
    x = a.detach().flatten(1) if flattens else a.detach()
    cast = torch.is_autocast_enabled(x.device.type)
    if x.ndim != 2 or x.dtype != layer.weight.dtype or cast:
        return None
    with torch.no_grad():
        output = linear(x, layer.weight, layer.bias)
        if after:
            output.relu_()
    return Dense(x, layer, output, bool(after), versions(x, output, layer.weight))
