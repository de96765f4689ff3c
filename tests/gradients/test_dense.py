"""The way through a linear layer without a graph: bit by bit what the graph gives, or not taken."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from chains import recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules import module as torchs
from torch.nn.utils import parametrizations, prune

from fgrad.gradients import activations
from fgrad.gradients.dense import through
from fgrad.gradients.perturbation import Perturbation
from fgrad.problems import models

K = 4


def network(bias: bool = True, inplace: bool = False) -> nn.Sequential:
    """Three blocks that are dense."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.Linear(12, 8, bias), nn.ReLU(inplace)),
        nn.Sequential(nn.Linear(8, 6, bias), nn.ReLU(inplace)),
        nn.Linear(6, 3, bias),
    )


def batch(size: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(size, 3, 4, generator=g), torch.randint(3, (size,), generator=g)


def result(net: nn.Sequential, x: Tensor, y: Tensor, k: int = K) -> list[Tensor | None]:
    """Of two steps: gradients of all parameters, and the loss."""
    gradient = Perturbation(net, "frog", k)
    gradient(x, y)
    loss = gradient(x, y)
    return [*(p.grad for p in net.parameters()), loss]


def by_graph(net: nn.Sequential, x: Tensor, y: Tensor, k: int = K) -> list[Tensor | None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activations, "through", lambda block, a: None)
        return result(net, x, y, k)


def assert_same_bits(found: list[Tensor | None], expected: list[Tensor | None]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.equal(a, b)


@pytest.fixture
def taken(monkeypatch) -> list[bool]:
    """For each block that was applied whether it went without a graph."""
    found: list[bool] = []

    def watched(block: nn.Module, a: Any) -> object:
        one = through(block, a)
        found.append(one is not None)
        return one

    monkeypatch.setattr(activations, "through", watched)
    return found


@settings(deadline=None)
@given(
    width=st.integers(1, 40), size=st.integers(1, 70), k=st.integers(1, 20),
    bias=st.booleans(), double=st.booleans(),
)  # fmt: skip
def test_the_bits_are_those_of_the_graph(width, size, k, bias, double):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.Linear(12, width, bias), nn.ReLU()),
        nn.Sequential(nn.Linear(width, width, bias), nn.ReLU()),
        nn.Linear(width, 3, bias),
    )
    x, y = batch(size)
    if double:
        net, x = net.double(), x.double()
    assert through(net[0], x)
    k = min(k, 2 * width + 3)
    assert_same_bits(result(net, x, y, k), by_graph(net, x, y, k))


