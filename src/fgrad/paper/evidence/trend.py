"""Whether something gets better from level to level: a permutation test for ordered alternatives.

Within a stratum the statistic of Jonckheere and Terpstra counts the pairs of observations that are
in order, J = Σ [x_b < x_a] + ½[x_b = x_a] over pairs whose level is higher at b than at a. Under
the null hypothesis its labels are exchangeable, within a block (a seed that levels share) where
there are blocks, so that its law is that of relabelled data, whatever the law of the values: ties
at a floor, skew and runs that diverged are ranks like others. Strata of a group, whose observations
are independent, are added as standard scores.

Source: Jonckheere, A distribution-free k-sample test against ordered alternatives, 1954; Page,
Ordered hypotheses for multiple treatments, 1963 (blocks); van Elteren, On the combination of
independent two-sample tests, 1960 (strata).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, factorial, log, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fgrad.paper.evidence.check import (
    LEVEL,
    POWER,
    Verdict,
    decide,
    holm,
    listed,
    parts,
    told,
    undecidable,
)

DRAWS = 9_999
"""Relabellings; the smallest p is one more of them to one."""

MANY = 1000
"""Seeds; where more are needed, nobody will run them."""

ABSENT = 0.2
"""A trend whose p is above this is not there, however far the ends are apart."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Question:
    """What is asked of a frame with a row for each observation, ``value`` the lower the better.

    Args:
        level: column of the ordered levels.
        groups: columns of what the statement is made for, each on its own.
        strata: columns that part a group into strata.
        cells: columns that part a stratum; cells of a stratum share their observations' labels.
        block: column of what the levels share, if they do.
        equal: difference of values that counts as none.
        unit: how differences are told, see `fgrad.paper.evidence.check.told`.
        text: the value in words.
        limits: of the value, in words, if it is cut.
        steps: whether a step from a level to the next that is worse refutes the statement.
        ways: what a lower value is, and a higher.
        worst: value of what has failed altogether; a group of nothing else decides nothing.
    """

    level: str
    groups: list[str]
    strata: list[str]
    equal: float
    unit: str
    text: str
    cells: tuple[str, ...] = ()
    block: str | None = None
    limits: str = ""
    steps: bool = True
    ways: tuple[str, str] = ("lower", "higher")
    worst: float = np.inf


@dataclass(frozen=True)
class Stratum:
    """Observations whose labels are exchangeable under the null hypothesis.

    Args:
        name: in words.
        levels: level of each observation, [N].
        blocks: number of each observation's block, [N].
        order: how many cells have b below a, [N, N], ties a half.
        ends: mean difference of the last level from the first over the cells, its error (0 where
            it is not known), and the smaller number of observations at an end.
    """

    name: str
    levels: Array
    blocks: Array
    order: Array
    ends: tuple[float, float, int]

    def scores(self, rng: np.random.Generator, draws: int) -> tuple[float, Array]:
        """Standard score of the statistic, and of relabelled data [draws]."""
        pairs = np.where(self.blocks[:, None] == self.blocks, self.order, 0.0).astype(np.float32)
        observed = _count(self.levels[None], pairs)[0]
        ranks = np.unique(self.levels, return_inverse=True)[1].astype(np.int16)
        labels = np.empty((draws, len(ranks)), dtype=np.int16)
        for block in np.unique(self.blocks):
            own = self.blocks == block
            labels[:, own] = rng.permuted(np.tile(ranks[own], (draws, 1)), axis=1)
        drawn = _count(labels, pairs)
        spread = drawn.std()
        if spread < 1e-6:  # all alike
            return 0.0, np.zeros(draws)
        return (observed - drawn.mean()) / spread, (drawn - drawn.mean()) / spread

    @property
    def arrangements(self) -> float:
        """Logarithm of the number of different labellings."""
        found = 0.0
        for block in np.unique(self.blocks):
            counts = np.unique(self.levels[self.blocks == block], return_counts=True)[1].tolist()
            found += log(factorial(sum(counts)) / prod(map(factorial, counts)))
        return found

    def between(self, low: float, high: float) -> "Stratum":
        """The observations of two levels."""
        own = (self.levels == low) | (self.levels == high)
        order = self.order[np.ix_(own, own)]
        return Stratum(self.name, self.levels[own], self.blocks[own], order, self.ends)


@dataclass(frozen=True)
class Found:
    """What a test has found.

    Args:
        name: of the group, step or cell.
        better: probability by chance that it gets so much better.
        worse: that it gets so much worse.
        effect: mean difference of the last level from the first.
        error: its standard error, 0 where it is not known.
        freedom: degrees of freedom of that.
        arrangements: logarithm of the number of labellings.
    """

    name: str
    better: float
    worse: float
    effect: float
    error: float
    freedom: int
    arrangements: float

    def alike(self, bound: float) -> float:
        """Probability by chance that the difference seems so far below a bound: two t-tests."""
        if self.error == 0:
            return 1.0
        return float(stats.t.sf((bound - abs(self.effect)) / self.error, self.freedom))


Scores = list[tuple[float, Array]]
"""Of strata, see `Stratum.scores`."""


