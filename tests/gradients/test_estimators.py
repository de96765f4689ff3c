"""Estimators: forward mode against reverse mode, and expectations against theory."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad.gradients import estimators as e
from fgrad.gradients import laws
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.problems.registry import FUNCTIONS

X = torch.tensor([[0.5, -1.2], [1.7, 0.3], [-2.0, 1.1]], dtype=torch.float64)


def points(name: str) -> torch.Tensor:
    if FUNCTIONS[name].only_n:
        return X
    return torch.cat([X, X.flip(0), X * 0.3], -1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_agrees_with_backpropagation(name, generator):
    f, x = FUNCTIONS[name].value, points(name)
    gradient = e.backpropagation(f, x)
    torch.testing.assert_close(e.full_forward_mode(f, x), gradient)
    v = torch.randn(*x.shape[:-1], 4, x.shape[-1], generator=generator, dtype=torch.float64)
    forward = e.forward_derivatives(f, x, v)
    torch.testing.assert_close(forward, e.known_derivatives(gradient, v))


def test_a_constant_function_has_no_derivative(generator):
    x = torch.zeros(3, 1)
    v = torch.randn(3, 2, 1, generator=generator)
    assert torch.equal(
        e.forward_derivatives(FUNCTIONS["rosenbrock"].value, x, v), torch.zeros(3, 2)
    )


def test_forward_mode_needs_no_backward_pass(generator, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("backward pass")

    monkeypatch.setattr(torch.autograd, "grad", refused)
    monkeypatch.setattr(torch.Tensor, "backward", refused)
    e.forward_gradient(FUNCTIONS["sphere"].value, X, 2, generator, APPROACHES["frog"])


def test_projection_on_enough_tangents_is_the_gradient(generator):
    f = FUNCTIONS["styblinski-tang"].value
    estimate = e.forward_gradient(f, X, 2, generator, APPROACHES["frog"])
    torch.testing.assert_close(estimate, e.backpropagation(f, X))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 8), factor=st.floats(0.01, 100))
def test_projection_depends_on_the_span_alone(seed, k, factor):
    g = torch.Generator().manual_seed(seed)
    f, x = FUNCTIONS["sphere"].value, torch.randn(1, 9, generator=g, dtype=torch.float64)
    v = torch.randn(1, k, 9, generator=g, dtype=torch.float64)
    mixing = torch.linalg.qr(torch.randn(k, k, generator=g, dtype=torch.float64))[0] * factor
    frog = APPROACHES["frog"]
    estimate = e.fixed_directions(f, x, v, frog)
    torch.testing.assert_close(
        e.fixed_directions(f, x, mixing @ v, frog), estimate, atol=1e-8, rtol=1e-7
    )


@pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (32, 16), (5, 12)])
@pytest.mark.parametrize(
    ("approach", "unit"),
    [
        (Approach(aggregation="mean"), False),
        (Approach(aggregation="sum"), False),
        (Approach(aggregation="mean-times-n", normalize=True), True),
        (Approach(aggregation="projection"), False),
    ],
)
def test_norms_follow_theory(n, k, approach, unit, generator):
    samples = 20_000
    gradient = torch.randn(n, generator=generator, dtype=torch.float64)
    v = e.draw(approach, (samples, k, n), generator, dtype=torch.float64)
    estimate = e.aggregate(approach, v, e.known_derivatives(gradient.expand(samples, n), v))
    ratio = estimate.norm(dim=-1) / gradient.norm()
    expected = laws.expected_norm_ratio(approach.aggregation, n, k, unit)
    observed = ratio.square().mean().sqrt() if unit else ratio.mean()
    assert abs(observed - expected) < 5 * ratio.std() / samples**0.5 + 1e-9
    scaled = replace(approach, scale=True)
    corrected = e.aggregate(scaled, v, e.known_derivatives(gradient.expand(samples, n), v))
    torch.testing.assert_close(corrected, estimate / expected)


@pytest.mark.parametrize("k", [1, 4])
def test_the_mean_is_unbiased_until_it_converges(k, generator):
    """The error of the average falls like samples^(−1/2) and stays within five deviations."""
    n, gradient = 6, torch.arange(1.0, 7.0, dtype=torch.float64)
    for samples in (1_000, 16_000):
        v = torch.randn(samples, k, n, generator=generator, dtype=torch.float64)
        estimate = e.aggregate(
            APPROACHES["fg-mean"], v, e.known_derivatives(gradient.expand(samples, n), v)
        )
        deviation = estimate.std(0) / samples**0.5
        assert ((estimate.mean(0) - gradient).abs() < 5 * deviation).all()


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize("name", ["projection", "mean", "max", "max-normalized", "mean-of-best"])
def test_gradients_that_share_their_tangents_are_aggregated_one_by_one(name, k, generator):
    v = torch.randn(k, 7, generator=generator, dtype=torch.float64)
    gradients = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    approach = Approach(aggregation=name)
    together = e.combine(e.coefficients(approach, v, gradients @ v.mT), v)
    for gradient, found in zip(gradients, together, strict=True):
        torch.testing.assert_close(found, e.aggregate(approach, v, v @ gradient))


def test_the_example_in_the_docstring():
    import doctest

    found = doctest.testmod(e, extraglobs={"torch": torch})
    assert found.attempted
    assert not found.failed
