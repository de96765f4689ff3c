"""Error rate and power of the tests, by simulation."""

import numpy as np
import pytest

from fgrad.comparing import chance
from fgrad.paper.evidence.check import LEVEL, POWER

ROWS, FAMILIES = 40, 200
ALLOWED = 7
"""Of so many families by chance: what 1 % exceeds once in a thousand times."""


def minima(draws, size):
    """Descents that end in one of two minima, one of them solved."""
    return np.where(draws.random(size) < 0.5, -6.0, 0.3)


DRAWS = {
    "normal": lambda draws, size: draws.normal(size=size),
    "skewed": lambda draws, size: draws.exponential(size=size),
    "heavy tails": lambda draws, size: draws.standard_t(3, size=size),
    "uniform": lambda draws, size: draws.uniform(size=size),
    "two minima": minima,
    "diverging": lambda draws, size: np.where(
        draws.random(size) < 0.3, np.inf, draws.normal(size=size)
    ),
}


def false_alarms(draw, test, sizes, families, rows=ROWS):
    """How many families, all of whose null hypotheses are true, have one rejected."""
    draws = np.random.default_rng(0)
    alarms = 0
    for _ in range(families):
        tests = [test(draw(draws, sizes[0]), draw(draws, sizes[1])) for _ in range(rows)]
        alarms += bool(chance.rejected(tests)[0].any())
    return alarms


@pytest.mark.long
@pytest.mark.parametrize("sizes", [(3, 3), (5, 5)])
@pytest.mark.parametrize("name", DRAWS)
def test_no_more_than_one_in_a_hundred_comparisons_of_equals_alarms(name, sizes):
    assert false_alarms(DRAWS[name], chance.seeds, sizes, FAMILIES) <= ALLOWED


@pytest.mark.long
@pytest.mark.parametrize("name", ["normal", "skewed"])
def test_nor_of_samples(name):
    assert false_alarms(DRAWS[name], chance.samples, (200, 150), 200, 10) <= 8


def test_a_test_without_a_correction_would_alarm():
    """The simulation can fail."""

    def bold(x, y):
        found = chance.seeds(x, y)
        return chance.Tested(found.by, found.p / ROWS, 0.0, 0, 1, 1, (5, 5))

    assert false_alarms(DRAWS["normal"], bold, (5, 5), 100) > 10


@pytest.mark.parametrize("count", [4, 5, 20])
@pytest.mark.parametrize("level", [LEVEL, LEVEL / 100])
def test_what_is_said_to_be_seen_is_seen_as_often_as_is_said(count, level):
    draws = np.random.default_rng(0)
    error, freedom = (2 / count) ** 0.5, 2 * count - 2
    said = chance.Tested(chance.WELCH, 1, 0, 0, error, freedom, (count, count)).seen(level)
    seen = [
        chance.seeds(draws.normal(size=count), draws.normal(said, 1, count)).p <= level
        for _ in range(1000)
    ]
    few = count < 20 and level < LEVEL  # Welch's freedom, which is estimated, is less than theirs
    assert (0.5 if few else POWER - 0.1) < np.mean(seen) < POWER + 0.05


def test_samples_that_are_as_far_apart_as_is_said_are_seen():
    draws, level, count = np.random.default_rng(0), LEVEL / 100, 200
    seen = []
    for _ in range(200):
        x = draws.uniform(size=count)
        apart = chance.samples(x, x).seen(level)
        seen.append(chance.samples(x, draws.uniform(apart, 1 + apart, count)).p <= level)
    assert np.mean(seen) > POWER - 0.05


def test_few_seeds_and_ties_are_known_to_decide_nothing():
    assert chance.seeds([1.0, 2.0], [50.0, 51.0]).by == ""
    tied = chance.seeds([0.0] * 3, [1.0] * 3)
    assert tied.by == chance.RANKS
    assert tied.least == pytest.approx(0.1)
    assert not chance.rejected([tied])[0].any()
    many = chance.seeds([0.0] * 8, [1.0] * 8)
    assert chance.rejected([many])[0].all()


def test_unequal_numbers_of_seeds_decide_where_they_can():
    assert chance.rejected([chance.seeds([np.inf] * 3, np.arange(9.0))])[0].all()
    beyond = [np.inf] * 14, np.arange(14.0)
    limit = chance.seeds(*beyond)
    assert 0 < limit.least <= limit.p < 1e-5
    assert chance.seeds(beyond[0], beyond[1] - 5).least == limit.least


def test_what_is_no_number_is_infinite():
    found = chance.seeds([1, 2, 3, 4, np.nan], [1, 2, 3, 4, np.inf])
    assert (found.by, found.p) == (chance.RANKS, 1.0)
    assert chance.samples([*np.arange(40.0), np.nan], [*np.arange(60.0, 100), 1.0]).p < 1e-9


def test_small_numbers_are_told_apart():
    small, large = [1e-7, 2e-7, 3e-7], [7e-6, 8e-6, 9e-6]
    assert chance.seeds(small, large).by == chance.ONE
    assert chance.seeds(small, large, unit=9e-6).p < 0.01


def test_rounding_parts_no_equal_values():
    same = chance.seeds([1.0, 1.0, 1.0], [1.0, 1.0 + 1e-9, 1.0])
    assert (same.by, same.p) == (chance.ONE, 1.0)
    assert chance.samples(np.ones(50), np.full(50, 1 - 1e-8)).p == 1
