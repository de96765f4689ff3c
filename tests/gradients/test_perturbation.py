"""Perturbed activations and weights: against plain loops, mode against mode, no trace left."""

import copy
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import StochasticDepth

from fgrad.gradients import laws, perturbation
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.gradients.estimators import coefficients, draw
from fgrad.gradients.perturbation import Perturbation, chain
from fgrad.problems import models
from fgrad.problems.registry import MODELS

ALL_FOUR = [(p, m) for p in ("activations", "weights") for m in ("sim", "fwad")]
FROG, MEAN = APPROACHES["frog"], APPROACHES["fg-mean"]


def drawn(approach: Approach, k: int, n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw(approach, (k, n), generator, dtype=torch.float64)


@pytest.fixture
def seen(monkeypatch) -> Iterator[list[tuple[Tensor, Tensor, Tensor]]]:
    """Tangents, directional derivatives and coefficients of every call."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []

    def watched(approach: Approach, v: Tensor, d: Tensor) -> Tensor:
        c = coefficients(approach, v, d)
        found.append((v, d, c))
        return c

    monkeypatch.setattr(perturbation, "coefficients", watched)
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


def gradients(net: nn.Sequential, x: Tensor, y: Tensor, k: int | None, approach: Approach = FROG, seed: int = 0, **options) -> list[Tensor]:  # fmt: skip
    """What one call leaves in .grad; explicit tangents unless told otherwise."""
    options = {"tangents": "explicit"} | options
    for parameter in net.parameters():
        parameter.grad = None
    Perturbation(net, approach, k, torch.Generator().manual_seed(seed), **options)(x, y)
    return [p.grad.clone() for p in net.parameters() if p.requires_grad]


def true_gradients(net: nn.Sequential, x: Tensor, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters())))


def activation_gradients(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """Of the mean loss, for the concatenated outputs of all blocks of each sample: [B, n]."""
    outputs = []
    for block in net:
        x = block(x)
        x.retain_grad()
        outputs.append(x)
    cross_entropy(x, y).backward()
    found = torch.cat([a.grad.flatten(1) for a in outputs], 1)
    net.zero_grad()
    return found


def same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-9) -> None:
    """Equal within the tolerance times the largest entry, which is not zero."""
    assert len(found) == len(expected)
    largest = max(t.abs().max() for t in expected)
    assert largest > 0
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(largest))


def differ(found: list[Tensor], expected: list[Tensor]) -> bool:
    largest = max(t.abs().max() for t in expected)
    return max((a - b).abs().max() for a, b in zip(found, expected, strict=True)) > 1e-4 * largest


def published(name: str) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A small network of the name in float64, nothing in it zero or one, with a batch."""
    torch.manual_seed(0)
    reduce = {"fc": 16, "lenet5": 2, "resnet18": 16, "vit": 16, "mlpmixer": 64}[name]
    net = getattr(models, name)(1, 28, 10, reduce=reduce).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net, *batch(4, (1, 28, 28), 10)


# --- both modes against each other -----------------------------------------------------------


@pytest.mark.parametrize("approach", [FROG, MEAN], ids=["frog", "mean"])
@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("name", MODELS)
def test_both_modes_give_the_same_gradient_for_every_model(name, perturb, approach):
    net, x, y = published(name)
    net.eval()
    sim, fwad = (
        gradients(net, x, y, 3, approach, perturb=perturb, mode=m) for m in ("sim", "fwad")
    )
    assert all(g.abs().max() > 0 for g in sim)
    same(fwad, sim)


@pytest.mark.parametrize("approach", [FROG, MEAN], ids=["frog", "mean"])
@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_with_batch_norm_in_training_the_sums_over_the_batch_agree(name, approach, seen):
    net, x, y = published(name)
    for training in (True, False):
        net.train(training)
        seen.clear()
        sim, fwad = (gradients(net, x, y, 3, approach, mode=m) for m in ("sim", "fwad"))
        (v, d_sim, _), (w, d_fwad, _) = seen
        assert torch.equal(v, w)
        same([d_fwad.sum(0)], [d_sim.sum(0)])
        # the gradient of the last bias is the sum of the samples' estimates
        same(fwad[-1:], sim[-1:])
        assert differ([d_fwad], [d_sim]) == training
        assert differ(fwad, sim) == training


@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_with_batch_norm_in_training_perturbed_weights_agree(name):
    net, x, y = published(name)
    net.train()
    sim, fwad = (gradients(net, x, y, 3, perturb="weights", mode=m) for m in ("sim", "fwad"))
    same(fwad, sim)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_a_network_in_float64_needs_nothing_said(perturb, mode):
    net, (x, y) = small(), batch()
    found = gradients(net, x, y, 200, perturb=perturb, mode=mode)
    same(found, true_gradients(net, x, y), 1e-4)
    assert {g.dtype for g in found} == {torch.float64}


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_in_float32_both_modes_agree_to_its_rounding(perturb, mode):
    net, (x, y) = small().float(), batch()
    expected = gradients(net, x.float(), y, 5, perturb=perturb)
    same(gradients(net, x.float(), y, 5, perturb=perturb, mode=mode), expected, 1e-5)


@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_of_tangents_change_nothing(perturb, chunk):
    net, (x, y) = small(), batch()
    whole, parts = (
        gradients(net, x, y, 7, perturb=perturb, mode="fwad", chunk=c) for c in (None, chunk)
    )
    same(parts, whole)


layers = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(
    layers=layers,
    size=st.integers(1, 5),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
    approach=st.sampled_from([FROG, MEAN]),
)
def test_random_chains(layers, size, k, seed, approach):
    """Both modes agree, and no sample's projection is longer than its gradient."""
    torch.manual_seed(seed)
    blocks, inputs = [], 4
    for outputs, curved in layers:
        linear = nn.Linear(inputs, outputs)
        blocks.append(nn.Sequential(linear, nn.Tanh()) if curved else linear)
        inputs = outputs
    net = nn.Sequential(*blocks, nn.Linear(inputs, 3)).double()
    x, y = batch(size, seed=seed)
    found = []

    def watched(approach: Approach, v: Tensor, d: Tensor) -> Tensor:
        found.append((v, d))
        return coefficients(approach, v, d)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perturbation, "coefficients", watched)
        for perturb in ("activations", "weights"):
            sim, fwad = (
                gradients(net, x, y, k, approach, seed % 1000, perturb=perturb, mode=mode)
                for mode in ("sim", "fwad")
            )
            same(fwad, sim, 1e-6)
    if approach is FROG:
        true = activation_gradients(net, x, y)
        for v, d in found[:2]:
            torch.testing.assert_close(d, true @ v.mT)
            estimate = coefficients(approach, v, d) @ v
            assert (estimate.norm(dim=1) <= true.norm(dim=1) * (1 + 1e-6)).all()


