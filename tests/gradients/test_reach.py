"""Blocks and losses that depend on more than their input; samples that depend on one another."""

import copy
from typing import Any

import pytest
import torch
from chains import batch, left, published, same, small, true_gradients
from every import EVERY, made, refused
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients.chain import chain
from fgrad.gradients.perturbation import Perturbation

# --- blocks that reach past their input ------------------------------------------------------------


class Borrowing(nn.Module):
    """Uses a layer that is another block's, which the tree of modules does not show."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.borrowed = [layer]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.borrowed[0].weight


class Keeping(nn.Module):
    def __init__(self, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = layer or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.layer(x)
        return self.kept.tanh()


class Joining(nn.Module):
    def __init__(self, other: Keeping) -> None:
        super().__init__()
        self.others = [other]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.others[0].kept


def borrowing() -> nn.Sequential:
    first = nn.Linear(4, 6)
    return nn.Sequential(first, nn.Tanh(), Borrowing(first), nn.Linear(4, 3))


def joining(layer: bool) -> nn.Sequential:
    keeping = Keeping(nn.Linear(6, 6) if layer else None)
    return nn.Sequential(nn.Linear(4, 6), keeping, nn.Tanh(), Joining(keeping), nn.Linear(6, 3))


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
@pytest.mark.parametrize("made_of", ["parameters", "activations", "both"])
def test_blocks_that_reach_past_their_input(made_of, perturb, mode):
    torch.manual_seed(0)
    net = borrowing() if made_of == "parameters" else joining(made_of == "both")
    net, (x, y) = net.double(), batch()
    expected = true_gradients(net, x, y)
    gradient = made(net, perturb, mode, 200)
    if perturb == "activations":
        where = "2" if made_of == "parameters" else "3"
        refused(rf"^block '{where}' depends on parameters or activations", gradient, x, y)
        return
    try:
        gradient(x, y)
    except ValueError as error:
        assert mode == "fwad"  # which puts other values in the place of parameters
        assert "another derivative" in str(error)
    else:
        same(left(net), expected, 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_loss_that_depends_on_parameters(perturb, mode):
    net, (x, y) = small(), batch()

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        decay = sum(p.square().sum() for p in net.parameters())
        return cross_entropy(outputs, y, reduction="none") + 0.1 * decay

    expected = torch.autograd.grad(loss(net(x), y).mean(), list(net.parameters()))
    gradient = made(net, perturb, mode, 200, loss=loss)
    if perturb == "activations":
        refused("^the loss depends on parameters", gradient, x, y)
    elif mode == "fwad":
        refused("another derivative", gradient, x, y)
    else:
        gradient(x, y)
        same(left(net), list(expected), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_under_no_grad_a_call_is_the_same(perturb, mode):
    net, (x, y) = small(), batch()
    with torch.no_grad():
        gradient = made(net, perturb, mode, 200)
        gradient(x, y)
        true = gradient.true_gradient(x, y)
    for found in (left(net), true):
        same(found, true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_layers_without_a_size_are_refused(perturb, mode):
    x, y = batch()
    net = nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 3)).double()
    refused("parameter '0.weight' has no size", Perturbation(net, "bp"), x, y)
    net(x)
    made(net, perturb, mode)(x, y)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_sparse_gradients_of_an_embedding(perturb, mode):
    torch.manual_seed(0)
    embedding = nn.Sequential(nn.Embedding(7, 4, sparse=True), nn.Flatten())
    net = nn.Sequential(embedding, nn.Linear(12, 3)).double()
    words, y = torch.randint(7, (5, 3)), torch.arange(5) % 3
    expected = [g.to_dense() for g in true_gradients(net, words, y)]
    made(net, perturb, mode, 200)(words, y)
    same(left(net), expected, 1e-7)


def test_packed_sequences():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x: nn.utils.rnn.PackedSequence) -> Tensor:
            return self.head(self.lstm(x)[1][0][0])

    torch.manual_seed(0)
    net, y = Reads().double(), torch.tensor([0, 1, 2])
    parts = [torch.randn(n, 4, dtype=torch.float64) for n in (5, 3, 2)]
    x = nn.utils.rnn.pack_sequence(parts)
    refused("no derivative in forward mode", made(net, "weights", "fwad"), x, y)
    for mode in ("sim", "bp", "exact"):
        made(net, "weights", mode, 400)(x, y)
        same(left(net), true_gradients(net, x, y), 1e-7)


# --- samples that depend on one another --------------------------------------------------------------


def halves(outputs: Tensor, y: Tensor) -> Tensor:
    a, b = outputs[:4], outputs[4:]
    apart = (a - b).square().sum(1)
    return torch.cat([apart, apart]) + cross_entropy(outputs, y, reduction="none")


def pairs(outputs: Tensor, y: Tensor) -> Tensor:
    losses = cross_entropy(outputs, y, reduction="none")
    return losses + torch.cat([outputs[1:].square().sum(1), outputs.new_zeros(1)])


def alike(outputs: Tensor, y: Tensor) -> Tensor:
    together = (y[:, None] == y[None]) & ~torch.eye(len(y), dtype=torch.bool)
    apart = (outputs[:, None] - outputs[None]).square().sum(2)
    return (together * apart).sum(1) + outputs.square().sum(1)


def fewer(outputs: Tensor, y: Tensor) -> Tensor:
    a, b = outputs.chunk(2)
    return (a - b).square().sum(1)


@pytest.mark.long
@pytest.mark.parametrize("k", [3, 60])
@pytest.mark.parametrize("loss", [halves, pairs, alike, fewer])
@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_losses_of_several_samples(perturb, loss, k):
    net, (x, y) = small(), batch(8)
    labels = torch.arange(8) if loss is alike else y[:4] if loss is fewer else y
    found = []
    for mode in ("sim", "fwad"):
        gradient = made(net, perturb, mode, k if k == 3 else 200, loss=loss)
        gradient(x, labels)
        for later in (y[:4] if loss is fewer else y, labels):  # labels that are alike come later
            gradient.generator.manual_seed(0)
            gradient(x, later)
        found.append(left(net))
    same(found[1], found[0], 1e-6)
    if k > 3:
        expected = torch.autograd.grad(loss(net(x), labels).mean(), list(net.parameters()))
        same(found[0], list(expected), 1e-6)


class Branch(nn.Module):
    """A residual branch that is nothing at first."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(6, 6)
        self.norm, self.scale = nn.BatchNorm1d(6), nn.Parameter(torch.zeros(()))
        if kind == "norm":
            nn.init.zeros_(self.norm.weight)

    def forward(self, a: Tensor) -> Tensor:
        if self.kind == "norm":
            return a + self.norm(self.layer(a)) + 0 * self.scale
        if self.kind == "no_grad":
            with torch.no_grad():
                gate = a.sigmoid()
            return a + self.scale * gate * self.norm(self.layer(a))
        return a + self.scale * self.norm(self.layer(a))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["norm", "scale", "no_grad"])
