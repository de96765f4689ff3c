"""The shortcut through a last linear layer: what the whole block gives, or not taken."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from chains import gradients, same
from kinds import LoRA
from torch import Tensor, nn
from torch.nn.modules import module as torchs
from torch.nn.utils import parametrizations, prune

from fgrad.gradients import activations
from fgrad.gradients.perturbation import Perturbation
from fgrad.gradients.tail import Tailed, split
from fgrad.problems import models


def vit() -> Any:
    torch.manual_seed(0)
    net: Any = models.vit(1, 28, 10, None, 16).double()
    nn.init.normal_(net[-1][-1].weight)
    return net


def batch() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(6, 1, 28, 28, generator=g, dtype=torch.float64), torch.arange(6)


@pytest.fixture
def shortcuts(monkeypatch) -> list[bool]:
    """For each block whether the shortcut was taken."""
    found: list[bool] = []

    def watched(block: nn.Module, a: Tensor) -> object:
        tail = split(block, a)
        found.append(tail is not None)
        return tail

    monkeypatch.setattr(activations, "split", watched)
    return found


def plain(net: nn.Sequential, k: int) -> list[Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activations, "split", lambda block, a: None)
        return gradients(net, *batch(), k)


def test_it_is_taken_by_the_shipped_transformer(shortcuts):
    net = vit()
    found = gradients(net, *batch(), 4)
    assert shortcuts == [True] * 5 + [False]
    same(found, plain(net, 4))


class Doubling(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x).tanh()


def replaced(kind: Callable[[nn.Linear], nn.Module]) -> Callable[[Any], None]:
    def change(block: Any) -> None:
        block.narrow = kind(block.narrow).double()

    return change


def subclassed(layer: nn.Linear) -> nn.Module:
    made = Doubling(layer.in_features, layer.out_features)
    made.load_state_dict(layer.state_dict())
    return made


def trains_alone(block: Any) -> None:
    block.requires_grad_(False)
    block.narrow.requires_grad_(True)


def own_forward(block: Any) -> None:
    forward = block.narrow.forward
    block.narrow.forward = lambda x: forward(x).sin()


CHANGES: dict[str, Callable[[Any], object]] = {
    "forward hook on the layer": lambda b: b.narrow.register_forward_hook(lambda m, i, out: 3 * out),
    "hook before the layer": lambda b: b.narrow.register_forward_pre_hook(lambda m, i: (i[0].sin(),)),
    "forward hook on the block": lambda b: b.register_forward_hook(lambda m, i, out: out.sin()),
    "a forward of its own": own_forward,
    "a subclass": replaced(subclassed),
    "pruning": lambda b: prune.random_unstructured(b.narrow, "weight", amount=0.5),
    "bias pruned": lambda b: prune.random_unstructured(b.narrow, "bias", amount=0.5),
    "weight norm": lambda b: parametrizations.weight_norm(b.narrow),
    "weight norm by hooks": lambda b: torch.nn.utils.weight_norm(b.narrow),
    "spectral norm": lambda b: parametrizations.spectral_norm(b.narrow),
    "LoRA": replaced(LoRA),
    "only the layer is trained": trains_alone,
    "the layer is frozen": lambda b: b.narrow.requires_grad_(False),
    "its weight is frozen": lambda b: b.narrow.weight.requires_grad_(False),
    "the rest is frozen but a bias": lambda b: (trains_alone(b), b.join.bias.requires_grad_(True)),
}  # fmt: skip


@pytest.mark.long
# old, and used
@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("where", [0, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_where_it_would_be_inexact_it_is_not_taken(change, where, shortcuts):
    nets = vit(), vit()  # either may change its state
    for net in nets:
        torch.manual_seed(1)
        CHANGES[change](net[where][-1] if where == 0 else net[where])
    found = gradients(nets[0], *batch(), 4)
    assert shortcuts == [i != where for i in range(5)] + [False]
    same(found, plain(nets[1], 4))


@pytest.fixture
def global_hook() -> Iterator[None]:
    def halve(module: nn.Module, inputs: object, output: Tensor) -> Any:
        return output / 2 if isinstance(module, nn.Linear) else None

    handle = torchs.register_module_forward_hook(halve)
    yield
    handle.remove()


@pytest.mark.usefixtures("global_hook")
def test_not_past_a_hook_on_all_modules(shortcuts):
    net = vit()
    found = gradients(net, *batch(), 4)
    assert not any(shortcuts)
    same(found, plain(net, 4))


class Steps(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sin()


def test_not_past_what_a_container_does_itself(shortcuts):
    net = vit()
    net[0] = Steps(*net[0])
    net[1] = nn.Sequential(net[1])
    net[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    found = gradients(net, *batch(), 4)
    assert shortcuts == [False, False, True, True, True, False]
    same(found, plain(net, 4))


class Shared(Tailed):
    """Its last layer serves before too."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(28, 28, bias=bias)

    @property
    def tail(self) -> nn.Linear:
        return self.layer

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.cos(), self.layer(x).tanh()


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_that_serves_twice(bias, shortcuts):
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    net = nn.Sequential(nn.Sequential(nn.Flatten(1, 2), Shared(bias)), Shared(bias), head).double()
    found = gradients(net, *batch(), 4)
    assert shortcuts == [True, True]  # the head goes its own way: test_dense.py
    same(found, plain(net, 4))


class LooksAlike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.widen, self.tail = nn.Linear(28, 20), nn.Linear(20, 28)

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, self.widen(x).tanh()

    def forward(self, x: Tensor) -> Tensor:
        skip, hidden = self.body(x)
        return torch.relu(skip + self.tail(hidden))


class Overridden(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sin()


@pytest.mark.parametrize("block", [LooksAlike, Overridden])
def test_names_alone_do_not_open_it(block, shortcuts):
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    net = nn.Sequential(nn.Sequential(nn.Flatten(1, 2), block()), block(), head).double()
    found = gradients(net, *batch(), 4)
    assert not any(shortcuts)
    same(found, plain(net, 4))
    gradient = Perturbation(net, "frog", 4)
    loss = gradient(*batch())
    torch.testing.assert_close(loss, nn.functional.cross_entropy(net(batch()[0]), batch()[1]))