# --- against plain loops ---------------------------------------------------------------------


def plain_aggregation(name: str, v: Tensor, g: Tensor) -> Tensor:
    """One gradient g [n] and tangents v [k, n], from the formulas of the paper's section 3."""
    k, n = v.shape
    d = [float(one @ g) for one in v]
    if name == "projection":
        basis = torch.linalg.svd(v, full_matrices=False)[2]
        return basis.mT @ (basis @ g)
    if name in ("max", "max-normalized"):
        size = [abs(di) / (float(vi.norm()) if name != "max" else 1) for di, vi in zip(d, v, strict=True)]  # fmt: skip
        best = max(range(k), key=size.__getitem__)
        return d[best] * v[best]
    total = sum(di * vi for di, vi in zip(d, v, strict=True))
    return total * {"sum": 1, "mean": 1 / k, "mean-times-n": n / k}[name]


def plain_activations(net: nn.Sequential, x: Tensor, y: Tensor, v: Tensor, approach: Approach) -> list[Tensor]:  # fmt: skip
    """Sample by sample: gradients of all block outputs, their estimate, explicit jacobians."""
    totals = [torch.zeros_like(p) for p in net.parameters()]
    for one, label in zip(x.split(1), y.split(1), strict=True):
        outputs, a = [], one
        for block in net:
            a = block(a)
            outputs.append(a)
        loss = cross_entropy(a, label) / len(x)
        parts = torch.autograd.grad(loss, outputs)
        estimate = plain_aggregation(
            approach.aggregation, v, torch.cat([part.flatten() for part in parts])
        )
        if approach.scale:
            estimate = estimate / laws.expected_norm_ratio(approach.aggregation, v.shape[1], len(v), approach.normalize)  # fmt: skip
        found, a, start = [], one, 0
        for block, output in zip(net, outputs, strict=True):
            own = estimate[start : start + output.numel()]
            start += output.numel()
            names = [name for name, _ in block.named_parameters()]

            def local(*values, block=block, names=names, a=a):
                return torch.func.functional_call(
                    block, dict(zip(names, values, strict=True)), (a,)
                ).flatten()

            jacobians = torch.autograd.functional.jacobian(local, tuple(block.parameters()))
            found += [(own @ j.flatten(1)).view(j.shape[1:]) for j in jacobians]
            a = output.detach()
        totals = [total + one for total, one in zip(totals, found, strict=True)]
    return totals


