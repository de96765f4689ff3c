"""Samplers: their distributions, their geometry, and where their draws come from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fgrad.gradients import estimators, tangents
from fgrad.gradients.approach import Approach
from fgrad.gradients.registry import SAMPLERS

SIZE = (4, 16)


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw(name: str, generator, size=SIZE, **options):
    extra = {"angle": {"angle": 30.0}, "orthogonal": {"max_length": 3.0}}.get(name, {})
    return SAMPLERS[name](size, generator, **extra | options)


def test_all_samplers_are_known():
    assert tuple(SAMPLERS) == ("normal", "rademacher", "basis", "angle", "orthogonal")


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_does_not_depend_on_its_neighbours(name):
    alone = draw(name, seeded(3)[0])
    beside = draw(name, seeded(7, 3, 9))
    assert beside.shape == (3, *SIZE)
    assert torch.equal(beside[1], alone)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_global_generator_is_left_alone(name):
    before = torch.get_rng_state()
    draw(name, seeded(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_batch(name, dtype):
    drawn = draw(name, seeded(0, 1), size=(5, 4, 16), dtype=dtype)
    assert drawn.shape == (2, 5, 4, 16)
    assert drawn.dtype == dtype


def test_normal_is_normal(generator):
    values = tangents.normal((100, 200), generator).flatten().numpy()
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_rademacher_is_a_fair_sign(generator):
    values = tangents.rademacher((100, 200), generator)
    assert set(values.unique().tolist()) == {-1.0, 1.0}
    assert abs(values.mean().item()) < 4 / math.sqrt(20_000)


def test_basis_is_the_first_vectors(generator):
    assert torch.equal(tangents.basis((3, 5), generator), torch.eye(3, 5))


@settings(max_examples=30, deadline=None)
@given(
    alpha=st.floats(1, 179),
    k=st.integers(2, 20),
    n=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_angle_to_the_first_tangent(alpha, k, n, seed):
    v = tangents.angle((k, n), seeded(seed)[0], angle=alpha, dtype=torch.float64)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(k, dtype=torch.float64))
    cosines = v[1:] @ v[0]
    torch.testing.assert_close(cosines, torch.full_like(cosines, math.cos(math.radians(alpha))))


def test_angle_spans_what_the_normal_tangents_span(generator):
    v = tangents.normal((4, 32), torch.Generator().manual_seed(5), dtype=torch.float64)
    w = tangents.angle((4, 32), torch.Generator().manual_seed(5), angle=15, dtype=torch.float64)
    assert torch.linalg.matrix_rank(torch.cat([v, w]), rtol=1e-9) == 4


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), data=st.data(), length=st.floats(1, 100))
def test_orthogonal_lengths(n, data, length):
    k = data.draw(st.integers(1, n))
    v = tangents.orthogonal((k, n), seeded(1)[0], max_length=length, dtype=torch.float64)
    gram = v @ v.T
    assert torch.equal(gram, gram.diagonal().diag())
    lengths = gram.diagonal().sqrt()
    assert (lengths >= 1 - 1e-12).all()
    assert (lengths <= length * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["basis", "orthogonal"])
def test_more_tangents_than_dimensions_are_refused(name):
    with pytest.raises(ValueError, match="n = 3 tangents, not k = 4"):
        draw(name, seeded(0)[0], size=(4, 3))


def test_an_angle_needs_two_dimensions(generator):
    with pytest.raises(ValueError, match="n ≥ 2"):
        tangents.angle((2, 1), generator, angle=30)


def test_normalized(generator):
    v = estimators.draw(Approach(aggregation="mean", normalize=True), SIZE, generator)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(4))


def test_redrawn_until_independent():
    # with n = 2, two Rademacher tangents are parallel every other time
    approach = Approach(aggregation="projection", sampler="rademacher", independent=True)
    v = estimators.draw(approach, (50, 2, 2), seeded(0, 1))
    assert (torch.linalg.det(v.double()).abs() > 0.5).all()
    with pytest.raises(ValueError, match="no k = 3 tangents are independent in n = 2"):
        estimators.draw(approach, (3, 2), seeded(0)[0])


@pytest.mark.gpu
@pytest.mark.parametrize("name", SAMPLERS)
def test_on_the_gpu(name):
    v = draw(name, [torch.Generator("cuda").manual_seed(s) for s in (0, 1)])
    assert v.device.type == "cuda"