@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_branches_that_are_zero_at_first(perturb, mode, kind):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Branch(kind), nn.Tanh(), nn.Linear(6, 3)).double()
    (x, y), optimizer = batch(8), torch.optim.SGD(net.parameters(), 0.5)
    gradient = made(net, perturb, mode, 300)
    if kind == "no_grad" and mode == "fwad":
        refused("another derivative", gradient, x, y)
        return
    for _ in range(4):
        expected = true_gradients(copy.deepcopy(net), x, y)
        gradient(x, y)
        same(left(net), expected, 1e-6)
        optimizer.step()


# --- what is found in odd places ---------------------------------------------------------------------


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6, 6))
        self.scale, self.wide = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.a + self.b) * self.scale * self.wide.sum()


@pytest.mark.parametrize("k", [3, 300])
@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_every_gradient_has_memory_of_its_own(perturb, mode, k):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Sum(), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = batch(8)
    gradient = made(net, perturb, mode, k)
    gradient(x, y)
    found = [one.clone() for one in left(net)]
    nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
    norm = torch.cat([g.flatten() for g in found]).norm()
    same(left(net), [g * 1e-3 / norm for g in found], 1e-4)
    if k == 300:
        same(found, true_gradients(net, x, y), 1e-6)


class Hiding(nn.Module):
    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.__dict__["weight"] = weight

    def forward(self, a: Tensor) -> Tensor:
        return a @ self.weight


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_parameter_that_hides_from_the_tree(perturb, mode):
    torch.manual_seed(0)
    first = nn.Linear(4, 6)
    net = nn.Sequential(first, nn.Tanh(), Hiding(first.weight), nn.Linear(4, 3)).double()
    net[2].__dict__["weight"] = first.weight
    (x, y), gradient = batch(), made(net, perturb, mode, 200)
    if perturb == "activations":
        refused("block '2' depends on parameters", gradient, x, y)
    elif mode == "fwad":
        refused("another derivative", gradient, x, y)
    else:
        gradient(x, y)
        for found in (left(net), gradient.true_gradient(x, y)):
            same(found, true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_derivative_that_is_no_number_in_forward_mode_alone(perturb, mode):
    class Root(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return a.relu().sqrt()

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), Root(), nn.Linear(6, 3)).double()
    (x, y), gradient = batch(), made(net, perturb, mode, 200)
    expected = true_gradients(net, x, y)
    if mode == "fwad":
        refused("another derivative", gradient, x, y)
        return
    gradient(x, y)
    same(left(net), expected, 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_parts_that_are_frozen_first_and_trained_later(perturb, mode):
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.below, self.above = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, a: Tensor) -> Tensor:
            with torch.no_grad():
                gate = self.below(a).tanh()
            return self.above(a) * gate

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Half(), nn.Linear(6, 3)).double()
    net[0].requires_grad_(False)
    net[1].below.requires_grad_(False)
    (x, y), gradient = batch(), made(net, perturb, mode, 200)
    for step in range(2):
        trained = [p for p in net.parameters() if p.requires_grad]
        expected = torch.autograd.grad(
            cross_entropy(net(x), y), trained, allow_unused=True, materialize_grads=True
        )
        try:
            gradient(x, y)
        except ValueError as error:
            assert mode == "fwad"
            assert "another derivative" in str(error)
        else:
            same(left(net), list(expected), 1e-7)
        if step == 0:
            net.requires_grad_(True)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_frozen_beginning_under_no_grad(perturb, mode):
    class Frozen(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.layer = nn.Linear(size, 6).requires_grad_(False)

        @torch.no_grad()
        def forward(self, a: Tensor) -> Tensor:
            return self.layer(a).tanh()

    torch.manual_seed(0)
    net = nn.Sequential(Frozen(4), Frozen(6), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    (x, y), gradient = batch(), made(net, perturb, mode, 200)
    trained = [p for p in net.parameters() if p.requires_grad]
    expected = torch.autograd.grad(cross_entropy(net(x), y), trained)
    if mode == "fwad" and perturb == "activations":
        refused("block '1' has another derivative", gradient, x, y)
        return
    gradient(x, y)
    same(left(net), list(expected), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_blocks_replaced_between_calls(perturb, mode):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3)).double()
    (x, y), gradient = batch(8), made(net, perturb, mode, 300)
    gradient(x, y)
    for change in (
        lambda: net.__setitem__(1, nn.BatchNorm1d(6).double()),
        lambda: net.__setitem__(2, nn.ReLU(inplace=True)),
        lambda: (
            [net.__setitem__(i, nn.Linear(*s).double()) for i, s in ((0, (4, 9)), (3, (9, 3)))]
            and net.__setitem__(1, nn.BatchNorm1d(9).double())
        ),
    ):
        change()
        gradient(x, y)
        same(left(net), true_gradients(net, x, y), 1e-6)
        assert gradient.n(x, y) in (6 * 3 + 3, 9 * 3 + 3, sum(p.numel() for p in net.parameters()))


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (lambda outputs, y: 1.5, "the loss is a float"),
        (lambda outputs, y: None, "the loss is a NoneType"),
        (lambda outputs, y: (outputs.sum(1), outputs), "the loss is a tuple"),
        (lambda outputs, y: outputs.detach().numpy().sum(1), "the loss is a ndarray"),
        (lambda outputs, y: outputs.nothing, "the loss does not take"),
    ],
)
def test_losses_that_are_no_tensor(perturb, mode, loss, match):
    refused(match, made(small(), perturb, mode, loss=loss), *batch())


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_inference_mode_is_refused(perturb, mode):
    net, (x, y) = small(), batch()
    gradient = made(net, perturb, mode)
    with torch.inference_mode():
        for call in (gradient, gradient.n, gradient.true_gradient):
            refused("inference_mode", call, x, y)
        other = x.clone()
    refused("inference_mode", gradient, other, y)
    gradient(x, y)