AGGREGATIONS = [
    Approach(aggregation="mean"),
    Approach(aggregation="mean", scale=True),
    Approach(aggregation="sum"),
    Approach(aggregation="mean-times-n", normalize=True),
    Approach(aggregation="projection"),
    Approach(aggregation="projection", scale=True),
    Approach(aggregation="projection", tangents="rademacher"),
    Approach(aggregation="projection", tangents="orthogonal", max_length=3.0),
    Approach(aggregation="max"),
    Approach(aggregation="max", tangents="rademacher"),
    Approach(aggregation="max-normalized"),
    Approach(aggregation="mean", tangents="basis"),
]


def name_of(approach: Approach) -> str:
    options = approach.model_dump(exclude_defaults=True)
    return "-".join(str(value) for value in options.values())


@pytest.mark.parametrize("mode", ["sim", "fwad"])
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("approach", AGGREGATIONS, ids=name_of)
def test_perturbed_activations_against_a_plain_loop(approach, k, mode):
    net, (x, y) = small(), batch()
    expected = plain_activations(net, x, y, drawn(approach, k, 14), approach)
    same(gradients(net, x, y, k, approach, mode=mode), expected)


@pytest.mark.parametrize("mode", ["sim", "fwad"])
@pytest.mark.parametrize("approach", AGGREGATIONS, ids=name_of)
def test_perturbed_weights_against_a_plain_loop(approach, mode):
    net, (x, y) = small(), batch()
    true = torch.cat([g.flatten() for g in true_gradients(net, x, y)])
    v = drawn(approach, 4, len(true))
    estimate = plain_aggregation(approach.aggregation, v, true)
    if approach.scale:
        estimate /= laws.expected_norm_ratio(approach.aggregation, len(true), 4)
    found = gradients(net, x, y, 4, approach, perturb="weights", mode=mode)
    same([torch.cat([g.flatten() for g in found])], [estimate])


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_convolutions_against_a_plain_loop(mode):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(3, 2, 2),
        nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(2, 3)),
    ).double()
    x, y = batch(3, (2, 4, 4))
    expected = plain_activations(net, x, y, drawn(FROG, 5, 12 + 2 + 3), FROG)
    same(gradients(net, x, y, 5, mode=mode), expected)


@pytest.mark.parametrize("extra", [0, 1, 9])
@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_enough_tangents_of_activations_are_backpropagation(mode, extra):
    net, (x, y) = small(), batch()
    same(gradients(net, x, y, 14 + extra, mode=mode), true_gradients(net, x, y), 1e-8)
    assert differ(gradients(net, x, y, 13, mode=mode), true_gradients(net, x, y))


@pytest.mark.parametrize("extra", [0, 5])
@pytest.mark.parametrize(("mode", "tangents"), [("sim", "explicit"), ("sim", "exact"), ("fwad", "auto")])  # fmt: skip
def test_enough_tangents_of_weights_are_backpropagation(mode, tangents, extra):
    net, (x, y) = small(), batch()
    n = sum(p.numel() for p in net.parameters())
    options = {"perturb": "weights", "mode": mode, "tangents": tangents}
    same(gradients(net, x, y, n + extra, **options), true_gradients(net, x, y), 1e-7)
    assert differ(gradients(net, x, y, n - 1, **options), true_gradients(net, x, y))


def test_enough_tangents_are_backpropagation_through_batch_norm_too():
    net, (x, y) = small(norm=True), batch()
    same(gradients(net, x, y, 14), true_gradients(net, x, y), 1e-8)


