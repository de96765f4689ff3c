"""Gradient estimates of a network: against plain loops and laws; wrong options are refused."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from chains import (
    ALL_FOUR,
    FROG,
    MEAN,
    Largest,
    batch,
    differ,
    drawn,
    gradients,
    left,
    name_of,
    same,
    small,
    true_gradients,
)
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients import explicit, laws, perturbation
from fgrad.gradients.approach import Approach
from fgrad.gradients.perturbation import Perturbation


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
    assert isinstance(approach.aggregation, str)
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
    Approach(aggregation="projection", sampler="rademacher"),
    Approach(aggregation="projection", sampler="orthogonal", max_length=3.0),
    Approach(aggregation="max"),
    Approach(aggregation="max", sampler="rademacher"),
    Approach(aggregation="max-normalized"),
    Approach(aggregation="mean", sampler="basis"),
]


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
@pytest.mark.parametrize(("mode", "sampling"), [("sim", "explicit"), ("sim", "exact"), ("fwad", "auto")])  # fmt: skip
def test_enough_tangents_of_weights_are_backpropagation(mode, sampling, extra):
    net, (x, y) = small(), batch()
    n = sum(p.numel() for p in net.parameters())
    options = {"perturb": "weights", "mode": mode, "sampling": sampling}
    same(gradients(net, x, y, n + extra, **options), true_gradients(net, x, y), 1e-7)
    assert differ(gradients(net, x, y, n - 1, **options), true_gradients(net, x, y))


def test_enough_tangents_are_backpropagation_through_batch_norm_too():
    net, (x, y) = small(norm=True), batch()
    same(gradients(net, x, y, 14), true_gradients(net, x, y), 1e-8)


def test_backpropagation_is_autograd():
    net, (x, y) = small(), batch()
    ways: list[dict[str, Any]] = [{}, {"mode": "fwad"}, {"perturb": "weights"}]
    for options in ways:
        found = gradients(net, x, y, None, Approach(), sampling="auto", **options)
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
        calls.append([one.clone() for one in left(net)])
    assert differ(*calls)
    g.manual_seed(0)
    gradient(x, y)
    same(left(net), calls[0], 1e-12)


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
        found = left(net)
        same(found, true_gradients(net, x, y), 1e-7)
        assert gradient.n(x, y) == 2 * side**2 + 3


@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_inputs_may_be_integers(mode):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(5, 2), nn.Sequential(nn.Flatten(), nn.Linear(6, 3))).double()
    x, (_, y) = torch.randint(5, (7, 3)), batch()
    same(gradients(net, x, y, 9, mode=mode), true_gradients(net, x, y), 1e-8)


# --- the exact law ---------------------------------------------------------------------------


LAWFUL = [FROG, MEAN, Approach(aggregation="projection", scale=True), Approach(aggregation="mean", scale=True), Approach(aggregation="mean-times-n"), Approach(aggregation="sum")]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("approach", LAWFUL, ids=name_of)
@pytest.mark.parametrize("k", [1, 6])
def test_the_exact_law_is_that_of_explicit_tangents(approach, k):
    net, (x, y) = small(), batch()
    true = torch.cat([g.flatten() for g in true_gradients(net, x, y)])
    probe = torch.randn(len(true), generator=torch.Generator().manual_seed(5)).double()
    probe -= (probe @ true) / (true @ true) * true
    found = {}
    sampled: tuple[Any, ...] = ("exact", "explicit")
    for i, sampling in enumerate(sampled):
        g = torch.Generator().manual_seed(10 + i)
        gradient = Perturbation(net, approach, k, g, perturb="weights", sampling=sampling)
        rows = []
        for _ in range(400):
            gradient(x, y)
            estimate = torch.cat([one.flatten() for one in left(net)])
            norm = estimate.norm()
            rows.append([norm / true.norm(), estimate @ true / norm, estimate @ probe / norm])
        found[sampling] = torch.tensor(rows).T
    for one, other in zip(found["exact"], found["explicit"], strict=True):
        assert stats.ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("approach", [FROG, MEAN], ids=name_of)
@pytest.mark.parametrize("sampling", ["auto", "exact"])
def test_the_exact_law_draws_no_tangents(approach, sampling, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("tangents drawn")

    monkeypatch.setattr(explicit, "draw", refused)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 300), nn.Tanh()), nn.Linear(300, 300))
    x, y = batch()
    n = sum(p.numel() for p in net.parameters())
    gradient = Perturbation(net, approach, 65_536, perturb="weights", sampling=sampling)
    assert gradient.exact
    with Largest() as largest:
        gradient(x.float(), y)
    assert largest.numel == n
    true = torch.cat([g.flatten() for g in gradient.true_gradient(x.float(), y)])
    estimate = torch.cat([one.flatten() for one in left(net)])
    cosine = float(estimate @ true / true.norm() / estimate.norm())
    law = laws.projection_ratio if approach is FROG else laws.mean_cosine
    assert cosine == pytest.approx(float(law(n, 65_536)), rel=0.02)


@pytest.mark.parametrize(
    ("approach", "options"),
    [
        (Approach(aggregation="max"), {"perturb": "weights"}),
        (Approach(aggregation="mean", normalize=True), {"perturb": "weights"}),
        (Approach(aggregation="mean", sampler="rademacher"), {"perturb": "weights"}),
        (FROG, {"perturb": "weights", "mode": "fwad"}),
        (FROG, {"perturb": "activations"}),
        (FROG, {"perturb": "weights", "sampling": "explicit"}),
    ],
)
def test_without_a_law_tangents_are_explicit(approach, options, monkeypatch):
    net = small().float()
    assert not Perturbation(net, approach, 2, **options).exact
    if "sampling" not in options:
        with pytest.raises(ValueError, match="sampling exact needs perturb weights, mode sim"):
            Perturbation(net, approach, 2, **options, sampling="exact")


# --- precision, tails -----------------------------------------------------------------------


@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_the_algebra_of_the_tangents_is_not_done_in_bfloat16(perturb, seen):
    net, (x, y) = small().float(), batch()
    gradient = Perturbation(net, FROG, 4, perturb=perturb, sampling="explicit")
    with torch.autocast("cpu", torch.bfloat16):
        gradient(x.float(), y)
    kinds = {t.dtype for one in seen for t in one}
    assert kinds <= {torch.float32, torch.float64}
    assert kinds


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("approach", "k"), [(FROG, None), (MEAN, None), (Approach(), 2)])
def test_k_belongs_to_tangents(approach, k):
    with pytest.raises(ValueError, match=rf"^k = {k}: ") as caught:
        Perturbation(small(), approach, k)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_a_count(k):
    with pytest.raises(ValueError, match=rf"k = {k}"):
        Perturbation(small().float(), MEAN, k)


@pytest.mark.parametrize("option", ["perturb", "mode", "sampling"])
def test_options_that_do_not_exist(option):
    with pytest.raises(ValueError, match="nonsense"):
        Perturbation(small(), FROG, 2, **dict[str, Any]({option: "nonsense"}))


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
    basis = Approach(aggregation="mean", sampler="basis")
    with pytest.raises(ValueError, match="k = 15: 14 is the most independent tangents in n = 14"):
        Perturbation(small(), basis, 15)(*batch())


@pytest.mark.parametrize(("perturb", "mode", "n"), [("activations", "sim", 14), ("activations", "fwad", 14), ("weights", "sim", 83), ("weights", "fwad", 83)])  # fmt: skip
def test_tangents_that_do_not_fit_in_memory(perturb, mode, n, monkeypatch):
    memory = SimpleNamespace(available=8 * 1_000 * n - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    net, (x, y) = small(), batch()
    assert sum(p.numel() for p in net.parameters()) == 83
    gradient = Perturbation(net, FROG, 1_000, perturb=perturb, mode=mode, sampling="explicit")
    with pytest.raises(MemoryError, match=f"1,000 explicit tangents of n = {n:,}") as caught:
        gradient(x, y)
    text = str(caught.value)
    assert "\n" not in text
    assert f"{8 * 1_000 * n:,} bytes" in text
    assert f"{memory.available:,}" in text
    assert "tangents exact" in text
    Perturbation(net, FROG, 1_000, perturb="weights", sampling="exact")(x, y)


def test_exact_tangents_are_not_offered_where_no_law_is_known(monkeypatch):
    memory = SimpleNamespace(available=100)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(MemoryError) as caught:
        Perturbation(small(), Approach(aggregation="max"), 1_000)(*batch())
    assert "exact" not in str(caught.value)


def test_the_example_in_the_docstring():
    import doctest

    found = doctest.testmod(perturbation, extraglobs={"torch": torch, "nn": nn})
    assert found.attempted
    assert not found.failed
