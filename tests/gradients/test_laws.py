"""Closed forms against quadrature, moments and limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln

from fgrad.gradients import laws

SIZES = st.integers(1, 10**9)


@pytest.mark.parametrize(
    ("a", "b"), [(0.5, 0.5), (0.5, 31.5), (8, 24), (512, 512), (2, 4e8), (9e3, 2e4)]
)
def test_root_beta_by_quadrature(a, b):
    law = stats.beta(a, b)
    low, high = law.ppf([1e-15, 1 - 1e-15])
    expected = law.expect(np.sqrt, lb=low, ub=high, limit=500)
    assert laws.expected_root_beta(a, b) == pytest.approx(expected, rel=1e-6)


@given(n=SIZES, k=st.integers(1, 2000))
def test_bounds(n, k):
    ratio = laws.projection_ratio(n, k)
    # Jensen: E√B ≤ √EB, and never far below; the mean is no better than the projection
    assert 0 < ratio <= min(1.0, np.sqrt(k / n)) + 1e-12
    assert ratio >= 0.79 * min(1.0, np.sqrt(k / n))
    assert laws.mean_cosine(n, k) <= ratio + 1e-9
    assert laws.mean_ratio(n, k) ** 2 <= laws.mean_squared_ratio(n, k) * (1 + 1e-9)


@given(k=st.integers(1, 100), more=st.integers(0, 100))
def test_enough_tangents_give_everything(k, more):
    assert laws.projection_ratio(k, k + more) == 1


@given(n=SIZES)
def test_one_tangent_is_one_tangent(n):
    assert laws.projection_ratio(n, 1) == pytest.approx(float(laws.mean_cosine(n, 1)), rel=1e-10)


def test_the_series_joins_the_exact_ratio():
    x = np.array([9_999.0, 10_001.0])
    exact = np.exp(gammaln(x + 0.5) - gammaln(x))
    assert laws._half_step(x) == pytest.approx(exact, rel=1e-10)


def test_squares_by_hand():
    assert laws.mean_squared_ratio(10, 1) == 12
    assert laws.mean_squared_ratio(10, 4) == 15 / 4
    assert laws.mean_squared_ratio(10, 1, unit=True) == pytest.approx(1 / 10)


def test_unknown_aggregation():
    with pytest.raises(ValueError, match="no expected norm is known for the aggregation 'max'"):
        laws.expected_norm_ratio("max", 4, 2)