def test_backpropagation_is_autograd():
    net, (x, y) = small(), batch()
    for options in ({}, {"mode": "fwad"}, {"perturb": "weights"}):
        found = gradients(net, x, y, None, Approach(), tangents="auto", **options)
        for a, b in zip(found, true_gradients(net, x, y), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_another_loss(perturb, mode):
    net, (x, _) = small(), batch()
    target = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def squares(output: Tensor, wanted: Tensor) -> Tensor:
        return (output - wanted).square().sum(1)

    found = gradients(net, x, target, 200, loss=squares, perturb=perturb, mode=mode)
    expected = torch.autograd.grad(squares(net(x), target).mean(), list(net.parameters()))
    same(found, list(expected), 1e-7)


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_the_loss_is_the_mean_before_any_step_without_a_graph(perturb, mode):
    for norm in (False, True):
        net, (x, y) = small(norm), batch()
        loss = Perturbation(net, FROG, 2, perturb=perturb, mode=mode)(x, y)
        assert not loss.requires_grad
        torch.testing.assert_close(loss, cross_entropy(net(x), y).detach())


@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
def test_gradients_are_overwritten_and_tangents_fresh(perturb, mode):
    net, (x, y) = small(), batch()
    g = torch.Generator().manual_seed(0)
    gradient = Perturbation(net, FROG, 2, g, perturb=perturb, mode=mode)
    calls = []
    for _ in range(2):
        gradient(x, y)
        calls.append([p.grad.clone() for p in net.parameters()])
    assert differ(*calls)
    g.manual_seed(0)
    gradient(x, y)
    same([p.grad for p in net.parameters()], calls[0], 1e-12)


def test_one_object_serves_batches_of_any_size_and_shape():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)),
    ).double()
    gradient = Perturbation(net, FROG, 200)
    for size, side in [(5, 4), (2, 4), (5, 6), (1, 4)]:
        x, y = batch(size, (1, side, side))
        gradient(x, y)
        found = [p.grad for p in net.parameters()]
        same(found, true_gradients(net, x, y), 1e-7)
        assert gradient.n(x, y) == 2 * side**2 + 3


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_inputs_may_be_integers(mode):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(5, 2), nn.Sequential(nn.Flatten(), nn.Linear(6, 3))).double()
    x, (_, y) = torch.randint(5, (7, 3)), batch()
    same(gradients(net, x, y, 9, mode=mode), true_gradients(net, x, y), 1e-8)


# --- no trace --------------------------------------------------------------------------------


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
    assert net[1][1].num_batches_tracked == 3


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
    assert net[1][1].track_running_stats


def dropping() -> nn.Sequential:
    net = small()
    net[0].append(nn.Dropout(0.5))
    net[1].insert(1, nn.AlphaDropout(0.3))
    return net


def test_the_true_gradient_changes_nothing():
    for net, (x, y) in ((small(norm=True), batch()), (dropping(), batch())):
        before, random = norm_state(net), torch.get_rng_state()
        values = [p.detach().clone() for p in net.parameters()]
        net[0][0].weight.grad = torch.ones(6, 4, dtype=torch.float64)
        gradient = Perturbation(net, FROG, 3)
        tangents = gradient.generator.get_state()
        found = gradient.true_gradient(x, y)
        assert torch.equal(net[0][0].weight.grad, torch.ones(6, 4))
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
    net[0].append(module)
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


# --- cost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 2])
def test_forward_mode_on_weights_makes_no_graph(monkeypatch, chunk):
    net, (x, y) = small(norm=True), batch()
    expected = gradients(net, x, y, 5, perturb="weights")

    def refused(*args, **kwargs):
        raise AssertionError("backward pass")

    monkeypatch.setattr(torch.autograd, "grad", refused)
    monkeypatch.setattr(torch.Tensor, "backward", refused)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda t: t):
        found = gradients(net, x, y, 5, perturb="weights", mode="fwad", chunk=chunk)
    assert not saved
    same(found, expected)


