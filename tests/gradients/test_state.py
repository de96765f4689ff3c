"""State moves once a step and never when something is measured; switches are put back."""

import copy
import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from chains import batch, left, same, small, true_gradients
from every import EVERY, made, refused
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients.chain import chain

# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_dropout_in_place_that_was_measured_in_evaluation(perturb, mode):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 6), nn.Sequential(nn.Dropout(0.5, inplace=True), nn.Linear(6, 3))
    )
    net, (x, y) = net.double().eval(), batch()
    gradient = made(net, perturb, mode, 200)
    gradient(x, y)
    net.train()
    for seed in range(2):
        torch.manual_seed(seed)
        expected = true_gradients(net, x, y)
        torch.manual_seed(seed)
        gradient(x, y)
        same(left(net), expected, 1e-7)


class Growing(nn.Module):
    """Draws nothing at first: a rate that a schedule raises from zero."""

    rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x.mT, self.rate, self.training).mT


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_dropout_that_begins_later(perturb, mode):
    torch.manual_seed(0)
    drop = Growing()
    net = nn.Sequential(nn.Linear(4, 6), nn.Sequential(drop, nn.Linear(6, 3)), nn.Tanh()).double()
    x, y = batch()
    gradient = made(net, perturb, mode, 200)
    for rate in (0.0, 0.5, 0.0, 0.3):
        drop.rate = rate
        torch.manual_seed(5)
        expected = true_gradients(net, x, y)
        after = torch.get_rng_state()
        torch.manual_seed(5)
        gradient(x, y)
        assert torch.equal(torch.get_rng_state(), after)
        same(left(net), expected, 1e-7)


class Drawing(nn.Module):
    """Draws from every generator there is, also one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(0)
        self.numpy = np.random.default_rng(0)
        self.python = random.Random(0)

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(x.shape, generator=self.own, dtype=x.dtype) + random.random()
        noise += torch.as_tensor(np.random.rand(*x.shape))
        return x * (noise + self.numpy.random() + self.python.random())


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_every_generator_moves_once_a_step_and_never_when_measured(perturb, mode):
    def fresh() -> tuple[nn.Sequential, list]:
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        drawing = Drawing()
        net = nn.Sequential(nn.Linear(4, 6), nn.Sequential(drawing, nn.Linear(6, 3))).double()
        return net, [drawing.own, drawing.numpy, drawing.python]

    def states(generators: list) -> list[object]:
        own, numpys, python = generators
        return [own.get_state().tolist(), numpys.bit_generator.state, python.getstate(), random.getstate(), str(np.random.get_state())]  # fmt: skip

    (x, y), (net, generators) = batch(), fresh()
    before = states(generators)
    gradient = made(net, perturb, mode, 200)
    gradient.n(x, y)
    true = gradient.true_gradient(x, y)
    assert states(generators) == before
    gradient(x, y)
    after, found = states(generators), left(net)
    same(found, true, 1e-7)
    plain, own = fresh()
    expected = true_gradients(plain, x, y)
    same(found, expected, 1e-7)
    assert states(own) == after


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_switches_of_torch_are_put_back(perturb, mode):
    net = nn.Sequential(
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.LSTM(4, 4, batch_first=True)
    )
    switches = [(torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled)]  # fmt: skip
    head = nn.Sequential(net[0], nn.Flatten(), nn.Linear(8, 3)).double().eval()
    x, y = batch(5, (2, 4))
    made(head, perturb, mode)(x, y)
    bad = nn.Sequential(nn.Linear(4, 4), *net).double()
    with pytest.raises(ValueError, match=r"tuple|loss"):
        made(bad, perturb, mode)(x, y)
    switches.append((torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled))  # fmt: skip
    assert switches[0] == switches[1]


def test_no_warning_is_given():
    net, (x, y) = small(norm=True), batch()
    for perturb, mode in EVERY:
        made(net, perturb, mode)(x, y)


class Writes(nn.Module):
    shared: Tensor

    def __init__(self, shared: Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6)
        self.register_buffer("shared", shared)

    def forward(self, x: Tensor) -> Tensor:
        a = self.layer(x)
        self.shared.copy_(a.detach().mean(0))
        return a


class Reads(Writes):
    def forward(self, a: Tensor) -> Tensor:
        return (
            nn.functional.linear((a - self.shared).square(), self.layer.weight.mT)
            + self.layer.bias.sum()
        )


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_buffer_that_modules_share_is_one(perturb, mode):
    torch.manual_seed(0)
    shared = torch.zeros(6, dtype=torch.float64)
    net = nn.Sequential(Writes(shared), nn.Tanh(), Reads(shared), nn.Linear(4, 3)).double()
    net[2].shared = net[0].shared
    x, y = batch()
    net(x + 1)
    gradient = made(net, perturb, mode, 200)
    true = gradient.true_gradient(x, y)
    gradient(x, y)
    found = left(net)
    for one in (true, found):
        same(one, true_gradients(net, x, y), 1e-7)


class Masking(nn.Module):
    """Leaves a mask for whoever comes later, in a dict that both hold."""

    def __init__(self, context: dict[str, Tensor]) -> None:
        super().__init__()
        self.layer, self.context = nn.Linear(4, 6), context

    def forward(self, x: Tensor) -> Tensor:
        self.context["mask"] = (x.sum(1, keepdim=True) > 0).to(x.dtype)
        return self.layer(x)


class Masked(nn.Module):
    def __init__(self, context: dict[str, Tensor]) -> None:
        super().__init__()
        self.layer, self.context = nn.Linear(6, 3), context

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * self.context["mask"])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_what_an_earlier_block_has_noted(perturb, mode, first):
    torch.manual_seed(0)
    context: dict[str, Tensor] = {}
    net = nn.Sequential(Masking(context), nn.Tanh(), Masked(context)).double()
    x, y = batch()
    if not first:
        net(-x)
    gradient = made(net, perturb, mode, 200)
    gradient(x, y)
    found = left(net)
    for one in (found, gradient.true_gradient(-x, y)):
        same(one, true_gradients(net, x if one is found else -x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_what_a_loss_takes_from_a_block(perturb, mode):
    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, a: Tensor) -> Tensor:
            out = self.layer(a)
            self.weight_of = out.detach().abs().mean(1)
            return out

    torch.manual_seed(0)
    noting = Noting()
    net = nn.Sequential(nn.Linear(4, 6), noting, nn.Linear(6, 3)).double()
    x, y = batch()
    net(3 * x.flip(0))

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(outputs, y, reduction="none") * noting.weight_of

    made(net, perturb, mode, 200, loss=loss)(x, y)
    expected = torch.autograd.grad(loss(net(x), y).mean(), list(net.parameters()))
    same(left(net), list(expected), 1e-7)


class Nested(nn.Module):
    """State in containers, and one shared with a copy of it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: dict[str, Any] = {
            "calls": [0],
            "tensors": [torch.zeros(3)],
            "pair": (torch.zeros(2), 1),
        }

    def forward(self, x: Tensor) -> Tensor:
        self.log["calls"][0] += 1
        self.log["tensors"][0] += 1
        self.log["pair"][0].add_(1)
        return x


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_state_in_containers(perturb, mode):
    torch.manual_seed(0)
    nested = Nested()
    net = nn.Sequential(nn.Linear(4, 6), nested, nn.Linear(6, 3)).double()
    x, y = batch()
    gradient = made(net, perturb, mode, 3)
    gradient.n(x, y)
    gradient.true_gradient(x, y)
    assert nested.log["calls"] == [0]
    for step in (1, 2):
        gradient(x, y)
        assert nested.log["calls"] == [step]
        assert nested.log["tensors"][0].tolist() == [step] * 3
        assert nested.log["pair"][0].tolist() == [step] * 2


