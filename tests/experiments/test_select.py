"""The selection rule of the learning-rate search."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgrad.experiments.search.select import Found, Scale, select

ZERO = Scale(0.0, 1e6)
some_rates = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30, unique=True)


def found_in(
    lr: list[float], loss: list[float], scale: Scale = ZERO, margin: float = 0.05
) -> Found:
    found = select(lr, loss, scale, margin)
    assert found is not None
    return found


@given(lr=some_rates, data=st.data(), margin=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_the_selected_rate_is_within_the_margin_and_central(lr, data, margin):
    loss = data.draw(
        st.lists(
            st.one_of(
                st.integers(0, 400).map(lambda i: i / 4), st.just(math.inf), st.just(math.nan)
            ),
            min_size=len(lr),
            max_size=len(lr),
        )
    )
    found = select(lr, loss, ZERO, margin)
    pairs = [(r, v) for r, v in zip(lr, loss, strict=True) if math.isfinite(v)]
    if not pairs:
        assert found is None
        return
    assert found is not None
    lowest = min((r for r, v in zip(lr, loss, strict=True) if math.isinf(v)), default=math.inf)
    pairs = [(r, v) for r, v in pairs if r < lowest] or pairs
    finite = [v for _, v in pairs]
    near = [r for r, v in pairs if v <= (1 + margin) * min(finite)]
    assert found.best_loss == min(finite)
    assert found.lr in near
    assert found.within == len(near)
    centre = np.mean(np.log(near))
    away = abs(math.log(found.lr) - centre)
    assert away <= min(abs(math.log(r) - centre) for r in near) + 1e-9
    assert select(lr[::-1], loss[::-1], ZERO, margin) == found  # whatever the order


@given(shift=st.sampled_from([-2506.63464605, -1.0, 7.0]), margin=st.sampled_from([0.0, 0.05, 0.5]))
def test_the_margin_is_of_what_is_above_the_minimum(shift, margin):
    """A relative margin around a negative loss would select nothing, or everything."""
    lr = [1e-3, 1e-2, 1e-1, 1.0]
    loss = [2.0, 1.0, 1.04, 3.0]
    plain = found_in(lr, loss, ZERO, margin)
    moved = found_in(lr, [value + shift for value in loss], Scale(shift, shift + 5), margin)
    assert (moved.lr, moved.within) == (plain.lr, plain.within)


def test_losses_at_a_negative_minimum_are_equal_up_to_rounding():
    minimum = -2506.63464605
    loss = [-2000.0, -2506.6345, -2506.634765625, -2506.634521484375, -2100.0]
    found = found_in([1e-4, 1e-3, 1e-2, 1e-1, 1.0], loss, Scale(minimum, 0.0))
    assert (found.within, found.lr) == (3, 1e-2)


def test_where_the_best_has_hardly_left_the_start_rates_that_did_not_move_are_worse():
    """Rosenbrock at n = 1024: 5 % of what is left is more than anything has gained."""
    found = found_in([1e-5, 1e-4, 1e-3, 1e-2], [1027, 1026, 1001, 1000], Scale(0.0, 1027.0))
    assert found.within == 2
    assert found.lr >= 1e-3


def test_a_rate_that_survived_where_a_lower_one_diverged_is_not_taken():
    lr, loss = [0.1, 0.2, 0.4, 0.5, 0.6], [0.5, 0.3, math.inf, 0.1, math.inf]
    found = found_in(lr, loss)
    assert (found.lr, found.best_lr, found.between) == (0.2, 0.2, (0.1, 0.4))
    assert found_in(lr, [0.5, 0.3, math.nan, 0.1, math.inf]).lr == 0.5  # was pruned
    assert found_in(lr, [math.inf, 0.3, 0.4, 0.1, math.inf]).lr == 0.5  # nothing else


def test_without_a_minimum_the_margin_is_of_the_fall():
    found = found_in([0.1, 1.0, 10.0], [-96.0, -100.0, -3.0], Scale(-math.inf, 0.0))
    assert found.within == 2


@pytest.mark.parametrize(
    ("loss", "edge"),
    [
        ([1.0, 2.0, 3.0], "low"),
        ([3.0, 2.0, 1.0], "high"),
        ([3.0, 1.0, 2.0], ""),
        ([3.0, 1.0, math.inf], ""),  # rates beyond the best were tried: they diverge
        ([1.0, 1.0, 1.0], ""),  # a constant has no best rate
        ([1.0, 1.0, 2.0], ""),
        ([1.0], ""),
    ],
)
def test_a_best_rate_at_the_edge(loss, edge):
    assert found_in([0.1, 1.0, 10.0][: len(loss)], loss).edge == edge