def scored(strata: list[Stratum]) -> Scores:
    """The scores of strata that are independent."""
    rng = np.random.default_rng(0)
    return [stratum.scores(rng, DRAWS) for stratum in strata]


def test(name: str, strata: list[Stratum], scores: Scores) -> Found:
    """Test independent strata together."""
    observed = sum(one for one, _ in scores)
    drawn = np.sum([many for _, many in scores], axis=0)
    ends = np.array([stratum.ends for stratum in strata])
    known = bool((ends[:, 1] > 0).any()) and int(ends[:, 2].min()) > 1
    error = float(np.sqrt((ends[:, 1] ** 2).sum()) / len(ends)) if known else 0.0
    arrangements = sum(stratum.arrangements for stratum in strata)
    better, worse = (_by_chance(sign * observed, sign * drawn, arrangements) for sign in (1, -1))
    freedom = max(1, int(ends[:, 2].min()) - 1)
    return Found(name, better, worse, float(ends[:, 0].mean()), error, freedom, arrangements)


def _by_chance(observed: float, drawn: Array, arrangements: float) -> float:
    """Share of labellings that are as extreme; where none was drawn, the normal law's tail."""
    count = int((drawn >= observed - 1e-6).sum())
    least = 1 / (len(drawn) + 1)
    if count or not (spread := float(drawn.std())):
        return (1 + count) * least
    return min(least, max(exp(-arrangements), float(stats.norm.sf(observed / spread))))


def judge(frame: pd.DataFrame, question: Question, where: str = "") -> Verdict:
    """The verdict on a statement that something gets better from level to level.

    Args:
        frame: one row for each observation.
        question: what is asked.
        where: said first of the evidence.
    """
    null = (
        f"{question.text} does not depend on {question.level} in some group of "
        f"{' × '.join(question.groups) or 'all'}"
    )
    groups = dict(_groups(frame, question))
    every = {name: part["value"] for name, part in parts(frame, question.groups)}
    rest = {name: values for name, values in every.items() if name not in groups}
    lost = [name for name, values in rest.items() if (values >= question.worst).all()]
    alike = [name for name in rest if name not in lost]
    if not groups:
        return undecidable(
            f"{where}no group has two levels of {question.level} that differ at all", null
        )
    if frame["seed"].nunique() < 2:
        return undecidable(f"{where}two seeds are needed", null)
    found, cells = [], []
    for name, strata in groups.items():
        scores = scored(strata)
        found.append(test(name, strata, scores))
        cells += [test(one.name, [one], [own]) for one, own in zip(strata, scores, strict=True)]
    against = [*found, *_steps(question, groups)]
    p = [*(a.worse for a in against), *(a.alike(question.equal) for a in found)]
    rejected = holm(p)
    worse = [a for a, no in zip(against, rejected, strict=False) if no]
    none = [a for a, no in zip(found, rejected[len(against) :], strict=True) if no]
    weak = [a for a in found if a.better > LEVEL]
    evidence = _evidence(where, question, found, cells)
    odd = [c for c, no in zip(cells, holm([c.worse for c in cells]), strict=True) if no]
    for names, what in (
        ([a.name for a in odd], "exceptions, worse (Holm over cells)"),
        ([a.name for a in weak], "not significant"),
        ([a.name for a in worse], "worse"),
        ([a.name for a in none], "without effect"),
        (lost, "failed throughout, which decides nothing"),
        (alike, "alike throughout and left out"),
    ):
        evidence += f"; {what}:{listed(names)}" if names else ""
    return decide(
        not weak and not worse and not none and not lost,
        evidence,
        f"permutation test of Jonckheere and Terpstra, {LEVEL:g} in each of {len(found)} groups; "
        f"fails if one of {len(against)} tests of groups and steps is the other way, or a group's "
        f"difference is shown to be below {told(question.equal, question.unit)} (t-tests; Holm, "
        f"{LEVEL:g} over all of these){question.limits}",
        null,
        _power(frame, question, found, weak),
        fails=bool(worse or none),
    )


def _steps(question: Question, groups: dict[str, list[Stratum]]) -> Iterator[Found]:
    """Each level of a group against the next it has."""
    for name, strata in groups.items() if question.steps else ():
        levels = sorted({level for one in strata for level in one.levels.tolist()})
        for low, high in pairwise(levels) if len(levels) > 2 else ():
            own = [one.between(low, high) for one in strata if {low, high} <= {*one.levels}]
            if own:
                yield test(f"{name}, {question.level} {low:g}→{high:g}", own, scored(own))


def _evidence(where: str, question: Question, found: list[Found], cells: list[Found]) -> str:
    better = [c for c in cells if c.better <= LEVEL]
    worse = [c for c in cells if c.worse <= LEVEL]
    rest = [c for c in cells if c not in better and c not in worse]
    equal = [c for c in rest if abs(c.effect) + 2 * c.error <= question.equal]
    effect = float(np.median([c.effect for c in cells]))
    least = max(found, key=lambda a: a.better)
    return (
        f"{where}of {len(cells)} cells that are not alike throughout {len(better)} better, "
        f"{len(equal)} equal, {len(worse)} worse, {len(rest) - len(equal)} open (each at "
        f"{LEVEL:g}){listed([c.name for c in worse])}; from the first to the last {question.level} "
        f"{told(effect, question.unit, question.ways)} in the median cell; of {len(found)} groups "
        f"the least certain has p = {least.better:.2g} ({least.name})"
    )


