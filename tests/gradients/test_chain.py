"""Chains of blocks: no trace is left, unusual blocks are right or refused in one line."""

import copy
from collections.abc import Callable

import pytest
import torch
from chains import (
    ALL_FOUR,
    FROG,
    batch,
    differ,
    dropping,
    gradients,
    left,
    same,
    small,
    true_gradients,
)
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.ops import StochasticDepth

from fgrad.gradients.approach import Approach
from fgrad.gradients.chain import chain
from fgrad.gradients.perturbation import Perturbation


def norm_state(net: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in net.buffers()]


@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize(
    ("perturb", "mode", "approach"),
    [(*four, FROG) for four in ALL_FOUR] + [("activations", "sim", Approach())],
)
def test_running_statistics_are_updated_once_a_call(perturb, mode, approach, chunk):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Unflatten(1, (2, 2)), nn.BatchNorm1d(2, momentum=0.3), nn.Flatten()),
        nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, momentum=None), nn.Tanh()),
        nn.Linear(5, 3),
    ).double()
    plain = copy.deepcopy(net)
    k = 3 if approach.aggregation else None
    gradient = Perturbation(net, approach, k, perturb=perturb, mode=mode, chunk=chunk)
    for step in range(1, 4):
        x, y = batch(seed=step)
        gradient(x, y)
        plain(x)
        for found, expected in zip(net.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(found, expected)
    assert net.get_buffer("1.1.num_batches_tracked") == 3


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_statistics_of_instance_norm_are_updated_once_a_call(perturb, mode):
    torch.manual_seed(0)
    norm = nn.InstanceNorm1d(2, affine=True, track_running_stats=True)
    net = nn.Sequential(
        nn.Sequential(nn.Unflatten(1, (2, 2)), norm, nn.Flatten()), nn.Linear(4, 3)
    ).double()
    plain, (x, y) = copy.deepcopy(net), batch()
    Perturbation(net, FROG, 3, perturb=perturb, mode=mode)(x, y)
    plain(x)
    for found, expected in zip(net.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_in_evaluation_running_statistics_stay(perturb, mode):
    net, (x, y) = small(norm=True).eval(), batch()
    before = norm_state(net)
    gradients(net, x, y, 3, perturb=perturb, mode=mode)
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), before, strict=True))
    assert not net.training


def test_an_error_leaves_batch_norm_tracking():
    net, (x, y) = small(norm=True), batch()
    with pytest.raises(ValueError, match="block '0'"):
        Perturbation(net, FROG, 3)(x[:, :2], y)
    assert net.get_submodule("1.1").track_running_stats


def test_the_true_gradient_changes_nothing():
    for net, (x, y) in ((small(norm=True), batch()), (dropping(), batch())):
        before, random = norm_state(net), torch.get_rng_state()
        values = [p.detach().clone() for p in net.parameters()]
        first = net.get_parameter("0.0.weight")
        first.grad = torch.ones(6, 4, dtype=torch.float64)
        gradient = Perturbation(net, FROG, 3)
        tangents = gradient.generator.get_state()
        found = gradient.true_gradient(x, y)
        assert torch.equal(first.grad, torch.ones(6, 4))
        assert all(p.grad is None for p in list(net.parameters())[1:])
        assert all(torch.equal(a, b) for a, b in zip(net.buffers(), before, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), values, strict=True))
        assert torch.equal(torch.get_rng_state(), random)
        assert torch.equal(gradient.generator.get_state(), tangents)
        same(found, true_gradients(net, x, y))  # of the masks that are drawn next


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
@pytest.mark.parametrize("chunk", [None, 2])
def test_dropout_draws_the_same_masks_in_both_modes(perturb, mode, chunk):
    net, (x, y) = dropping(), batch()
    torch.manual_seed(3)
    expected = gradients(net, x, y, 5, perturb=perturb)
    torch.manual_seed(3)
    found = gradients(net, x, y, 5, perturb=perturb, mode=mode, chunk=chunk)
    after = torch.get_rng_state()
    same(found, expected)
    torch.manual_seed(3)
    net(x)
    assert torch.equal(torch.get_rng_state(), after)
    torch.manual_seed(4)
    assert differ(gradients(net, x, y, 5, perturb=perturb, mode=mode), expected)