class Centred(nn.Module):
    """A loss with a state, which moves as it is asked."""

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(3, dtype=torch.float64))

    def forward(self, outputs: Tensor, y: Tensor) -> Tensor:
        losses = (outputs - self.centre).square().sum(1)
        self.centre = 0.9 * self.centre + 0.1 * outputs.detach().mean(0)
        return losses


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_loss_with_a_state_and_none_with_parameters(perturb, mode):
    net, (x, y), loss = small(), batch(), Centred()
    gradient = made(net, perturb, mode, 200, loss=loss)
    for _ in range(2):
        plain = copy.deepcopy(loss)
        gradient.n(x, y)
        gradient.true_gradient(x, y)
        assert torch.equal(loss.centre, plain.centre)
        expected = torch.autograd.grad(plain(net(x), y).mean(), list(net.parameters()))
        gradient(x, y)
        same(left(net), list(expected), 1e-7)
        torch.testing.assert_close(loss.centre, plain.centre)
    loss.scale = nn.Parameter(torch.ones(()))
    refused("the loss has parameters of its own", made(net, perturb, mode, loss=loss), x, y)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_loss_that_draws_outside_of_torch(perturb, mode):
    net, (x, y) = small(), batch()

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        noise = torch.as_tensor(np.random.rand(len(y)))
        return cross_entropy(outputs, y, reduction="none") * noise

    gradient = made(net, perturb, mode, 200, loss=loss)
    np.random.seed(0)
    for _ in range(3):
        before = np.random.get_state()
        expected = torch.autograd.grad(loss(net(x), y).mean(), list(net.parameters()))
        after = str(np.random.get_state())
        np.random.set_state(before)
        gradient(x, y)
        assert str(np.random.get_state()) == after
        same(left(net), list(expected), 1e-7)


