"""Whether two samples are of one distribution: tests with a joint error rate, and their power.

Null hypothesis of each test: what was observed on both sides is drawn from the same distribution.
With `LEVEL` of probability at most, any of a comparison's true null hypotheses is rejected (Holm).

- Seeds: Welch's t-test, for three on each side at least. Where values are tied or infinite
  (descents that end in one of two minima, that are solved, that diverge) a mean and its deviation
  say little, and the exact permutation test of the sums of ranks is taken, which few seeds cannot
  pass.
- Samples: the test of Kolmogorov and Smirnov.

Source: Welch, The generalization of "Student's" problem, 1947; Mann and Whitney, On a test of
whether one of two random variables is stochastically larger, 1947; Hodges, The significance
probability of the Smirnov two-sample test, 1958; Holm, see `fgrad.paper.evidence.check`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb, inf, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import nctdtrinc, stdtr, stdtrit

from fgrad.paper.evidence.check import LEVEL, POWER, holm

Floats = npt.NDArray[np.float64]

FEWEST = 3
"""Seeds on each side from which a deviation says anything."""

MANY = 200_000
"""Ways to part the observations beyond which ranks are tested by their limit."""

DIGITS, ROUNDING = 5, 1e-5
"""Decimals of samples that are told apart, and the spread of seeds that is none: beyond is
rounding, which would part equal ones."""


@dataclass(frozen=True)
class Tested:
    """What a test says.

    Args:
        by: name of the test; empty if there can be none.
        p: probability of so large a difference by chance; 1 if there is no test.
        least: the smallest p that it could have given.
        difference: of the means, b − a.
        error: standard error of it.
        freedom: degrees of freedom of the error.
        counts: observations of a and of b.
    """

    by: str
    p: float
    least: float
    difference: float
    error: float
    freedom: float
    counts: tuple[int, int]

    def half(self, level: float) -> float:
        """Half the width of the interval of the difference, wrong with this probability."""
        if not self.error > 0:
            return 0.0 if self.error == 0 else nan
        return -float(stdtrit(self.freedom, level / 2)) * self.error

    def seen(self, level: float) -> float:
        """The difference that a test at this level would have seen with probability `POWER`.

        With five seeds and a hundred tests the probability is 0.6: deviations are estimated.
        Of means; of `samples` of the distributions, as the largest difference of probabilities.
        """
        if self.by == SMIRNOV:
            return (sqrt(-np.log(level / 2) / 2) + float(stats.norm.ppf(POWER)) / 2) * sqrt(
                sum(1 / count for count in self.counts)
            )
        if self.by == WELCH:
            needed = -stdtrit(self.freedom, level / 2)
            return float(nctdtrinc(self.freedom, 1 - POWER, needed)) * self.error
        return nan


WELCH, RANKS, SMIRNOV = "Welch", "ranks", "Kolmogorov–Smirnov"
ONE = "one value"
"""Where all seeds of both sides have the same value, which needs no test."""


def seeds(a: npt.ArrayLike, b: npt.ArrayLike, unit: float = 1.0) -> Tested:
    """Test few observations of each side; what is no number counts as infinite.

    Args:
        a: of one side.
        b: of the other.
        unit: of which `ROUNDING` is a part.

    >>> seeds([1.0, 1.1, 0.9], [1.0, 1.05, 0.9]).by, seeds([1.0, 2.0], [1.0, 2.0]).by
    ('Welch', '')
    """
    x, y = _numbers(a), _numbers(b)
    counts = (len(x), len(y))
    pooled = np.concatenate([x, y])
    if min(counts) < FEWEST:
        return Tested("", 1.0, inf, *_means(x, y), counts)
    if (pooled == pooled[0]).all() or np.ptp(pooled) <= ROUNDING * unit:
        return Tested(ONE, 1.0, 0.0, 0.0, 0.0, inf, counts)
    difference, error, freedom = _means(x, y)
    if not np.isfinite(pooled).all() or len(np.unique(pooled)) <= len(pooled) / 2:
        return Tested(RANKS, *_ranks(x, y), difference, error, freedom, counts)
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Tested(WELCH, p, 0.0, difference, error, freedom, counts)


def samples(a: npt.ArrayLike, b: npt.ArrayLike) -> Tested:
    """Test many observations of each side; what is no number counts as infinite."""
    x, y = (np.round(_numbers(one), DIGITS) for one in (a, b))
    difference, error, freedom = _means(x, y)
    counts = (len(x), len(y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it takes the limit where counts are large
        p = float(stats.ks_2samp(x, y).pvalue)
    least = 2 / comb(sum(counts), counts[0]) if max(counts) < 30 else 0.0
    return Tested(SMIRNOV, p, least, difference, error, freedom, counts)


def rejected(tests: Sequence[Tested]) -> tuple[npt.NDArray[np.bool_], float]:
    """Which of some null hypotheses are rejected at a joint error of `LEVEL`, and the level of one.

    Tests that could reject nothing even alone are not counted, nor are values that are all one.

    Returns:
        For each test whether it rejects; `LEVEL` by their number, at which intervals hold jointly
        and below which `Tested.least` must be for a test to reject anything.
    """
    able = [
        number for number, one in enumerate(tests) if one.by not in ("", ONE) and one.least <= LEVEL
    ]
    found = np.zeros(len(tests), dtype=bool)
    found[able] = holm([tests[number].p for number in able])
    return found, LEVEL / max(1, len(able))


def _numbers(values: npt.ArrayLike) -> Floats:
    found = np.asarray(values, dtype=float)
    return np.where(np.isnan(found), inf, found)


def _means(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Difference of the means, its standard error and the degrees of freedom of that (Welch)."""
    if (x == x[0]).all() and (y == y[0]).all():
        return 0.0 if x[0] == y[0] else float(y[0] - x[0]), 0.0, inf
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = float(y.mean() - x.mean())
        if min(len(x), len(y)) < 2 or not np.isfinite(difference):
            return difference, nan, nan
        u, v = float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)
        freedom = (u + v) ** 2 / (u**2 / (len(x) - 1) + v**2 / (len(y) - 1))
    return difference, sqrt(u + v), freedom


def _ranks(x: Floats, y: Floats) -> tuple[float, float]:
    """Value p of the permutation test of the sums of ranks, and the smallest that it can have."""
    if comb(len(x) + len(y), len(x)) > MANY:
        return _limit(x, y), _limit(np.arange(len(x), dtype=float), np.full(len(y), inf))
    ranks = stats.rankdata(np.concatenate([x, y]))
    sums = ranks[_choices(len(ranks), len(x))].sum(-1)
    off = np.abs(sums - ranks.sum() * len(x) / len(ranks))
    return float((off >= off[0] - 1e-9).mean()), 2 / len(sums)  # the first are those of x


def _limit(x: Floats, y: Floats) -> float:
    return float(stats.mannwhitneyu(x, y, method="asymptotic").pvalue)


@cache
def _choices(of: int, count: int) -> npt.NDArray[np.int64]:
    """All ways to choose some places of a number of them, the first ones first."""
    return np.array(list(combinations(range(of), count)))