@pytest.mark.parametrize("kind", ["inf", "empty", "bool"])
def test_a_chain_is_compared_whatever_it_gives(kind):
    class Last(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return a > 0 if kind == "bool" else a.masked_fill(a > 0, -torch.inf)

    net = nn.Sequential(nn.Linear(4, 5), Last())
    x = torch.randn(0 if kind == "empty" else 3, 4)
    chain(net, {"a": "0", "b": "1"}, example=x)
    for wrong in (["a", "b"], {"a": 3}, {"a": "0", "b": [4]}, "ab"):
        refused("block", chain, net, wrong)


def test_a_chain_may_leave_out_what_is_frozen():
    net = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    net.unused = nn.Linear(2, 2).requires_grad_(False)
    assert len(chain(net, {"a": "0", "b": "1"})) == 2


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_gradient_may_be_pickled_and_copied(perturb, mode):
    import pickle

    net, (x, y) = small(), batch()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    gradient = made(net, perturb, mode, 200, scaler=scaler)
    other = copy.deepcopy(gradient)
    assert other.scaler is not None
    other.scaler._init_scale = 8.0
    other(x, y)
    same([g / 8 for g in left(nn.ParameterList(other.parameters))], true_gradients(net, x, y), 1e-6)
    gradient(x, y)
    same([g / 4 for g in left(net)], true_gradients(net, x, y), 1e-6)
    plain = made(net, perturb, mode, 200)
    try:
        again = pickle.loads(pickle.dumps(plain))
    except TypeError as error:  # torch's generators cannot be
        assert "Generator" in str(error)
    else:
        again(x, y)


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_threads_take_turns_in_forward_mode(perturb):
    from concurrent.futures import ThreadPoolExecutor

    nets = [small(seed=seed) for seed in range(3)]
    x, y = batch()

    def work(net: nn.Module) -> None:
        gradient = made(net, perturb, "fwad", 200)
        for _ in range(5):
            gradient(x, y)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, nets))
    for net in nets:
        same(left(net), true_gradients(net, x, y), 1e-6)


