"""Simulation and forward mode against each other, and what a step may cost."""

import pytest
import torch
from chains import (
    ALL_FOUR,
    FROG,
    MEAN,
    Largest,
    activation_gradients,
    batch,
    dropping,
    gradients,
    left,
    name_of,
    published,
    recorded,
    same,
    small,
    true_gradients,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fgrad.gradients.approach import Approach
from fgrad.gradients.estimators import coefficients
from fgrad.gradients.perturbation import Perturbation
from fgrad.problems.registry import MODELS


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("approach", [FROG, MEAN], ids=["frog", "mean"])
@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
@pytest.mark.parametrize("chunk", [None, 2])
def test_where_batch_norm_couples_the_samples_both_modes_agree(name, approach, chunk, seen):
    net, x, y = published(name)
    sim = gradients(net, x, y, 3, approach)
    fwad = gradients(net, x, y, 3, approach, mode="fwad", chunk=chunk)
    (v, d_sim, _), (w, d_fwad, _) = seen
    assert torch.equal(v, w)
    same([d_fwad], [d_sim])
    same(fwad, sim)


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


@pytest.mark.long
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
    with pytest.MonkeyPatch.context() as patch:
        found = recorded(patch)
        for perturb in ("activations", "weights"):
            sim, fwad = (
                gradients(net, x, y, k, approach, seed % 1000, perturb=perturb, mode=mode)
                for mode in ("sim", "fwad")
            )
            same(fwad, sim, 1e-6)
    if approach is FROG:
        true = activation_gradients(net, x, y)
        for v, d, _ in found[:2]:
            torch.testing.assert_close(d, true @ v.mT)
            estimate = coefficients(approach, v, d) @ v
            assert (estimate.norm(dim=1) <= true.norm(dim=1) * (1 + 1e-6)).all()


# --- cost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 2])
def test_forward_mode_on_weights_makes_no_graph(monkeypatch, chunk):
    net, (x, y) = small(norm=True), batch()
    expected = gradients(net, x, y, 5, perturb="weights")
    generator = torch.Generator()
    forward = Perturbation(net, FROG, 5, generator, perturb="weights", mode="fwad", chunk=chunk)
    forward(x, y)  # the first step compares the modes
    generator.manual_seed(0)

    def refused(*args, **kwargs):
        raise AssertionError("backward pass")

    monkeypatch.setattr(torch.autograd, "grad", refused)
    monkeypatch.setattr(torch.Tensor, "backward", refused)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda t: t):
        forward(x, y)
    assert not saved
    same(left(net), expected)


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

    forward = Perturbation(net, FROG, 5, mode="fwad")
    forward(x, y)  # the first step compares the modes
    monkeypatch.setattr(torch.autograd, "grad", watched)
    forward(x, y)
    assert calls == blocks


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
    gradient = Perturbation(net, FROG, 30, perturb="weights", sampling="explicit")
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
        options = {"perturb": perturb, "mode": how, "sampling": "explicit"}
        Perturbation(net, FROG, 3, g, **options)(x, y)
        found.append([one.clone() for one in left(net)])
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
        found.append([one.clone() for one in left(net)])
    same(found[1], found[0], 1e-3)
