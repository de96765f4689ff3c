"""What users bring besides a plain chain: their inputs, dtypes, habits; right, or refused in a line."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from chains import batch, left, same, small, true_gradients
from every import EVERY, made, refused
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients import estimators
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.gradients.chain import chain
from fgrad.gradients.perturbation import Perturbation
from fgrad.gradients.sampling import sample

# --- inputs ------------------------------------------------------------------------------------


class TwoArms(nn.Module):
    """Takes two tensors, by position or by name, and an option."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
        return self.left(a).tanh() + scale * self.right(b)


class Whole(TwoArms):
    """Takes all as one argument."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:  # type: ignore[override]  # a dict, as users do
        return super().forward(inputs["a"], inputs["b"])


@pytest.mark.parametrize(("perturb", "mode"), [four for four in EVERY if "weights" in four])
@pytest.mark.parametrize("how", ["tuple", "dict", "one argument", "first block"])
def test_inputs_of_several_tensors(how, perturb, mode):
    torch.manual_seed(0)
    net: nn.Module = (Whole() if how in ("one argument", "first block") else TwoArms()).double()
    (a, y), b = batch(), torch.randn(7, 2, dtype=torch.float64)
    x: Any = (a, b) if how == "tuple" else {"a": a, "b": b}
    if how == "first block":
        net = nn.Sequential(net, nn.Tanh())
    gradient = made(net, perturb, mode, 100)
    loss = gradient(x, y)
    outputs = net(*x) if how == "tuple" else net(**x) if how == "dict" else net(x)
    expected = torch.autograd.grad(cross_entropy(outputs, y), list(net.parameters()))
    torch.testing.assert_close(loss, cross_entropy(outputs, y))
    same(left(net), list(expected), 1e-8)
    same(gradient.true_gradient(x, y), list(expected), 1e-8)
    assert gradient.n(x, y) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_the_first_block_of_a_chain_may_take_a_dict(mode):
    torch.manual_seed(0)
    net = nn.Sequential(Whole(), nn.Sequential(nn.Tanh(), nn.Linear(3, 3))).double()
    (a, y), b = batch(), torch.randn(7, 2, dtype=torch.float64)
    x = {"a": a, "b": b}
    assert Perturbation(net, "frog", 3).n(x, y) == 6
    Perturbation(net, "frog", 12, mode=mode)(x, y)
    expected = torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters()))
    same(left(net), list(expected), 1e-8)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_an_empty_batch_is_refused(perturb, mode):
    net, (x, y) = small(), batch()
    refused(r"inputs \[0, 4\] hold no sample", made(net, perturb, mode), x[:0], y[:0])
    refused(r"inputs \[0, 4\] hold no sample", made(net, perturb, mode).n, x[:0], y[:0])


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_one_sample(perturb, mode):
    net, (x, y) = small(), batch(1)
    made(net, perturb, mode, 200)(x, y)
    same(left(net), true_gradients(net, x, y), 1e-6)


# --- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_networks_in_half_precision(perturb, mode, dtype):
    net, (x, y) = small(), batch()
    expected = true_gradients(net, x, y)
    half = copy.deepcopy(net).to(dtype)
    if mode == "fwad":
        refused(
            "forward mode in half precision allows", made(half, perturb, mode, 200), x.to(dtype), y
        )
        plain = copy.deepcopy(half)
        for how, one in (("fwad", half), ("sim", plain)):
            made(one, perturb, how, 3)(x.to(dtype), y)
        same([g.double() for g in left(half)], [g.double() for g in left(plain)], 0.1)
        return
    loss = made(half, perturb, mode, 200)(x.to(dtype), y)
    found = left(half)
    assert {g.dtype for g in found} == {dtype}
    assert loss.isfinite()
    same([g.double() for g in found], expected, 0.05)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_networks_of_several_dtypes(perturb, mode):
    class To(nn.Module):
        def __init__(self, dtype: torch.dtype) -> None:
            super().__init__()
            self.dtype = dtype

        def forward(self, x: Tensor) -> Tensor:
            return x.to(self.dtype)

    net, (x, y) = small(), batch()
    expected = true_gradients(net, x, y)
    net[1] = nn.Sequential(To(torch.float32), *net[1].float().children())
    net[2] = nn.Sequential(To(torch.float64), net[2])
    made(net, perturb, mode, 200)(x, y)
    found = left(net)
    assert {g.dtype for g in found} == {torch.float32, torch.float64}
    same([g.double() for g in found], expected, 1e-5)


class Coarse(nn.Module):
    """Computes more coarsely than its parameters tell."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.layer(x).float().tanh()


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_autocast_inside_of_a_module_is_no_disagreement(perturb, mode):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Coarse(), nn.Linear(6, 3))
    x, y = batch()
    few = [copy.deepcopy(net), net]
    for one, how in zip(few, ("sim", mode), strict=True):
        made(one, perturb, how, 3, generator=torch.Generator().manual_seed(0))(x.float(), y)
    if mode == "fwad":
        same(left(few[0]), left(few[1]), 0.1)
        return
    made(net, perturb, mode, 300)(x.float(), y)
    same(left(net), true_gradients(net, x.float(), y), 0.1)


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_complex_numbers_are_refused(perturb, mode):
    x, y = batch()
    between = nn.Sequential(nn.Linear(4, 6), Complex(), nn.Module()).double()
    between[2] = nn.Sequential(nn.Flatten())
    last = nn.Sequential(nn.Linear(4, 4), Complex()).double()
    for net in (between, last):
        refused("complex|loss", made(net, perturb, mode), x, y)
    weight = nn.Sequential(nn.Linear(4, 3, dtype=torch.complex128))
    refused(r"parameter '0.weight' is torch.complex128", made(weight, perturb, mode), x, y)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return torch.fft.fft(outputs)[:, 0]

    refused("the loss is torch.complex128", made(small(), perturb, mode, loss=loss), x, y)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_what_has_no_derivative_is_refused(perturb, mode):
    class NumPy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(np.tanh(x.detach().numpy()))

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.round().long()

    x, y = batch()
    for last in (NumPy(), Counts()):
        net = nn.Sequential(nn.Linear(4, 3), last).double()
        refused(
            "without a derivative|real numbers|no derivative|the loss",
            made(net, perturb, mode),
            x,
            y,
        )
    accuracy = lambda outputs, y: (outputs.argmax(1) == y).double()  # noqa: E731  as users write it
    refused("the loss has no derivative", made(small(), perturb, mode, loss=accuracy), x, y)


