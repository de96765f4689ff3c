"""Small chains with batches, what a call leaves in .grad, and how gradients are compared."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from fgrad.gradients import activations, weights
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.gradients.estimators import coefficients, draw
from fgrad.gradients.perturbation import Perturbation
from fgrad.problems import models

ALL_FOUR: list[tuple[Any, Any]] = [
    (p, m) for p in ("activations", "weights") for m in ("sim", "fwad")
]
FROG, MEAN = APPROACHES["frog"], APPROACHES["fg-mean"]


def drawn(approach: Approach, k: int, n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw(approach, (k, n), generator, dtype=torch.float64)


Seen = list[tuple[Tensor, Tensor, Tensor]]


def recorded(patch: pytest.MonkeyPatch) -> Seen:
    """Tangents, directional derivatives and coefficients of every call from now on."""
    found: Seen = []

    def watched(approach: Approach, v: Tensor, d: Tensor) -> Tensor:
        c = coefficients(approach, v, d)
        found.append((v, d, c))
        return c

    for module in (activations, weights):
        patch.setattr(module, "coefficients", watched)
    return found


def small(norm: bool = False, seed: int = 0) -> nn.Sequential:
    """Three blocks, n = 6 + 5 + 3 activations and 30 + 35 + 18 weights, in float64."""
    torch.manual_seed(seed)
    middle = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5) if norm else nn.Tanh(), nn.Tanh())
    first = nn.Sequential(nn.Linear(4, 6), nn.Softplus())
    return nn.Sequential(first, middle, nn.Linear(5, 3)).double()


def batch(
    size: int = 7, shape: tuple[int, ...] = (4,), classes: int = 3, seed: int = 1
) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(size, *shape, generator=g, dtype=torch.float64)
    return x, torch.randint(classes, (size,), generator=g)


def gradients(net: nn.Sequential, x: Tensor, y: Tensor, k: int | None, approach: Approach = FROG, seed: int = 0, **options: Any) -> list[Tensor]:  # fmt: skip
    """What one call leaves in .grad; explicit tangents unless told otherwise."""
    options = {"sampling": "explicit"} | options
    for parameter in net.parameters():
        parameter.grad = None
    Perturbation(net, approach, k, torch.Generator().manual_seed(seed), **options)(x, y)
    return [gradient.clone() for gradient in left(net)]


def left(net: nn.Module) -> list[Tensor]:
    """What is in .grad: of every parameter that is trained."""
    found = []
    for parameter in net.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            found.append(parameter.grad)
    return found


def true_gradients(net: nn.Module, x: Any, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters())))


def activation_gradients(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """Of the mean loss, for the concatenated outputs of all blocks of each sample: [B, n]."""
    outputs: list[Tensor] = []
    for block in net:
        outputs.append(block(outputs[-1] if outputs else x))
    found = torch.autograd.grad(cross_entropy(outputs[-1], y), outputs)
    return torch.cat([gradient.flatten(1) for gradient in found], 1)


def same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-9) -> None:
    """Equal within the tolerance times the largest entry, which is not zero."""
    assert len(found) == len(expected)
    largest = max(t.abs().max() for t in expected)
    assert largest > 0
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(largest))


def differ(found: list[Tensor], expected: list[Tensor]) -> bool:
    largest = max(float(t.abs().max()) for t in expected)
    off = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))
    return off > 1e-4 * largest


def published(name: str) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A small network of the name in float64, nothing in it zero or one, with a batch."""
    torch.manual_seed(0)
    reduce = {"fc": 16, "lenet5": 2, "resnet18": 16, "vit": 16, "mlpmixer": 64}[name]
    net = getattr(models, name)(1, 28, 10, reduce=reduce).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net, *batch(4, (1, 28, 28), 10)


def name_of(approach: Approach) -> str:
    options = asdict(approach)
    return "-".join(
        str(options[one.name]) for one in fields(approach) if options[one.name] != one.default
    )


def dropping() -> nn.Sequential:
    net = small()
    first, second = net[0], net[1]
    assert isinstance(first, nn.Sequential)
    assert isinstance(second, nn.Sequential)
    first.append(nn.Dropout(0.5))
    second.insert(1, nn.AlphaDropout(0.3))
    return net


class Largest(TorchDispatchMode):
    """The most entries of any tensor that an operation makes, and how many forward passes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.numel = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **kwargs or {})
        for one in result if isinstance(result, tuple | list) else (result,):
            # a broadcast view takes no memory
            if isinstance(one, Tensor) and 0 not in one.stride():
                self.numel = max(self.numel, one.numel())
        return result
