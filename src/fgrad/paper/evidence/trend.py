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
from math import ceil, factorial, log, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fgrad.paper.evidence.check import (
    LEVEL,
    POWER,
    Verdict,
    cell_name,
    decide,
    holm,
    listed,
    undecidable,
)

DRAWS = 9_999
"""Relabellings; the smallest p is one more of them to one."""

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
        unit: how differences are told, see `told`.
        text: the value in words.
        limits: of the value, in words, if it is cut.
        steps: whether a step from a level to the next that is worse refutes the statement.
        ways: what a lower value is, and a higher.
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


@dataclass(frozen=True)
class Stratum:
    """Observations whose labels are exchangeable under the null hypothesis.

    Args:
        name: in words.
        levels: rank of each observation's level, [N].
        blocks: number of each observation's block, [N].
        order: how many cells have b below a, [N, N], ties a half.
        ends: mean difference of the last level from the first over the cells, and its error.
    """

    name: str
    levels: Array
    blocks: Array
    order: Array
    ends: tuple[float, float]

    def scores(self, rng: np.random.Generator, draws: int) -> tuple[float, Array]:
        """Standard score of the statistic, and of relabelled data [draws]."""
        pairs = np.where(self.blocks[:, None] == self.blocks, self.order, 0.0).astype(np.float32)
        observed = _count(self.levels[None], pairs)[0]
        labels = np.empty((draws, len(self.levels)), dtype=np.int8)
        for block in np.unique(self.blocks):
            own = self.blocks == block
            labels[:, own] = rng.permuted(np.tile(self.levels[own], (draws, 1)), axis=1)
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

    def between(self, i: int) -> "Stratum":
        """The observations of level i and the next one."""
        own = (self.levels == i) | (self.levels == i + 1)
        order = self.order[np.ix_(own, own)]
        return Stratum(self.name, self.levels[own], self.blocks[own], order, self.ends)


@dataclass(frozen=True)
class Found:
    """Error probabilities of a test: that it gets better, that it gets worse, by chance."""

    name: str
    better: float
    worse: float
    effect: float
    error: float
    arrangements: float


Scores = list[tuple[float, Array]]
"""Of strata, see `Stratum.scores`."""


def scored(strata: list[Stratum]) -> Scores:
    """The scores of strata that are independent."""
    rng = np.random.default_rng(0)
    return [stratum.scores(rng, DRAWS) for stratum in strata]


def test(name: str, strata: list[Stratum], scores: Scores) -> Found:
    """Test independent strata together."""
    observed, drawn = sum(one for one, _ in scores), np.sum([many for _, many in scores], axis=0)
    better, worse = (
        (1 + int((sign * drawn >= sign * observed - 1e-6).sum())) / (len(drawn) + 1)
        for sign in (1, -1)
    )
    ends = np.array([stratum.ends for stratum in strata])
    error = float(np.sqrt((ends[:, 1] ** 2).sum()) / len(ends))
    arrangements = sum(stratum.arrangements for stratum in strata)
    return Found(name, better, worse, float(ends[:, 0].mean()), error, arrangements)


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
    if not groups:
        return undecidable(
            f"{where}no group has two levels of {question.level} that differ at all", null
        )
    found, cells = [], []
    for name, strata in groups.items():
        scores = scored(strata)
        found.append(test(name, strata, scores))
        cells += [test(one.name, [one], [own]) for one, own in zip(strata, scores, strict=True)]
    against = [*found, *_steps(frame, question, groups)]
    worse = [a for a, no in zip(against, holm([a.worse for a in against]), strict=True) if no]
    reach = stats.norm.ppf(1 - LEVEL / 2)
    none = [a for a in found if abs(a.effect) + reach * a.error <= question.equal]
    weak = [a for a in found if a.better > LEVEL]
    evidence = _evidence(where, question, found, cells)
    odd = [c for c, no in zip(cells, holm([c.worse for c in cells]), strict=True) if no]
    for names, what in (
        (odd, "exceptions, worse (Holm over cells)"),
        (weak, "not significant"),
        (worse, "worse"),
        (none, "without effect"),
    ):
        evidence += f"; {what}:{listed([a.name for a in names])}" if names else ""
    return decide(
        not weak and not worse and not none,
        evidence,
        f"permutation test of Jonckheere and Terpstra, {LEVEL:g} in each of {len(found)} groups; "
        f"fails if one of {len(against)} tests of groups and steps is the other way (Holm, "
        f"{LEVEL:g} over all) or a group's difference is shown to be below "
        f"{told(question.equal, question.unit)}{question.limits}",
        null,
        _power(frame, question, found, weak),
        fails=bool(worse or none),
    )


def _steps(
    frame: pd.DataFrame, question: Question, groups: dict[str, list[Stratum]]
) -> Iterator[Found]:
    """Each level of a group against the next."""
    levels = _levels(frame, question)
    for i, (low, high) in enumerate(levels if question.steps and len(levels) > 1 else []):
        for name, strata in groups.items():
            own = [one.between(i) for one in strata if {i, i + 1} <= set(one.levels.tolist())]
            if own:
                yield test(f"{name}, {question.level} {low:g}→{high:g}", own, scored(own))