@pytest.mark.parametrize("size", [1e19, 1e25, 1e30, 1e-30])
@pytest.mark.parametrize("name", ["fg-mean", "frog"])
def test_an_exact_estimate_of_a_very_long_gradient(name, size):
    gradient = torch.randn(500, generator=torch.Generator().manual_seed(0))
    drawn = [
        sample(APPROACHES[name], g, 7, torch.Generator().manual_seed(1))
        for g in (gradient, size * gradient)
    ]
    torch.testing.assert_close(drawn[1] / size, drawn[0], rtol=1e-4, atol=1e-5)


# --- functions ---------------------------------------------------------------------------------


FUNCTIONS = [estimators.full_forward_mode, estimators.backpropagation]


@pytest.mark.parametrize("derive", FUNCTIONS)
@pytest.mark.parametrize(
    ("f", "match"),
    [
        (lambda x: torch.as_tensor(np.sin(x.detach().numpy()).sum(-1)), "outside of torch"),
        (lambda x: x.detach().square().sum(-1), "detached"),
        (lambda x: x.square().sum(), r"f gives \[\]"),
        (lambda x: x.square(), r"f gives \[\d, \d(, \d)?\] of torch.float32 for points"),
        (lambda x: float(x.detach().sum()), "f gives float"),
        (lambda x: torch.complex(x, x).sum(-1), "complex64"),
    ],
)
def test_functions_without_a_derivative_are_refused(f, match, derive):
    refused(match, derive, f, torch.randn(3, 2))


@pytest.mark.parametrize("derive", FUNCTIONS)
def test_a_function_that_is_constant_has_the_gradient_zero(derive):
    x = torch.randn(3, 2)
    assert torch.equal(derive(lambda x: torch.ones(x.shape[:-1]), x), torch.zeros(3, 2))


# --- a network that is no chain ------------------------------------------------------------------