def _power(frame: pd.DataFrame, question: Question, found: list[Found], weak: list[Found]) -> str:
    """The smallest effect that would have been seen, and what would decide."""
    reach = stats.norm.ppf(1 - LEVEL) + stats.norm.ppf(POWER)
    few = [a for a in found if exp(-a.arrangements) > LEVEL]
    smallest = max(reach * a.error for a in found)
    text = f"too few seeds to show anything in{listed([a.name for a in few])}"
    if not few:
        text = (
            f"by the spread within cells, about {told(smallest, question.unit)} between the first "
            f"and the last {question.level} would have been seen in every group with {POWER:.0%} "
            "probability"
        )
    if not weak:
        return text
    seeds = int(frame["seed"].nunique())
    needed = {a.name: _needed(a, seeds, reach) for a in weak}
    without = [name for name, many in needed.items() if many is None]
    if without:
        return f"{text}; this run shows no trend to count on in{listed(without)}"
    most = max(many for many in needed.values() if many is not None)
    runs = len(frame.drop_duplicates(["seed", *_settings(frame)])) // seeds * (most - seeds)
    hours = ""
    if "seconds" in frame:
        hours = f", {runs * frame['seconds'].mean() / 3600:.1f} hours of runs like these"
    return f"{text}; {most} seeds would decide, {runs:,} more runs{hours}"


def _settings(frame: pd.DataFrame) -> list[str]:
    """Columns that name a run, beside its seed."""
    return [
        name
        for name in ("function", "model", "width", "dataset", "n", "gradient", "k")
        if name in frame
    ]


def _needed(found: Found, seeds: int, reach: float) -> int | None:
    """Seeds that would show the effect that was seen; none if there is no trend."""
    if found.effect >= 0 or found.better > ABSENT:
        return None
    by_spread = ceil(min(1e6, seeds * (reach * found.error / found.effect) ** 2))
    by_count = seeds  # arrangements grow at least in proportion to the seeds
    while found.arrangements * by_count / seeds < log(1 / LEVEL):
        by_count += 1
    most = max(by_spread, by_count, seeds + 1)
    return most if most <= MANY else None


def _groups(frame: pd.DataFrame, question: Question) -> Iterator[tuple[str, list[Stratum]]]:
    """Groups by name, with those of their strata that have two levels at least and are not alike.

    Strata are in the order of their names, on which no value depends.
    """
    frame = frame.assign(_level=frame[question.level].astype(float))
    for name, group in parts(frame, question.groups):
        strata = [
            _stratum(
                part, question, " ".join(one for one in (name, inner) if one != "all") or "all"
            )
            for inner, part in sorted(parts(group, question.strata), key=lambda pair: pair[0])
            if part["_level"].nunique() > 1 and part["value"].nunique() > 1
        ]
        if strata:
            yield name, strata


def _stratum(frame: pd.DataFrame, question: Question, name: str) -> Stratum:
    orders, ends = [], []
    frame = frame.sort_values(["_level", "seed"], kind="stable")
    first, last = frame["_level"].min(), frame["_level"].max()
    own = [cell for _, cell in parts(frame, list(question.cells))]
    whole = {tuple(zip(cell["_level"], cell["seed"], strict=True)) for cell in own}
    if len(whole) > 1:  # cells are relabelled together
        common = set.intersection(*map(set, whole))
        own = [
            cell[[one in common for one in zip(cell["_level"], cell["seed"], strict=True)]]
            for cell in own
        ]
    for cell in own:
        values = cell["value"].to_numpy(dtype=float)
        orders.append((values < values[:, None]) + 0.5 * (values == values[:, None]))
        sides = [cell.loc[cell["_level"] == level, "value"] for level in (first, last)]
        error = sum(float(side.var()) / len(side) for side in sides if len(side) > 1) ** 0.5
        ends.append((float(sides[1].mean() - sides[0].mean()), error, min(map(len, sides))))
    cell = own[-1]
    blocks = np.zeros(len(cell), dtype=int)
    if question.block:
        blocks = pd.factorize(cell[question.block])[0]
    means, errors, counts = np.array(ends).T
    return Stratum(
        name,
        cell["_level"].to_numpy(),
        blocks,
        np.sum(orders, axis=0),
        (float(means.mean()), float(errors.mean()), int(counts.min())),
    )


def _count(labels: Array, pairs: Array) -> Array:
    """Pairs in order for each labelling, [draws]: level by level, those with any above it.

    Exact: halves, whose sum is far below 2²³.
    """
    found = np.zeros(len(labels))
    for level in np.unique(labels)[:-1]:
        beside = (labels == level).astype(np.float32) @ pairs
        found += (beside * (labels > level)).sum(axis=1)
    return found