def told(difference: float, unit: str, ways: tuple[str, str] | None = None) -> str:
    """A difference in words: of logarithms (``decades``) as a factor, else times 100 in points.

    Args:
        difference: of values.
        unit: ``decades`` or ``points``.
        ways: what is said of one below zero, and of one above.

    >>> told(-2.0, "decades"), told(0.0212, "decades"), told(0.005, "points", ("lower", "higher"))
    ('a factor of 100', 'a factor of 1.05', '0.5 points higher')
    """
    if ways and abs(difference) < 1e-6:
        return "the same"
    decades = f"a factor of {10 ** abs(difference):.3g}"
    text = decades if unit == "decades" else f"{100 * abs(difference):.2g} points"
    return f"{text} {ways[difference > 0]}" if ways else text


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
    smallest = max(reach * a.error for a in found)
    text = (
        f"{told(smallest, question.unit)} in {question.text} would have been seen in every group "
        f"with {POWER:.0%} probability (about, from the spread within cells)"
    )
    if not weak:
        return text
    seeds = int(frame["seed"].nunique())
    needed = max(_needed(a, seeds, reach) for a in weak)
    if needed > 1000:
        names = listed([a.name for a in weak if a.effect >= 0 or _needed(a, seeds, reach) > 1000])
        return f"{text}; no number of seeds would show it in{names}"
    runs = len(frame) // max(1, seeds) * (needed - seeds)
    hours = ""
    if "seconds" in frame:
        hours = f", {runs * frame['seconds'].mean() / 3600:.1f} core-hours of a run like this one"
    return f"{text}; {needed} seeds would decide, {runs} more runs{hours}"


def _needed(found: Found, seeds: int, reach: float) -> int:
    """Seeds that would show the effect that was seen."""
    if found.effect >= 0 or found.better > ABSENT:
        return 10**6
    by_spread = ceil(min(1e6, seeds * (reach * found.error / found.effect) ** 2))
    by_count = seeds  # arrangements grow at least in proportion to the seeds
    while found.arrangements * by_count / seeds < log(1 / LEVEL):
        by_count += 1
    return max(by_spread, by_count, seeds + 1)


def _levels(frame: pd.DataFrame, question: Question) -> list[tuple[float, float]]:
    """Each level and the next."""
    values = sorted(frame[question.level].astype(float).unique())
    return list(pairwise(values))


def _groups(frame: pd.DataFrame, question: Question) -> Iterator[tuple[str, list[Stratum]]]:
    """Groups by name, with those of their strata that have two levels at least."""
    ranks = {v: i for i, v in enumerate(sorted(frame[question.level].astype(float).unique()))}
    frame = frame.assign(_rank=frame[question.level].astype(float).map(ranks))
    for name, group in _parts(frame, question.groups):
        strata = [
            _stratum(part, question, f"{name} {inner}".strip())
            for inner, part in _parts(group, question.strata)
            if part["_rank"].nunique() > 1 and part["value"].nunique() > 1
        ]
        if strata:
            yield name or "all", strata


def _parts(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    if not by:
        yield "", frame
        return
    for _, part in frame.groupby(by, sort=False, dropna=False):
        yield cell_name(part.iloc[0], by), part


def _stratum(frame: pd.DataFrame, question: Question, name: str) -> Stratum:
    block = [question.block] if question.block else []
    orders, ends = [], []
    frame = frame.sort_values(["_rank", "seed"], kind="stable")
    first, last = frame["_rank"].min(), frame["_rank"].max()
    for _, cell in _parts(frame, list(question.cells)):
        values = cell["value"].to_numpy(dtype=float)
        orders.append((values < values[:, None]) + 0.5 * (values == values[:, None]))
        sides = [cell.loc[cell["_rank"] == rank, "value"] for rank in (first, last)]
        error = sum(float(side.var()) / len(side) for side in sides if len(side) > 1) ** 0.5
        ends.append((float(sides[1].mean() - sides[0].mean()), error))
    levels = cell["_rank"].to_numpy(dtype=np.int8)
    blocks = pd.factorize(cell[block[0]])[0] if block else np.zeros(len(cell), dtype=int)
    means, errors = np.array(ends).T
    return Stratum(
        name, levels, blocks, np.sum(orders, axis=0), (float(means.mean()), float(errors.mean()))
    )


def _count(labels: Array, pairs: Array) -> Array:
    """Pairs in order for each labelling, [draws]."""
    found = np.empty(len(labels))
    size = max(1, 2**22 // pairs.size)
    for start in range(0, len(labels), size):
        part = labels[start : start + size]
        before = part[:, :, None] < part[:, None, :]
        found[start : start + size] = before.reshape(len(part), -1) @ pairs.ravel()
    return found
