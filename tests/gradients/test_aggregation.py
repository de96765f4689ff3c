"""Aggregations, the projection above all, against float64 references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad.gradients import aggregation, tangents
from fgrad.gradients.aggregation import projection
from fgrad.gradients.estimators import combine
from fgrad.gradients.registry import AGGREGATIONS
from fgrad.gradients.solve import RANK_TOLERANCE


def reference(v: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """P_U(∇f) for one set of tangents [k, n], in float64, by an SVD of the unit tangents."""
    v, d = v[: v.shape[1]].double(), d[: v.shape[1]].double()
    lengths = v.norm(dim=1)
    u, s, w = torch.linalg.svd(v / lengths[:, None], full_matrices=False)
    keep = s > RANK_TOLERANCE * s[0]
    return w[keep].T @ ((u[:, keep].T @ (d / lengths)) / s[keep])


def error(v: torch.Tensor, d: torch.Tensor) -> float:
    estimate = combine(projection(v, d)[None], v)[0]
    assert estimate.dtype == v.dtype
    expected = reference(v, d)
    return ((estimate - expected).norm() / expected.norm()).item()


def duplicate(v: torch.Tensor) -> torch.Tensor:
    v[3], v[5] = v[1], -2 * v[2]
    return v


CASES = {
    "k = n = 512": lambda g: tangents.normal((512, 512), g),
    "k > n": lambda g: tangents.normal((600, 512), g),
    "k close to n": lambda g: tangents.normal((500, 512), g),
    "duplicates": lambda g: duplicate(tangents.normal((16, 64), g)),
    "duplicates, k = n": lambda g: duplicate(tangents.normal((16, 16), g)),
    "15°": lambda g: tangents.angle((16, 64), g, angle=15),
    "15°, k = n": lambda g: tangents.angle((64, 64), g, angle=15),
    "1°": lambda g: tangents.angle((16, 64), g, angle=1),
    "60°, many": lambda g: tangents.angle((512, 2048), g, angle=60),
    "many": lambda g: tangents.normal((1024, 4096), g),
    "lengths 1 to 1e6": lambda g: tangents.orthogonal((8, 64), g, max_length=1e6),
    "one": lambda g: tangents.normal((1, 100), g),
    "n = 1": lambda g: tangents.normal((3, 1), g),
    "rank one": lambda g: tangents.normal((1, 8), g).repeat(4, 1),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_projection_within_1e_4_of_float64(case, generator):
    v = CASES[case](generator)
    d = v @ torch.randn(v.shape[1], generator=generator)
    assert error(v, d) < 1e-4


def test_float32_alone_would_not_do(generator):
    """The pitfall this guards against is real: inverting VᵀV in float32 is far off."""
    worst = 0.0
    for _ in range(10):
        v = tangents.normal((256, 256), generator)
        d = v @ torch.randn(256, generator=generator)
        naive = v.T @ (torch.linalg.inv(v @ v.T) @ d)
        expected = reference(v, d)
        worst = max(worst, ((naive - expected).norm() / expected.norm()).item())
        assert error(v, d) < 1e-4
    assert worst > 1e-2


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(1, 24),
    n=st.integers(1, 24),
    copies=st.integers(0, 3),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**32 - 1),
)
def test_projection_properties(k, n, copies, scale, seed):
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(k, n, generator=g, dtype=torch.float64) * scale
    for i in range(min(copies, k - 1)):
        v[-1 - i] = v[0] * (i + 2)
    gradient = torch.randn(n, generator=g, dtype=torch.float64)
    p = combine(projection(v, v @ gradient)[None], v)[0]
    # the residual is orthogonal to every tangent that counts, and projecting again changes nothing
    used = v[:n]
    torch.testing.assert_close(
        used @ (gradient - p), torch.zeros(len(used)).double(), atol=1e-6 * scale, rtol=0
    )
    again = combine(projection(v, v @ p)[None], v)[0]
    torch.testing.assert_close(again, p, atol=1e-7, rtol=1e-6)
    assert p.norm() <= gradient.norm() * (1 + 1e-7)


@settings(max_examples=30, deadline=None)
@given(k=st.integers(1, 12), n=st.integers(1, 16), seed=st.integers(0, 2**32 - 1))
def test_nested_is_each_leading_subset(k, n, seed):
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(3, k, n, generator=g)
    d = (v @ torch.randn(3, n, 1, generator=g)).squeeze(-1)
    sizes = list(range(1, k + 1))
    nested = combine(projection(v, d, sizes), v)
    for i, m in enumerate(sizes):
        for b in range(3):
            torch.testing.assert_close(
                nested[b, i].double(), reference(v[b, :m], d[b, :m]), atol=1e-3, rtol=1e-3
            )


def test_nested_with_duplicates(generator):
    v = duplicate(torch.randn(2, 16, 32, generator=generator)[0])[None].repeat(2, 1, 1)
    v[1] = torch.randn(16, 32, generator=generator)
    d = (v @ torch.randn(2, 32, 1, generator=generator)).squeeze(-1)
    nested = combine(projection(v, d, [1, 4, 16]), v)
    for b in range(2):
        for i, m in enumerate([1, 4, 16]):
            torch.testing.assert_close(
                nested[b, i].double(), reference(v[b, :m], d[b, :m]), atol=1e-4, rtol=1e-4
            )


def test_full_rank_gives_the_gradient(generator):
    v = torch.randn(16, 16, generator=generator)
    gradient = torch.randn(16, generator=generator, dtype=torch.float64)
    p = combine(projection(v, v.double() @ gradient)[None], v.double())[0]
    torch.testing.assert_close(p, gradient, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_shared_tangents_as_one_by_one(name, generator):
    """Tangents [T, k, n] with derivatives [T, B, k] and [T, B, C, k]."""
    aggregate = AGGREGATIONS[name]
    v = torch.randn(2, 4, 9, generator=generator)
    d = torch.randn(2, 3, 5, 4, generator=generator)
    together = aggregate(v, d)
    assert together.shape == d.shape
    for t in range(2):
        for b in range(3):
            torch.testing.assert_close(
                together[t, b], aggregate(v[t], d[t, b]), atol=1e-5, rtol=1e-4
            )


V = torch.tensor([[1.0, 0, 0], [0, 4.0, 0], [0, 0, 2.0], [0, 1.0, 1.0]])
D = torch.tensor([2.0, -6.0, 3.9, -1.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sum", [2.0, -6.0, 3.9, -1.0]),
        ("mean", [0.5, -1.5, 0.975, -0.25]),
        ("mean-times-n", [1.5, -4.5, 2.925, -0.75]),
        ("max", [0, -6.0, 0, 0]),
        ("max-normalized", [2.0, 0, 0, 0]),
        ("mean-of-best", [1.0, 0, 1.95, 0]),
    ],
)
def test_coefficients_by_hand(name, expected):
    torch.testing.assert_close(AGGREGATIONS[name](V, D), torch.tensor(expected))


def test_every_aggregation_is_tested_by_hand_or_by_reference():
    assert set(AGGREGATIONS) == {
        "sum", "mean", "mean-times-n", "max", "max-normalized", "mean-of-best", "projection",
    }  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_projection_on_the_gpu(case, generator):
    v = CASES[case](generator)
    d = v @ torch.randn(v.shape[1], generator=generator)
    estimate = combine(projection(v.cuda(), d.cuda())[None], v.cuda())[0].cpu()
    expected = reference(v, d)
    assert ((estimate - expected).norm() / expected.norm()).item() < 1e-4


@pytest.mark.parametrize(("k", "n"), [(1, 4), (2, 4), (4, 4), (6, 4), (16, 64), (4, 1024)])
def test_factors_of_many_steps_change_no_bit(k, n):
    """Steps factorised together, seeds of a step at a time; dependent tangents are told as well."""
    v = tangents.normal((5, 3, k, n), torch.Generator().manual_seed(0))
    v[2, 1, -1] = v[2, 1, 0]
    d = torch.randn(5, 3, 2, k, generator=torch.Generator().manual_seed(1))
    factor, sine = aggregation.factor(v)
    for i in range(5):
        known = factor[i], sine[i]
        assert torch.equal(projection(v[i], d[i], known=known), projection(v[i], d[i]))
