"""Estimates from their exact law: against drawn tangents, theory, and the law's other form."""

import doctest

import pytest
import torch
from scipy import stats

from fgrad.gradients import estimators as e
from fgrad.gradients import sampling
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.gradients.registry import LAWS
from fgrad.gradients.sampling import gamma, sample

SIZES = [(2, 1), (3, 2), (24, 1), (24, 5), (24, 23), (6, 6), (6, 40)]


@pytest.mark.long
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
@pytest.mark.parametrize("name", LAWS)
def test_a_sampled_estimate_has_the_law_of_drawn_tangents(name, n, k, scale, generator):
    samples, approach = 1_500, Approach(aggregation=name, scale=scale)
    gradient = 3 * torch.randn(n, generator=generator, dtype=torch.float64)
    v = e.draw(approach, (samples, k, n), generator, dtype=torch.float64)
    drawn = e.aggregate(approach, v, e.known_derivatives(gradient.expand(samples, n), v))
    sampled = torch.stack([sample(approach, gradient, k, generator) for _ in range(samples)])
    if name == "projection" and k >= n:
        torch.testing.assert_close(drawn, sampled)
        return
    across = torch.randn(n, generator=generator, dtype=torch.float64)
    across -= (across @ gradient) / gradient.square().sum() * gradient
    for measure in (
        lambda g: g.norm(dim=1),
        lambda g: g @ gradient / g.norm(dim=1),
        lambda g: g @ across,
        lambda g: g[:, 0],
        lambda g: g.abs().amax(1),
    ):
        assert stats.ks_2samp(measure(drawn).numpy(), measure(sampled).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("k", [1, 3])
def test_in_one_dimension_a_sampled_estimate_has_the_gradients_direction(name, k, generator):
    gradient = torch.tensor([-2.0], dtype=torch.float64)
    found = torch.cat([sample(Approach(aggregation=name), gradient, k, generator) for _ in range(400)])  # fmt: skip
    times = {"mean": 1 / k, "sum": 1, "mean-times-n": 1 / k}
    if name == "projection":
        assert (found == -2).all()
    else:
        q = (found / -2 / times[name]).numpy()
        assert stats.kstest(q, stats.chi2(k).cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (8, 3), (8, 8)])
def test_a_sampled_estimate_of_nothing_is_nothing(name, n, k, generator):
    found = sample(Approach(aggregation=name), torch.zeros(n), k, generator)
    assert torch.equal(found, torch.zeros(n))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("length", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sampled_estimate_is_as_long_as_its_gradient(name, length, dtype, generator):
    unit = torch.randn(64, generator=generator, dtype=dtype)
    state = generator.get_state()
    expected = sample(Approach(aggregation=name), unit, 7, generator)
    generator.set_state(state)
    found = sample(Approach(aggregation=name), unit * length, 7, generator)
    assert found.dtype == dtype
    torch.testing.assert_close(found / length, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LAWS)
def test_a_sampled_estimate_comes_from_its_generator_alone(name, generator):
    gradient, before = torch.arange(1.0, 9.0), torch.get_rng_state()
    state = generator.get_state()
    first = sample(Approach(aggregation=name), gradient, 3, generator)
    second = sample(Approach(aggregation=name), gradient, 3, generator)
    generator.set_state(state)
    assert torch.equal(sample(Approach(aggregation=name), gradient, 3, generator), first)
    assert not torch.equal(first, second)
    assert torch.equal(gradient, torch.arange(1.0, 9.0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("k", [1, 1_000, 10**6 - 1, 10**6, 10**12])
def test_a_sampled_projection_follows_theory_for_any_k(k, generator):
    gradient = torch.randn(10**6, generator=generator)
    found = sample(APPROACHES["frog"], gradient, k, generator)
    cosine = float(torch.cosine_similarity(gradient.double(), found.double(), dim=0))
    squared = float(found.double().norm() / gradient.double().norm()) ** 2
    low, high = stats.beta(k / 2, (10**6 - k) / 2).ppf([1e-5, 1 - 1e-5]) if k < 10**6 else (1, 1)
    assert low - 1e-5 <= squared <= high + 1e-5
    assert cosine == pytest.approx(squared**0.5, abs=2e-3)


@pytest.mark.parametrize(
    "approach",
    [
        Approach(),
        Approach(aggregation="max"),
        Approach(aggregation="mean", normalize=True),
        Approach(aggregation="projection", sampler="rademacher"),
    ],
)
def test_without_a_law_nothing_is_sampled(approach, generator):
    with pytest.raises(ValueError, match="normal tangents and projection, mean, sum, mean-times-n"):
        sample(approach, torch.ones(4), 2, generator)


@pytest.mark.parametrize("a", [0.5, 3.0, 1e6])
def test_gamma_variables(a, generator):
    found = gamma(a, generator, (2000,))
    assert found.dtype == torch.float64
    assert stats.kstest(found.numpy(), stats.gamma(a).cdf).pvalue > 1e-4


def test_a_gamma_variable_of_shape_zero_is_zero_and_draws_nothing(generator):
    before = generator.get_state()
    assert torch.equal(gamma(0.0, generator, (3,)), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.long
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 3), (40, 7), (1000, 30)])
@pytest.mark.parametrize("name", LAWS)
def test_both_forms_of_a_law_and_its_expectation_agree(name, n, k, generator):
    """Length and cosine drawn at once, the same of a vector, and what is expected of them."""
    law, samples = LAWS[name], 4000
    g, h = (gamma(float(a), generator, (samples,)) for a in law.shapes(n, k))
    ratio, cosine = law.polar(g, h, n, k)
    found = []
    for _ in range(samples):
        across = torch.randn(n - 1, generator=generator, dtype=torch.float64)
        x, y = law.parts(lambda a: gamma(a, generator), across, n, k)
        found.append([x, y * across.norm()])
    x, y = torch.tensor(found, dtype=torch.float64).T
    for one, other in ((ratio, torch.hypot(x, y)), (cosine, x / torch.hypot(x, y))):
        assert stats.ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-4
    deviation = float(ratio.std()) / samples**0.5
    assert abs(float(ratio.mean()) - float(law.expected_ratio(n, k))) < 5 * deviation


@pytest.mark.parametrize("name", LAWS)
def test_where_an_estimate_is_certain_both_forms_say_so(name, generator):
    law = LAWS[name]
    assert law.certain(5, 5) == law.certain(5, 9) == (name == "projection")
    assert not law.certain(5, 4)
    if law.certain(5, 9):
        g, h = (gamma(float(a), generator, (3,)) for a in law.shapes(5, 9))
        assert all((one == 1).all() for one in law.polar(g, h, 5, 9))
        assert float(law.expected_ratio(5, 9)) == 1
        assert all(law.expected_ratio(n, 5) == 1 for n in range(1, 6))


def test_the_example_in_the_docstring():
    found = doctest.testmod(sampling, extraglobs={"torch": torch})
    assert found.attempted
    assert not found.failed