def test_it_is_taken_by_the_shipped_networks(taken):
    net = models.fc(1, 28, 10, 64)
    x = torch.randn(9, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    found = result(net, x, torch.arange(9))
    assert taken == [True] * 6
    assert_same_bits(found, by_graph(net, x, torch.arange(9)))


@pytest.mark.parametrize("inplace", [False, True])
def test_values_are_zero_where_a_relu_is_shut(inplace, taken):
    net: Any = network(inplace=inplace)
    x, y = batch()
    with torch.no_grad():
        net[0][1].bias.fill_(-100.0)  # nothing passes the first layer
        x[0] = torch.nan  # nor is what is no number lost
    found = result(net, x, y)
    assert all(taken)
    expected = by_graph(net, x, y)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_weights_that_blocks_share(taken):
    net, twice = network(), nn.Linear(3, 3)
    net.append(nn.Sequential(twice, nn.ReLU())).append(twice)
    found = result(net, *batch())
    assert all(taken)
    assert_same_bits(found, by_graph(net, *batch()))


def own_forward(layer: Any) -> None:
    forward = layer.forward
    layer.forward = lambda x: forward(x).sin()


class Doubling(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Leaky(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(x)


def replaced(at: int, module: Callable[[], nn.Module]) -> Callable[[Any], None]:
    def change(net: Any) -> None:
        net[1][at] = module()

    return change


CHANGES: dict[str, Callable[[Any], object]] = {
    "a hook on the layer": lambda n: n[1][0].register_forward_hook(lambda m, i, out: 3 * out),
    "a hook before the layer": lambda n: n[1][0].register_forward_pre_hook(lambda m, i: (i[0].sin(),)),
    "a hook on the ReLU": lambda n: n[1][1].register_forward_hook(lambda m, i, out: out + 1),
    "a hook on the block": lambda n: n[1].register_forward_hook(lambda m, i, out: out.sin()),
    "a hook on the way back": lambda n: n[1].register_full_backward_hook(lambda m, i, o: (i[0] / 2,)),
    "a hook on a parameter": lambda n: n[1][0].weight.register_hook(lambda g: g.sign()),
    "a forward of its own": lambda n: own_forward(n[1][0]),
    "the block's forward": lambda n: own_forward(n[1]),
    "a subclass": replaced(0, lambda: Doubling(8, 6)),
    "another ReLU": replaced(1, Leaky),
    "another activation": replaced(1, nn.GELU),
    "a flattening that keeps": lambda n: n[1].insert(0, nn.Flatten(0, -2)),
    "more behind": lambda n: n[1].append(nn.ReLU()),
    "pruned": lambda n: prune.random_unstructured(n[1][0], "weight", amount=0.5),
    "weight norm": lambda n: parametrizations.weight_norm(n[1][0]),
    "frozen": lambda n: n[1].requires_grad_(False),
    "weight frozen": lambda n: n[1][0].weight.requires_grad_(False),
    "bias frozen": lambda n: n[1][0].bias.requires_grad_(False),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_where_it_would_be_another_function_it_is_not_taken(change, taken):
    nets = network(), network()  # either may change its state
    for net in nets:
        torch.manual_seed(1)
        CHANGES[change](net)
    found = result(nets[0], *batch())
    assert taken == [True, False, True] * 2
    assert_same_bits(found, by_graph(nets[1], *batch()))


def test_not_past_a_hook_on_all_modules(taken):
    def halve(module: nn.Module, inputs: object, output: Tensor) -> Any:
        return output / 2 if isinstance(module, nn.Linear) else None

    handle = torchs.register_module_forward_hook(halve)
    try:
        found = result(network(), *batch())
        assert not any(taken)
        assert_same_bits(found, by_graph(network(), *batch()))
    finally:
        handle.remove()


def test_not_where_products_are_cast(taken):
    with torch.autocast("cpu", torch.bfloat16):
        found = result(network(), *batch())
        assert not any(taken)
        assert_same_bits(found, by_graph(network(), *batch()))


def test_on_sequences_when_they_are_flat(taken):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.Flatten(), nn.Linear(15, 3)))
    found = result(net, *batch())
    assert taken == [False, True] * 2
    assert_same_bits(found, by_graph(net, *batch()))


class Writing(nn.Module):
    """Writes in place, once it is told where: into a tensor, or into what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.where: list[Tensor | None] = []

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for where in self.where:
                (x if where is None else where).add_(1.0)
        return x * 2


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("what", ["input", "output", "weight"])
def test_what_is_written_to_after_it_was_used_is_refused(what, graph, monkeypatch):
    if graph:
        monkeypatch.setattr(activations, "through", lambda block, a: None)
    net: Any = network()
    (x, y), writing = batch(), Writing()
    net.insert(2, writing)
    gradient = Perturbation(net, "frog", K)
    gradient(x, y)  # what it does at first is looked at, and allowed for
    writing.where = [{"input": x, "output": None, "weight": net[1][0].weight}[what]]
    with pytest.raises(ValueError, match="no gradient comes back"):
        gradient(x, y)


def test_as_many_tangents_as_dimensions_give_the_gradient(monkeypatch):
    seen = recorded(monkeypatch)
    net, (x, y) = network().double(), batch(7)
    x = x.double()
    Perturbation(net, "frog", 8 + 6 + 3)(x, y)
    found = [p.grad for p in net.parameters()]
    expected = torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters()))
    assert len(seen) == 1
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