# --- no false alarms -----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("margin", [0.0, 10.0, 14.0, 17.0, 25.0])
@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_a_fitted_network_is_not_refused(perturb, margin, size):
    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        fitted = outputs + margin * nn.functional.one_hot(y, 3)
        return cross_entropy(fitted, y, reduction="none")

    for seed in range(4):
        net = small(seed=seed).float()
        x, y = batch(size, seed=seed)
        made(net, perturb, "fwad", 2, loss=loss)(x.float(), y)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("training", [True, False])
def test_a_residual_network_in_float32_is_not_refused(training, perturb, size):
    net, x, y = published("resnet18")
    size += training and size == 1  # batch norm needs two
    net.float().train(training)
    made(net, perturb, "fwad", 1)(x[:size].float(), y[:size])


class Domain(nn.Module):
    """Weights that may not be just anything."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.02))
        self.mask = nn.Parameter(torch.tensor([True, False] * 3), requires_grad=False)

    def forward(self, a: Tensor) -> Tensor:
        if self.scale <= 0:
            raise ZeroDivisionError("scale")
        return torch.where(self.mask, a, 0.1 * a) / (1 + self.scale)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_weights_that_may_not_be_just_anything(perturb, mode):
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Linear(4, 6), Domain(), nn.Linear(6, 3))
    net[0].double(), net[2].double(), net[1].scale.data.copy_(0.02)
    net[1].scale.data = net[1].scale.data.double()
    x, y = batch()
    try:
        made(net, perturb, mode, 200)(x, y)
    except ValueError as error:  # whose control flow depends on what tangents perturb
        assert (perturb, mode) == ("weights", "fwad")
        assert "no derivative in forward mode" in str(error)
        return
    trained = [p for p in net.parameters() if p.requires_grad]
    expected = torch.autograd.grad(cross_entropy(net(x), y), trained)
    same(left(net), list(expected), 1e-7)


def test_inputs_of_many_lengths_are_compared_once(monkeypatch):
    from fgrad.gradients import agreement

    compared = []
    compare = agreement._compare
    monkeypatch.setattr(
        agreement, "_compare", lambda *a, **o: (compared.append(1), compare(*a, **o))
    )
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return outputs.square().sum((1, 2))

    gradient = made(net, "activations", "fwad", loss=loss)
    for length in range(2, 7):
        gradient(torch.randn(5, length, 4, dtype=torch.float64), torch.zeros(5))
        if length == 2:
            first = len(compared)
    assert len(compared) == first > 0