class FunctionalDropout(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("module", [FunctionalDropout(), Noise(), StochasticDepth(0.5, "row")], ids=lambda m: type(m).__name__)  # fmt: skip
def test_whatever_draws_random_numbers_draws_the_same_in_both_modes(module, perturb):
    net, (x, y) = small(), batch()
    net[0] = nn.Sequential(net[0], module)
    found = []
    for mode in ("sim", "fwad"):
        torch.manual_seed(3)
        found.append(gradients(net, x, y, 5, perturb=perturb, mode=mode))
    same(found[1], found[0])


def test_attention_with_dropout_has_a_forward_mode():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True),
        nn.Sequential(nn.Flatten(), nn.Linear(8, 3)),
    ).double()
    x, y = batch(5, (2, 4))
    found = []
    for mode in ("sim", "fwad"):
        torch.manual_seed(3)
        found.append(gradients(net, x, y, 5, mode=mode))
    same(found[1], found[0])


# --- unusual chains --------------------------------------------------------------------------


@pytest.mark.parametrize(("perturb", "mode"), [*ALL_FOUR, ("activations", "bp"), ("weights", "law")])  # fmt: skip
def test_frozen_parameters_get_no_gradient(perturb, mode):
    net, (x, y) = small(), batch()
    net[1].requires_grad_(False)
    net.get_parameter("2.bias").requires_grad_(False)
    k = None if mode == "bp" else 100
    options = {"sampling": "exact"} if mode == "law" else {"mode": mode} if k and mode != "bp" else {}  # fmt: skip
    approach = FROG if k else Approach()
    found = gradients(net, x, y, k, approach, perturb=perturb, **{"sampling": "auto"} | options)
    trained = [p for p in net.parameters() if p.requires_grad]
    assert all(p.grad is None for p in net.parameters() if not p.requires_grad)
    expected = torch.autograd.grad(cross_entropy(net(x), y), trained)
    same(found, list(expected), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_a_frozen_first_block(perturb, mode):
    net, (x, y) = small(), batch()
    net[0].requires_grad_(False)
    found = gradients(net, x, y, 100, perturb=perturb, mode=mode)
    trained = [p for p in net.parameters() if p.requires_grad]
    same(found, list(torch.autograd.grad(cross_entropy(net(x), y), trained)), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_blocks_without_parameters(perturb, mode):
    torch.manual_seed(0)
    blocks = nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Identity(), nn.Linear(6, 3)
    net = nn.Sequential(*blocks).double()
    x, y = batch(5, (2, 2))
    assert Perturbation(net, FROG, 1).n(x, y) == 4 + 6 + 6 + 6 + 3
    found = gradients(net, x, y, 5, perturb=perturb, mode=mode)
    same(found, gradients(net, x, y, 5, perturb=perturb))
    same(gradients(net, x, y, 99, perturb=perturb, mode=mode), true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_one_activation_module_may_serve_as_several_blocks(perturb, mode):
    torch.manual_seed(0)
    tanh = nn.Tanh()
    net = nn.Sequential(nn.Linear(4, 6), tanh, nn.Linear(6, 5), tanh, nn.Linear(5, 3)).double()
    x, y = batch()
    assert Perturbation(net, FROG, 1).n(x, y) == 6 + 6 + 5 + 5 + 3
    same(gradients(net, x, y, 99, perturb=perturb, mode=mode), true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize("mode", ["sim", "fwad"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_parameter_in_two_blocks_is_refused_or_right(mode, whole):
    """A gradient without one block's part is silently wrong."""
    torch.manual_seed(0)
    shared, other = nn.Linear(4, 4), nn.Linear(4, 4)
    other.weight = shared.weight
    second = nn.Sequential(shared if whole else other, nn.Tanh())
    net = nn.Sequential(nn.Sequential(shared, nn.Tanh()), second, nn.Linear(4, 3)).double()
    x, y = batch()
    try:
        found = gradients(net, x, y, 99, mode=mode)
    except ValueError as error:
        assert "weight" in str(error)
    else:
        same(found, true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
@pytest.mark.parametrize("kind", [nn.ReLU, nn.ELU])
def test_a_block_may_begin_in_place(perturb, mode, kind):
    """As torchvision's networks do when they are cut before an activation."""
    torch.manual_seed(0)
    rest = nn.Sequential(kind(inplace=True), nn.Linear(6, 3))
    net = nn.Sequential(nn.Linear(4, 6), rest).double()
    x, y = batch()
    found = gradients(net, x, y, 99, perturb=perturb, mode=mode)
    same(found, true_gradients(net, x, y), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_the_first_block_may_change_its_input(perturb, mode):
    """As in a plain forward pass, but once: what is measured first is a copy."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.ELU(inplace=True), nn.Linear(4, 3)), nn.Linear(3, 3))
    net, (x, y) = net.double(), batch()
    found = gradients(net, x.clone(), y, 99, perturb=perturb, mode=mode)
    same(found, true_gradients(net, x.clone(), y), 1e-7)


# --- chains of the user's own ----------------------------------------------------------------


class Own(nn.Module):
    """A network as users write them: flat submodules, functions in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.act = nn.Tanh()
        self.body = nn.ModuleDict({"wide": nn.Linear(8, 6), "narrow": nn.Linear(6, 5)})
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.act(self.conv(x)).flatten(1)
        return self.head(self.act(self.body["narrow"](self.body["wide"](a))))


BLOCKS: dict[str, str | list[str | nn.Module] | tuple[str | nn.Module, ...]] = {
    "first": ["conv", "act", nn.Flatten()],
    "wide": "body.wide",
    "rest": ("body.narrow", nn.Tanh(), "head"),
}


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_a_chain_of_the_users_own_shares_its_parameters(mode):
    torch.manual_seed(0)
    own = Own().double()
    made = chain(own, BLOCKS)
    assert [name for name, _ in made.named_children()] == ["first", "wide", "rest"]
    assert {id(p) for p in made.parameters()} == {id(p) for p in own.parameters()}
    x, y = batch(5, (1, 4, 4))
    assert torch.equal(made(x), own(x))
    Perturbation(made, FROG, 8 + 6 + 3, mode=mode)(x, y)
    expected = torch.autograd.grad(cross_entropy(own(x), y), list(own.parameters()))
    same(left(own), list(expected), 1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wide": "body.wider"}, r"no submodule 'body.wider'; there are conv, act, body, head"),
        ({"wide": "convolution"}, r"no submodule 'convolution'; there are conv, act, body, head"),
        ({"rest": ("body.narrow", nn.Tanh())}, r"parameter 'head.weight' belongs to no block"),
        ({"more": "conv"}, r"parameter 'conv.weight' belongs to 2 blocks; it must belong to one"),
        ({"wide": "body"}, r"parameter 'body.narrow.weight' belongs to 2 blocks"),
        ({"rest": []}, "rest"),
        ({"a.b": nn.Identity()}, r"a\.b"),
    ],
)
def test_blocks_that_make_no_chain(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        chain(Own(), BLOCKS | change)
    assert "\n" not in str(caught.value)


# --- errors ----------------------------------------------------------------------------------


class Gives(nn.Module):
    def __init__(self, what: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> object:
        return self.what(x)


def refused(net: nn.Sequential, match: str, x: Tensor, y: Tensor, **options) -> None:
    for perturb, mode in ALL_FOUR:
        with pytest.raises(ValueError, match=match) as caught:
            Perturbation(net, FROG, 2, perturb=perturb, mode=mode, **options)(x, y)
        assert "\n" not in str(caught.value)


def test_blocks_that_do_not_compose_are_named():
    net = nn.Sequential(nn.Linear(4, 5), nn.Linear(6, 3)).double()
    refused(net, r"^block '1' does not take \[7, 5\]: ", *batch())
    named = chain(net, {"wide": "0", "narrow": "1"})
    refused(named, r"^block 'narrow' does not take \[7, 5\]: ", *batch())


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda x: (x, x), r"^block '1' gives tuple; a tensor \[7, …\] is needed"),
        (lambda x: x[:3], r"^block '1' gives \[3, 3\]; a tensor \[7, …\] is needed"),
        (lambda x: x.mean(), r"^block '1' gives \[\]; a tensor \[7, …\] is needed"),
        (lambda x: None, r"^block '1' gives NoneType; a tensor \[7, …\] is needed"),
    ],
)
def test_blocks_that_give_no_batch_are_named(what, message):
    refused(nn.Sequential(nn.Linear(4, 3), Gives(what)).double(), message, *batch())


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (cross_entropy, r"\[\]"),
        (lambda a, y: (a - 1).square(), r"\[7, 3\]"),
        (lambda a, y: a.sum(1, keepdim=True), r"\[7, 1\]"),
    ],
)
def test_a_loss_needs_a_number_for_each_sample(loss, shape):
    message = rf"^the loss has shape {shape}; one number for each of the 7 samples is needed"
    refused(small(), message, *batch(), loss=loss)
    with pytest.raises(ValueError, match=message):
        Perturbation(small(), Approach(), loss=loss)(*batch())
