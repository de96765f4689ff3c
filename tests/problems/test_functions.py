"""Test functions: gradients, minima, batching."""

import math

import pytest
import torch

from fgrad.gradients.estimators import backpropagation
from fgrad.problems.registry import FUNCTIONS

MINIMISERS = {
    "sphere": [0.0] * 5,
    "rosenbrock": [1.0] * 5,
    "styblinski-tang": [-2.903534027771177] * 5,
    "ackley": [0.0] * 5,
    "beale": [3.0, 0.5],
    "egg-crate": [0.0, 0.0],
    "goldstein-price": [0.0, -1.0],
    "levy-montalvo": [1.0] * 5,
    "three-hump-camel": [0.0, 0.0],
}


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if FUNCTIONS[name].gradient])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_closed_form_gradients(name, n, generator):
    x = torch.randn(4, 3, n, generator=generator, dtype=torch.float64)
    f = FUNCTIONS[name]
    assert f.gradient is not None
    torch.testing.assert_close(f.gradient(x), backpropagation(f.value, x))


@pytest.mark.parametrize("name", MINIMISERS)
def test_minima(name, generator):
    f, x = FUNCTIONS[name], torch.tensor(MINIMISERS[name], dtype=torch.float64)
    minimum = f.minimum(len(x))
    assert f.value(x).item() == pytest.approx(minimum, abs=1e-9)
    nearby = x + torch.randn(500, len(x), generator=generator, dtype=torch.float64)
    assert (f.value(nearby) >= minimum - 1e-9).all()


def test_the_plane_has_no_minimum():
    assert FUNCTIONS["plane"].minimum(3) == -math.inf
    assert set(FUNCTIONS) - set(MINIMISERS) == {"plane"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_points_do_not_mix(name, generator):
    f = FUNCTIONS[name]
    x = torch.randn(3, 4, f.only_n or 6, generator=generator, dtype=torch.float64)
    one_by_one = torch.stack([f.value(row) for row in x.flatten(0, 1)]).view(3, 4)
    torch.testing.assert_close(f.value(x), one_by_one)


def test_rosenbrock_is_degenerate_in_one_dimension():
    assert torch.equal(FUNCTIONS["rosenbrock"].value(torch.tensor([[3.0]])), torch.zeros(1))
    assert FUNCTIONS["rosenbrock"].degenerate_n == 1


def test_values_of_the_paper():
    start = {name: FUNCTIONS[name].start for name in ("sphere", "rosenbrock", "styblinski-tang")}
    assert start == {"sphere": (-1, -1), "rosenbrock": (-1, 0), "styblinski-tang": (0, 0)}
    ones = torch.ones(1, 3, dtype=torch.float64)
    assert FUNCTIONS["sphere"].value(ones * 2).item() == 12
    assert FUNCTIONS["rosenbrock"].value(ones * 0).item() == 2
    assert FUNCTIONS["styblinski-tang"].value(ones).item() == pytest.approx(-15)