class Forgetful(nn.Module):
    """Its forward does more than its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(4, 4), nn.Linear(4, 3), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.drop(x + self.first(x).tanh()))


class Shortcut(nn.Module):
    def __init__(self, first: nn.Linear) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return x + self.first(x).tanh()


@pytest.mark.parametrize("training", [True, False])
def test_a_chain_is_compared_with_its_network(training):
    torch.manual_seed(0)
    net, x = Forgetful().train(training), torch.randn(5, 4)
    random_state = torch.get_rng_state()
    whole: dict[str, Any] = {"first": Shortcut(net.first), "second": ["drop", "second"]}
    assert chain(net, whole, example=x).training == training
    mode = "training" if training else "evaluation"
    wrong = {"first": ["first", nn.Tanh()], "second": ["drop", "second"]}
    refused(
        rf"^in {mode} the blocks are another function: outputs are up to .* off",
        chain,
        net,
        wrong,
        x,
    )
    # a difference in the other mode of the network
    forgotten = {"first": Shortcut(net.first), "second": "second"}
    refused("^in training the blocks are another function", chain, net, forgotten, x)
    swapped = {"second": ["drop", "second"], "first": Shortcut(net.first)}
    refused("chain does not take the example", chain, net, swapped, x)
    refused("network does not take the example", chain, net, whole, x[:, :2])
    assert [m.training for m in net.modules()] == [training] * 4
    assert torch.equal(torch.get_rng_state(), random_state)


def test_comparing_a_chain_changes_no_statistics():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    before = copy.deepcopy(net.state_dict())
    chain(net, {"a": ["0", "1"], "b": "2"}, example=torch.randn(5, 4))
    chain(net.eval(), {"a": ["0", "1"], "b": "2"}, example=torch.randn(1, 4))
    assert all(torch.equal(a, before[name]) for name, a in net.state_dict().items())


@pytest.mark.parametrize(
    "net",
    [Forgetful(), nn.ModuleList([nn.Linear(4, 3)]), nn.Linear(4, 3)],
    ids=lambda m: type(m).__name__,
)
def test_activations_need_a_chain(net):
    refused(
        rf"^{type(net).__name__} is no chain of blocks: chain\(module, blocks",
        Perturbation,
        net,
        "frog",
        2,
    )


class Scaled(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_container_that_does_something_itself_is_no_chain():
    parts = [nn.Linear(4, 4), nn.Linear(4, 3)]
    refused("is no chain of blocks", Perturbation, Scaled(*parts), "frog", 2)
    hooked = nn.Sequential(*parts)
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    refused("the chain itself has hooks", Perturbation, hooked, "frog", 2)
    for net in (Scaled(*parts).double(), hooked.double()):
        x, y = batch()
        Perturbation(net, "frog", 99, perturb="weights", sampling="explicit")(x, y)
        same(left(net), true_gradients(net, x, y), 1e-8)


class Net(nn.Module):
    """No chain at all: a U-Net's skip connection, weights that serve twice."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 3)
        self.up.weight = self.down.weight

    def forward(self, x: Tensor) -> Tensor:
        low = self.down(x).tanh()
        return self.head(torch.cat([self.up(low).tanh(), x], 1))


@pytest.mark.parametrize(
    ("perturb", "mode"), [four for four in EVERY if four[0] == "weights" or four[1] == "bp"]
)
def test_weights_need_no_chain(perturb, mode):
    torch.manual_seed(0)
    net, (x, y) = Net().double(), batch()
    made(net, perturb, mode, 100)(x, y)
    same(left(net), true_gradients(net, x, y), 1e-8)


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_parallel_wrappers_are_refused(perturb):
    net = nn.DataParallel(small())
    refused(r"DataParallel .* give its \.module", Perturbation, net, "frog", 2, perturb=perturb)
    refused(r"DataParallel .* give its \.module", Perturbation, net, "bp")


def test_a_compiled_chain_is_refused_where_it_has_no_blocks():
    net, (x, y) = small(), batch()
    whole: Any = torch.compile(net, backend="aot_eager")
    refused("a compiled chain has no blocks", Perturbation, whole, "frog", 2)
    for mode in ("sim", "fwad", "exact", "bp"):
        made(whole, "weights", mode, 200)(x, y)
        same(left(net), true_gradients(net, x, y), 1e-6)
    net.compile(backend="aot_eager")
    refused("a compiled chain has no blocks", Perturbation, net, "frog", 2)