def leaves(output: Tensor) -> set[int]:
    """Ids of the tensors that a backward pass from here could end in."""
    found, waiting, visited = set(), [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return found


def test_forward_mode_on_activations_never_goes_back_across_a_block(monkeypatch):
    net, (x, y) = small(), batch()
    blocks = [{id(p) for p in block.parameters()} for block in net]
    grad, calls = torch.autograd.grad, []

    def watched(outputs, inputs, *args, **kwargs):
        own = leaves(outputs)
        assert own in blocks
        assert {id(t) for t in inputs} == own
        calls.append(own)
        return grad(outputs, inputs, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", watched)
    gradients(net, x, y, 5, mode="fwad")
    assert calls == blocks


class Largest(TorchDispatchMode):
    """The most entries of any tensor that an operation makes, and how many forward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        for one in result if isinstance(result, tuple | list) else (result,):
            # a broadcast view takes no memory
            if isinstance(one, Tensor) and 0 not in one.stride():
                self.numel = max(self.numel, one.numel())
        return result


@pytest.mark.parametrize("approach", [FROG, MEAN, Approach(aggregation="max")], ids=name_of)
def test_simulation_makes_nothing_larger_than_its_tangents(approach):
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(i, 50), nn.Tanh()) for i in (4, 50, 50, 50, 50)]
    net = nn.Sequential(*blocks, nn.Linear(50, 3))
    x, y = batch(40)
    n, k = 253, 30
    gradient = Perturbation(net, approach, k)
    with Largest() as largest:
        gradient(x.float(), y)
    assert largest.numel == k * n


def test_simulation_of_weights_makes_nothing_larger_than_its_tangents():
    net, (x, y) = small().float(), batch(40)
    gradient = Perturbation(net, FROG, 30, perturb="weights", tangents="explicit")
    with Largest() as largest:
        gradient(x.float(), y)
    assert largest.numel == 30 * sum(p.numel() for p in net.parameters())


def test_a_chunk_bounds_what_forward_mode_takes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 20), nn.Tanh()), nn.Linear(20, 3))
    x, y = batch(40)
    found = []
    for chunk in (None, 5):
        gradient = Perturbation(net, FROG, 30, mode="fwad", chunk=chunk)
        with Largest() as largest:
            gradient(x.float(), y)
        found.append(largest.numel)
    assert found == [30 * 40 * 20, 5 * 40 * 20]


class Passes:
    """Counts how often each block is run."""

    def __init__(self, net: nn.Sequential) -> None:
        self.counts = [0] * len(net)
        for i, block in enumerate(net):
            block.register_forward_pre_hook(lambda *_, i=i: self._add(i))

    def _add(self, i: int) -> None:
        self.counts[i] += 1


@pytest.mark.parametrize(("perturb", "mode", "passes"), [("activations", "sim", 1), ("weights", "sim", 1), ("activations", "fwad", 2), ("weights", "fwad", 2)])  # fmt: skip
def test_forward_passes_of_a_step_do_not_depend_on_k(perturb, mode, passes):
    net, (x, y) = small(), batch()
    counted = Passes(net)
    for k in (2, 9):
        gradient = Perturbation(net, FROG, k, perturb=perturb, mode=mode)
        gradient(x, y)  # the first call measures
        counted.counts = [0] * 3
        gradient(x, y)
        assert counted.counts == [passes] * 3


# --- the exact law ---------------------------------------------------------------------------


LAWFUL = [FROG, MEAN, Approach(aggregation="projection", scale=True), Approach(aggregation="mean", scale=True), Approach(aggregation="mean-times-n"), Approach(aggregation="sum")]  # fmt: skip


@pytest.mark.parametrize("approach", LAWFUL, ids=name_of)
@pytest.mark.parametrize("k", [1, 6])
def test_the_exact_law_is_that_of_explicit_tangents(approach, k):
    net, (x, y) = small(), batch()
    true = torch.cat([g.flatten() for g in true_gradients(net, x, y)])
    probe = torch.randn(len(true), generator=torch.Generator().manual_seed(5)).double()
    probe -= (probe @ true) / (true @ true) * true
    found = {}
    for i, tangents in enumerate(("exact", "explicit")):
        g = torch.Generator().manual_seed(10 + i)
        gradient = Perturbation(net, approach, k, g, perturb="weights", tangents=tangents)
        rows = []
        for _ in range(400):
            gradient(x, y)
            estimate = torch.cat([p.grad.flatten() for p in net.parameters()])
            norm = estimate.norm()
            rows.append([norm / true.norm(), estimate @ true / norm, estimate @ probe / norm])
        found[tangents] = torch.tensor(rows).T
    for exact, explicit in zip(found["exact"], found["explicit"], strict=True):
        assert stats.ks_2samp(exact.numpy(), explicit.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("approach", [FROG, MEAN], ids=name_of)
@pytest.mark.parametrize("tangents", ["auto", "exact"])
def test_the_exact_law_draws_no_tangents(approach, tangents, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("tangents drawn")

    monkeypatch.setattr(perturbation, "draw", refused)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 300), nn.Tanh()), nn.Linear(300, 300))
    x, y = batch()
    n = sum(p.numel() for p in net.parameters())
    gradient = Perturbation(net, approach, 65_536, perturb="weights", tangents=tangents)
    assert gradient.exact
    with Largest() as largest:
        gradient(x.float(), y)
    assert largest.numel == n
    true = torch.cat([g.flatten() for g in gradient.true_gradient(x.float(), y)])
    estimate = torch.cat([p.grad.flatten() for p in net.parameters()])
    cosine = float(estimate @ true / true.norm() / estimate.norm())
    law = laws.projection_ratio if approach is FROG else laws.mean_cosine
    assert cosine == pytest.approx(float(law(n, 65_536)), rel=0.02)


@pytest.mark.parametrize(
    ("approach", "options"),
    [
        (Approach(aggregation="max"), {"perturb": "weights"}),
        (Approach(aggregation="mean", normalize=True), {"perturb": "weights"}),
        (Approach(aggregation="mean", tangents="rademacher"), {"perturb": "weights"}),
        (FROG, {"perturb": "weights", "mode": "fwad"}),
        (FROG, {"perturb": "activations"}),
        (FROG, {"perturb": "weights", "tangents": "explicit"}),
    ],
)
def test_without_a_law_tangents_are_explicit(approach, options, monkeypatch):
    net = small().float()
    assert not Perturbation(net, approach, 2, **options).exact
    if "tangents" not in options:
        with pytest.raises(ValueError, match="tangents exact needs perturb weights, mode sim"):
            Perturbation(net, approach, 2, **options, tangents="exact")


# --- unusual chains --------------------------------------------------------------------------


@pytest.mark.parametrize(("perturb", "mode"), [*ALL_FOUR, ("activations", "bp"), ("weights", "law")])  # fmt: skip
def test_frozen_parameters_get_no_gradient(perturb, mode):
    net, (x, y) = small(), batch()
    net[1].requires_grad_(False)
    net[2].bias.requires_grad_(False)
    k = None if mode == "bp" else 100
    options = {"tangents": "exact"} if mode == "law" else {"mode": mode} if k and mode != "bp" else {}  # fmt: skip
    approach = FROG if k else Approach()
    found = gradients(net, x, y, k, approach, perturb=perturb, **{"tangents": "auto"} | options)
    trained = [*net[0].parameters(), net[2].weight]
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


BLOCKS = {
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
    same([p.grad for p in own.parameters()], list(expected), 1e-8)


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


@pytest.mark.parametrize(("approach", "k"), [(FROG, None), (MEAN, None), (Approach(), 2)])
def test_k_belongs_to_tangents(approach, k):
    with pytest.raises(ValueError, match=rf"^k = {k}: ") as caught:
        Perturbation(small(), approach, k)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_a_count(k):
    with pytest.raises(ValueError, match=rf"k = {k}"):
        Perturbation(small().float(), MEAN, k)


@pytest.mark.parametrize("option", ["perturb", "mode", "tangents"])
def test_options_that_do_not_exist(option):
    with pytest.raises(ValueError, match="nonsense"):
        Perturbation(small(), FROG, 2, **{option: "nonsense"})


@pytest.mark.parametrize(("perturb", "mode"), [*ALL_FOUR, ("activations", "bp")])
def test_a_frozen_network_has_a_loss_and_no_gradient_or_is_refused(perturb, mode):
    frozen, (x, y) = small().float().requires_grad_(False), batch()
    k, approach = (None, Approach()) if mode == "bp" else (2, FROG)
    options = {} if mode == "bp" else {"mode": mode}
    try:
        loss = Perturbation(frozen, approach, k, perturb=perturb, **options)(x.float(), y)
    except ValueError as error:
        assert "parameter" in str(error)
    else:
        torch.testing.assert_close(loss, cross_entropy(frozen(x.float()), y))


def test_a_chain_without_parameters_is_no_stop_iteration():
    try:
        Perturbation(nn.Sequential(nn.Tanh()), FROG, 2)
    except ValueError as error:
        assert "parameter" in str(error)


def test_more_tangents_than_the_sampler_has():
    basis = Approach(aggregation="mean", tangents="basis")
    with pytest.raises(ValueError, match="k = 15: 14 is the most independent tangents in n = 14"):
        Perturbation(small(), basis, 15)(*batch())


@pytest.mark.parametrize(("perturb", "mode", "n"), [("activations", "sim", 14), ("activations", "fwad", 14), ("weights", "sim", 83), ("weights", "fwad", 83)])  # fmt: skip
def test_tangents_that_do_not_fit_in_memory(perturb, mode, n, monkeypatch):
    memory = SimpleNamespace(available=8 * 1_000 * n - 1)
    monkeypatch.setattr(perturbation.psutil, "virtual_memory", lambda: memory)
    net, (x, y) = small(), batch()
    assert sum(p.numel() for p in net.parameters()) == 83
    gradient = Perturbation(net, FROG, 1_000, perturb=perturb, mode=mode, tangents="explicit")
    with pytest.raises(MemoryError, match=f"1,000 explicit tangents of n = {n:,}") as caught:
        gradient(x, y)
    text = str(caught.value)
    assert "\n" not in text
    assert f"{8 * 1_000 * n:,} bytes" in text
    assert f"{memory.available:,}" in text
    assert "tangents exact" in text
    Perturbation(net, FROG, 1_000, perturb="weights", tangents="exact")(x, y)


def test_exact_tangents_are_not_offered_where_no_law_is_known(monkeypatch):
    memory = SimpleNamespace(available=100)
    monkeypatch.setattr(perturbation.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(MemoryError) as caught:
        Perturbation(small(), Approach(aggregation="max"), 1_000)(*batch())
    assert "exact" not in str(caught.value)


def test_the_example_in_the_docstring():
    import doctest

    found = doctest.testmod(perturbation, extraglobs={"torch": torch, "nn": nn})
    assert found.attempted
    assert not found.failed


# --- on a GPU --------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize(("perturb", "mode"), ALL_FOUR)
@pytest.mark.parametrize("name", MODELS)
def test_on_the_gpu_both_modes_agree(name, perturb, mode):
    net, x, y = published(name)
    net, x, y = net.float().cuda().eval(), x.float().cuda(), y.cuda()
    found = []
    for how in ("sim", mode):
        g = torch.Generator("cuda").manual_seed(0)
        options = {"perturb": perturb, "mode": how, "tangents": "explicit"}
        Perturbation(net, FROG, 3, g, **options)(x, y)
        found.append([p.grad.clone() for p in net.parameters()])
    same(found[1], found[0], 1e-2)
    assert all(g.is_cuda for g in found[0])


@pytest.mark.gpu
def test_dropout_on_the_gpu_draws_the_same_masks_in_both_modes():
    net = dropping().float().cuda()
    x, y = (t.cuda() for t in batch(64))
    found = []
    for mode in ("sim", "fwad"):
        torch.manual_seed(3)
        g = torch.Generator("cuda").manual_seed(0)
        Perturbation(net, FROG, 3, g, mode=mode)(x.float(), y)
        found.append([p.grad.clone() for p in net.parameters()])
    same(found[1], found[0], 1e-3)


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_the_algebra_of_the_tangents_is_not_done_in_bfloat16(perturb, monkeypatch):
    net, (x, y) = small().float(), batch()
    kinds = set()

    def watched(approach: Approach, v: Tensor, d: Tensor) -> Tensor:
        c = coefficients(approach, v, d)
        kinds.update((v.dtype, d.dtype, c.dtype))
        return c

    monkeypatch.setattr(perturbation, "coefficients", watched)
    gradient = Perturbation(net, FROG, 4, perturb=perturb, tangents="explicit")
    with torch.autocast("cpu", torch.bfloat16):
        gradient(x.float(), y)
    assert kinds <= {torch.float32, torch.float64}
    assert kinds


def test_a_tail_gives_what_the_whole_block_gives(monkeypatch):
    net = models.vit(1, 28, 10, None, 16).double()
    nn.init.normal_(net[-1][-1].weight)
    x = torch.randn(6, 1, 28, 28, dtype=torch.float64)
    y = torch.arange(6)
    seen = []
    split = perturbation.split

    def watched(block: nn.Module, a: Tensor) -> object:
        seen.append(split(block, a))
        return seen[-1]

    monkeypatch.setattr(perturbation, "split", watched)
    short = gradients(net, x, y, 4)
    assert [tail is not None for tail in seen] == [True] * 5 + [False]
    monkeypatch.setattr(perturbation, "split", lambda block, a: None)
    same(short, gradients(net, x, y, 4))
