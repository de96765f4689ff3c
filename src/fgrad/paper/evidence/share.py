"""Whether something happens rarely: exact bounds of a share.

Source: Clopper and Pearson, The use of confidence or fiducial limits, 1934.
"""

import numpy as np
import pandas as pd
from scipy import stats

from fgrad.paper.evidence.check import LEVEL, POWER, Verdict, decide, holm, undecidable


def rarely(happened: pd.Series, groups: pd.Series, most: float, what: str, of: str) -> Verdict:
    """Whether at most a share of each group has something happen to it.

    Args:
        happened: true or false for each run.
        groups: name of each run's group.
        most: the share.
        what: what happens, in words.
        of: what the runs are, in words.
    """
    null = f"more than {most:.0%} of some approach's {of} {what}"
    if happened.empty:
        return undecidable(f"there are no {of} that can be judged", null)
    counts = happened.astype(int).groupby(groups, sort=False).agg(["sum", "count"])
    many, runs = counts["sum"].to_numpy(), counts["count"].to_numpy()
    below, above, upper = (
        np.asarray(found, dtype=float)
        for found in (
            stats.binom.cdf(many, runs, most),
            stats.binom.sf(many - 1, runs, most),
            stats.beta.ppf(1 - LEVEL, many + 1, np.maximum(runs - many, 1e-9)),
        )
    )
    told = [
        f"{name} {m} of {n} (at most {u:.0%})"
        for name, m, n, u in zip(counts.index, many, runs, upper, strict=True)
    ]
    needed = int(np.ceil(np.log(LEVEL) / np.log(1 - most)))
    shares = np.linspace(most, 1, 1001)
    seen = next((s for s in shares if _seen(int(runs.min()), most, s) >= POWER), None)
    power = (
        "no share would have been seen"
        if seen is None
        else f"a share of {seen:.0%} would have been seen with {POWER:.0%} probability"
    )
    return decide(
        bool((below <= LEVEL).all()),
        f"of {runs.sum()} {of} {many.sum()} {what}: {'; '.join(told)}",
        f"exact binomial test, {LEVEL:g} for each of {len(counts)} approaches; fails if one's "
        f"share is significantly above {most:.0%} (Holm, {LEVEL:g} over all)",
        null,
        f"{power}; {needed} runs of each approach without one are the least that shows it",
        fails=bool(holm(above.tolist()).any()),
    )


def _seen(runs: int, most: float, share: float) -> float:
    """Probability that a share is found to be too large."""
    needed = stats.binom.isf(LEVEL, runs, most) + 1
    return float(stats.binom.sf(needed - 1, runs, share))