# --- habits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_gradients_of_several_batches_are_added_up_when_told_to(perturb, mode):
    net, (x, y) = small(), batch()
    gradient = made(net, perturb, mode, 200)
    gradient(x[:3], y[:3], accumulate=True)
    gradient(x[3:], y[3:], accumulate=True)
    parts = true_gradients(net, x[:3], y[:3]), true_gradients(net, x[3:], y[3:])
    same(left(net), [a + b for a, b in zip(*parts, strict=True)], 1e-6)
    gradient(x, y)
    same(left(net), true_gradients(net, x, y), 1e-6)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_failed_call_leaves_gradients_as_they_were(perturb, mode):
    net, (x, y) = small(), batch()
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    refused("does not take", made(net, perturb, mode), x[:, :2], y)
    assert all((gradient == 1).all() for gradient in left(net))


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_a_scaler_unscales_what_was_scaled(perturb, mode):
    net, (x, y) = small(), batch()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    gradient = made(net, perturb, mode, 200, scaler=scaler)
    expected = true_gradients(net, x, y)
    loss = gradient(x, y)
    torch.testing.assert_close(loss, cross_entropy(net(x), y))
    same([g / 2**16 for g in left(net)], expected, 1e-6)
    same(gradient.true_gradient(x, y), expected, 1e-8)
    scaler.unscale_(optimizer)
    same(left(net), expected, 1e-6)
    before = [p.detach().clone() for p in net.parameters()]
    scaler.step(optimizer)
    scaler.update()
    moved = [(old - p.detach()) / 0.1 for old, p in zip(before, net.parameters(), strict=True)]
    same(moved, expected, 1e-6)


@pytest.mark.parametrize(("perturb", "mode"), EVERY)
def test_autocast_in_float16_needs_a_scaler(perturb, mode):
    net, (x, y) = small().float(), batch()
    with torch.autocast("cpu", torch.float16):
        refused("scaler=GradScaler", made(net, perturb, mode), x.float(), y)
    other = copy.deepcopy(net)
    with torch.autocast("cpu", torch.bfloat16):
        if mode == "fwad":
            refused("in half precision allows", made(net, perturb, mode, 200), x.float(), y)
        made(net, perturb, mode, 3 if mode == "fwad" else 200)(x.float(), y)
    if mode == "fwad":
        made(other, perturb, "sim", 3)(x.float(), y)
        same(left(net), left(other), 0.1)
    else:
        same([g.double() for g in left(net)], true_gradients(small(), x, y), 0.1)


@pytest.mark.parametrize("approach", [*APPROACHES, *APPROACHES.values()], ids=str)
def test_an_approach_may_be_named(approach):
    known = APPROACHES[approach] if isinstance(approach, str) else approach
    k = 2 if known.aggregation else None
    assert Perturbation(small(), approach, k).approach == known


@pytest.mark.parametrize(
    "approach", ["FROG", "projection", None, 3, Approach, {"aggregation": "mean"}]
)
def test_another_approach_is_refused(approach):
    refused("an Approach or one of bp, fg-mean, frog", Perturbation, small(), approach, 2)


@pytest.mark.parametrize("k", [0, -1, 2.0, 1.5, "3", True, float("nan"), torch.tensor(2.5)])
def test_tangents_are_counted(k):
    refused(r"^k = ", Perturbation, small(), "frog", k)
    refused(r"^chunk = ", Perturbation, small(), "frog", 2, chunk=k)
    numbers: tuple[Any, Any] = np.int64(2), torch.tensor(2)
    Perturbation(small(), "frog", numbers[0], chunk=numbers[1])


def test_a_language_models_outputs_need_a_loss_of_their_own():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(11, 6), nn.Sequential(nn.Tanh(), nn.Linear(6, 11))).double()
    words = torch.randint(11, (4, 5))
    for perturb, mode in EVERY:
        refused("loss= takes", made(net, perturb, mode), words, words)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(outputs.mT, y, reduction="none").mean(1)

    expected = torch.autograd.grad(loss(net(words), words).mean(), list(net.parameters()))
    for perturb, mode in EVERY:
        made(net, perturb, mode, 500, loss=loss)(words, words)
        same(left(net), list(expected), 1e-7)
