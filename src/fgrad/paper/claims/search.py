"""Claims of the learning-rate search: what it finds against what was published."""

from math import ceil, log

import pandas as pd
from scipy.stats import binomtest

from fgrad.paper.evidence.check import (
    LEVEL,
    Verdict,
    cell_name,
    decide,
    listed,
    undecidable,
)
from fgrad.paper.summary import AS_GOOD, ROW

SHARE, TOO_MANY = 0.95, 0.1
"""Part of the rows that must not be worse, and part whose being worse is surely too much."""

LEAST = ceil(log(LEVEL) / log(1 - TOO_MANY))

ROUNDING = 1e-6
"""Values this close, relative to the published one, are the same."""


def as_good(summary: pd.DataFrame) -> Verdict:
    """Whether at most 1 in 20 rows ends worse with the found rate than with the published one."""
    judged = summary["verdict"].isin(["better", "equal", "worse"])
    frame = summary[~summary["degenerate"] & judged]
    null = f"{TOO_MANY:.0%} of the rows or more end worse with the rate found"
    if frame.empty:
        counts = summary["verdict"].value_counts()
        found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return undecidable(f"no row can be compared: {found}", null)
    counts = frame["verdict"].value_counts()
    worse = frame[frame["verdict"] == "worse"]
    row = [name for name in ROW if name in frame and name != "experiment"]
    named = [f"{cell_name(one, row)}: {_why(one)}" for _, one in worse.iterrows()]
    equal = frame[frame["verdict"] == "equal"]
    above, below = equal["ratio_low"] > 1 + ROUNDING, equal["ratio_high"] < 1 - ROUNDING
    reach = frame["published_high"] + ROUNDING * frame["published_high"].abs()
    more = frame["found_diverged"] > frame["published_diverged"]
    apart = more | (frame["found_low"] > reach)
    kept = 1 - len(worse) / len(frame)
    lost, rows = len(worse), len(frame)
    chance = float(binomtest(lost, rows, 1 - SHARE, alternative="greater").pvalue)
    few = float(binomtest(lost, rows, TOO_MANY, alternative="less").pvalue)
    evidence = (
        f"{kept:.1%} of {rows} rows are not worse: {counts.get('better', 0)} better, "
        f"{counts.get('equal', 0)} equal, {lost} worse{listed(named, lost)}; in "
        f"{above.sum()} of the equal ones the interval is above 1, in {below.sum()} below; in "
        f"{1 - apart.mean():.1%} of all rows the 95 % t-interval of the value that the found rate "
        "reaches, unpaired, is not wholly above the published rate's"
    )
    return decide(
        few <= LEVEL and kept >= SHARE,
        evidence,
        f"at least {SHARE:.0%} not worse, and significantly fewer than {TOO_MANY:.0%} worse "
        f"(binomial test, {LEVEL:g}); fails if significantly more than {1 - SHARE:.0%} are. A "
        "row is worse if more seeds diverge, or if the whole 95 % t-interval of what is above the "
        "minimum, found over published, on the same fresh seeds (of its log₁₀, paired), is above "
        f"{AS_GOOD}: rates within {AS_GOOD - 1:.0%} of the best are equally good by the rule that "
        "selects one",
        null,
        f"{LEAST} rows without one that is worse are the least that shows it",
        fails=chance <= LEVEL,
    )


def _why(row: pd.Series) -> str:
    rate = f"rate {row['found_lr'] / row['published_lr']:.2g} of the published"
    if row["found_diverged"] > row["published_diverged"]:
        many = f"{row['found_diverged']} seeds diverge instead of {row['published_diverged']}"
        return f"{many}, {rate}"
    low, high = row["ratio_low"], row["ratio_high"]
    return f"{row['ratio']:.3g} ({low:.3g} to {high:.3g}) times as far above the minimum, {rate}"
