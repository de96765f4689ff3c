"""Whether the projection does at least as well as the mean: a sign test on seeds they share.

A seed's tangents are the same for both, so that their values are compared seed by seed. The sign
test asks for nothing of the differences but that each is as likely on one side of the bound as on
the other, so that skew, floors and runs that diverged do no harm.

Source: Dixon and Mood, The statistical sign test, 1946.
"""

from dataclasses import dataclass

import numpy as np
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
    parts,
    told,
    undecidable,
)


@dataclass(frozen=True)
class Pairing:
    """What is compared.

    Args:
        groups: columns of what the statement is made for, each on its own.
        cells: columns that, beside k, part a group.
        bound: by which a value may be larger and still count as as good.
        unit: as `fgrad.paper.evidence.check.told`.
        text: the value in words.
        limits: of the value, in words, if it is cut.
        worst: value of what has failed; pairs that both have say nothing.
    """

    groups: list[str]
    cells: list[str]
    bound: float
    unit: str
    text: str
    limits: str = ""
    worst: float = np.inf


def judge(frame: pd.DataFrame, pairing: Pairing, where: str = "") -> Verdict:
    """Whether frog's ``value`` is nowhere above fg-mean's with as many tangents."""
    null = (
        f"half of frog's seeds or more are worse than fg-mean's by more than "
        f"{told(pairing.bound, pairing.unit)} in {pairing.text}, in some group of "
        f"{' × '.join(pairing.groups) or 'all'}"
    )
    by = [*pairing.cells, "k", "seed"]
    mean, frog = (frame[frame["gradient"] == name] for name in ("fg-mean", "frog"))
    pairs = mean.merge(frog, on=by, suffixes=("_mean", "_frog"))
    if pairs.empty:
        return undecidable(f"{where}no k is run with both fg-mean and frog", null)
    both = (pairs["value_frog"] >= pairing.worst) & (pairs["value_mean"] >= pairing.worst)
    pairs, failed = pairs[~both], int(both.sum())
    if pairs.empty:
        return undecidable(f"{where}both fail in all {failed} pairs", null)
    pairs = pairs.assign(d=pairs["value_frog"] - pairs["value_mean"])
    groups = [(name, part["d"]) for name, part in parts(pairs, pairing.groups)]
    holds = [_signs(d <= pairing.bound) for _, d in groups]
    worse = [_signs(d > pairing.bound) for _, d in groups]
    lost, counts, chance = _cells(pairs, pairing)
    places = [(name, part["d"]) for name, part in parts(pairs, pairing.cells)]
    looked_at = [*groups, *places]
    rejected = holm([*worse, *(_signs(d > pairing.bound) for _, d in places), chance])
    against = [name for (name, _), no in zip(looked_at, rejected[:-1], strict=True) if no]
    weak = [name for (name, _), p in zip(groups, holds, strict=True) if p > LEVEL]
    evidence = (
        f"{where}of {sum(counts)} cells {counts[0]} better, {counts[1]} equal, {counts[2]} worse "
        f"in every seed{listed(lost)}, {counts[3]} open; {(pairs['d'] <= pairing.bound).mean():.0%}"
        f" of {len(pairs)} seeds at least as good; in the median seed frog's value is "
        f"{told(float(pairs['d'].median()), pairing.unit, ('lower', 'higher'))}; largest p of "
        f"{len(groups)} groups: {max(holds):.2g}"
    )
    if failed:
        evidence += f"; {failed} pairs in which both fail are left out"
    for names, what in ((weak, "not significant"), (against, "worse")):
        evidence += f"; {what}:{listed(names)}" if names else ""
    if rejected[-1]:
        evidence += f"; so many cells worse in every seed by chance: p = {chance:.2g}"
    return decide(
        not weak and not rejected.any(),
        evidence,
        f"paired sign test, {LEVEL:g} in each of {len(groups)} groups; as good: at most "
        f"{told(pairing.bound, pairing.unit)} worse; fails if a group, a cell over all k, or the "
        f"number of cells that are worse in every seed is the other way (Holm, {LEVEL:g} over "
        f"all){pairing.limits}",
        null,
        _power(min(len(d) for _, d in groups)),
        fails=bool(rejected.any()),
    )


def _signs(success: pd.Series) -> float:
    """Probability of so many successes by chance."""
    return float(stats.binomtest(int(success.sum()), len(success), 0.5, "greater").pvalue)


def _cells(pairs: pd.DataFrame, pairing: Pairing) -> tuple[list[str], tuple[int, ...], float]:
    """Cells that are worse in every seed; how many are what; how probable that is by chance."""
    better = equal = still = 0
    lost, seeds = [], []
    by = [*pairing.cells, "k"]
    for _, cell in pairs.groupby(by, sort=False, dropna=False):
        seeds.append(len(cell))
        if (cell["d"] > pairing.bound).all():
            lost.append(cell_name(cell.iloc[0], by))
        elif (cell["d"] < -pairing.bound).all():
            better += 1
        elif cell["d"].abs().max() <= pairing.bound:
            equal += 1
        else:
            still += 1
    by_chance = 0.5 ** min(seeds)
    chance = float(stats.binom.sf(len(lost) - 1, len(seeds), by_chance))
    return lost, (better, equal, len(lost), still), chance


def _power(count: int) -> str:
    """The smallest share of seeds as good that would have been seen."""
    needed = int(stats.binom.isf(LEVEL, count, 0.5)) + 1
    if needed > count:
        more = int(np.ceil(np.log(LEVEL) / np.log(0.5)))
        return f"{count} pairs of a group decide nothing at {LEVEL:g}; {more} are the least"
    shares = np.linspace(0.5, 1, 501)
    seen = shares[stats.binom.sf(needed - 1, count, shares) >= POWER]
    return (
        f"{seen[0]:.0%} of a group's seeds as good would have been seen with {POWER:.0%} "
        f"probability ({count} pairs in the smallest group)"
    )