def test_comparing_a_chain_leaves_example_weights_and_merged_layers():
    class Merging(nn.Linear):
        """Does something when its mode changes."""

        merged = 0

        def train(self, mode: bool = True) -> "Merging":
            self.merged += not mode
            return super().train(mode)

    torch.manual_seed(0)
    x = torch.randn(5, 4)
    net = nn.Sequential(nn.ReLU(inplace=True), Merging(4, 3))
    before = x.clone()
    chain(net, {"a": "0", "b": "1"}, example=x)
    assert torch.equal(x, before)
    assert net[1].merged == 0
    words = nn.Sequential(nn.Embedding(7, 4, max_norm=0.1), nn.Flatten(), nn.Linear(12, 3))
    weight = words.get_parameter("0.weight").detach().clone()
    chain(words, {"a": "0", "b": ["1", "2"]}, example=torch.randint(7, (5, 3)))
    assert torch.equal(words.get_parameter("0.weight"), weight)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_scripted_modules_are_kept_too(perturb, mode):
    torch.manual_seed(0)
    norm = torch.jit.script(nn.BatchNorm1d(6).double())
    net = nn.Sequential(nn.Linear(4, 6), norm, nn.Linear(6, 3)).double()
    x, y = batch()
    gradient = made(net, perturb, mode, 200)
    before = norm.running_mean.clone()
    try:
        gradient.n(x, y)
        true = gradient.true_gradient(x, y)
        assert torch.equal(norm.running_mean, before)
        gradient(x, y)
    except ValueError as error:
        assert mode == "fwad"
        assert "\n" not in str(error)
    else:
        assert not torch.equal(norm.running_mean, before)
        same(left(net), true, 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_frozen_block_loses_the_gradient_it_had(perturb, mode):
    net, (x, y) = small(), batch()
    gradient = made(net, perturb, mode)
    gradient(x, y)
    net[1].requires_grad_(False)
    gradient(x, y)
    assert [p.grad is None for p in net.parameters()] == [False] * 2 + [True] * 2 + [False] * 2


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_hooks_after_a_gradient_are_called(perturb, mode):
    net, (x, y) = small(), batch()
    seen = []
    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    made(net, perturb, mode)(x, y)
    assert len(seen) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen, left(net), strict=True))


class Teacher(nn.Module):
    """Frozen weights that follow the trained ones, by a list of both."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.slow = nn.Linear(6, 6), nn.Linear(6, 6).requires_grad_(False)
        self.pairs = list(zip(self.slow.parameters(), self.own.parameters(), strict=True))

    def forward(self, a: Tensor) -> Tensor:
        with torch.no_grad():
            for slow, own in self.pairs:
                slow.mul_(0.5).add_(0.5 * own)
        return self.own(a) * self.slow(a)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_frozen_weights_that_move(perturb, mode):
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Linear(4, 6), Teacher(), nn.Linear(6, 3)).double()
    net[1].pairs = list(zip(net[1].slow.parameters(), net[1].own.parameters(), strict=True))
    plain, (x, y) = copy.deepcopy(net), batch()
    trained = [p for p in plain.parameters() if p.requires_grad]
    expected = torch.autograd.grad(cross_entropy(plain(x), y), trained)
    gradient, before = made(net, perturb, mode, 200), copy.deepcopy(net.state_dict())
    try:
        gradient.n(x, y)
        gradient.true_gradient(x, y)
        assert all(torch.equal(a, before[name]) for name, a in net.state_dict().items())
        gradient(x, y)
    except ValueError as error:
        assert mode == "fwad"
        assert "captured" in str(error) or "another derivative" in str(error)
        return
    same(left(net), list(expected), 1e-7)
    assert torch.equal(net[1].slow.weight, plain[1].slow.weight)


class Odd(NamedTuple):
    scale: float
    seen: list[int]


class Holding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.size, self.odd, self.many = torch.Size([6]), Odd(0.5, [0]), [0.0] * 100_000
        self.top = torch.max(torch.ones(2, 3), 1)
        self.itself: list[object] = []
        self.itself.append(self.itself)

    def forward(self, a: Tensor) -> Tensor:
        self.odd.seen[0] += 1
        self.shape = a.shape
        assert self.size.numel() == 6
        assert self.itself[0] is self.itself
        return a * self.odd.scale * self.top.values.sum() / self.shape.numel()


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_attributes_of_every_kind(perturb, mode):
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Linear(4, 6), Holding(), nn.Linear(6, 3)).double()
    x, y = batch()
    gradient, (size, odd) = made(net, perturb, mode, 200), (net[1].size, net[1].odd)
    gradient.n(x, y)
    gradient.true_gradient(x, y)
    assert odd.seen == [0]
    gradient(x, y)
    assert odd.seen == [1]
    assert net[1].size is size
    assert net[1].odd is odd
    same(left(net), true_gradients(net, x, y), 1e-7)


def test_an_interruption_leaves_the_network_as_it_was(monkeypatch):
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.notes = [1]

    def stopped(value: object) -> object:
        if isinstance(value, list):
            raise KeyboardInterrupt
        return copy.deepcopy(value)

    net = nn.Sequential(nn.BatchNorm1d(4), Stubborn(), nn.Linear(4, 3))
    buffers = list(net.buffers())
    monkeypatch.setattr(copy, "copy", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(net, "weights", "bp").n(torch.randn(3, 4), torch.arange(3))
    assert all(a is b for a, b in zip(net.buffers(), buffers, strict=True))
