"""Means with their deviations and confidence intervals.

Of scipy it takes the special functions alone: its statistics cost every job that summarises half a
second to import.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

CONFIDENCE = 0.95


def describe(frame: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation and 95 % interval of the mean, within groups.

    The interval is Student's t with count − 1 degrees of freedom: mean ± t s/√count; undefined for
    a single observation.

    Args:
        frame: one row for each observation.
        by: grouping columns; missing values are a group of their own.
        values: columns to describe.

    Returns:
        One row for each group: ``by``, ``count``, and for each value v ``v_mean``, ``v_std``,
        ``v_low``, ``v_high``.
    """
    groups = frame.groupby(list(by), dropna=False, sort=False, observed=True)
    described = groups.size().rename("count").to_frame()
    for value in values:
        with np.errstate(invalid="ignore"):
            mean, std = groups[value].mean(), groups[value].std()
        half = half_width(std, described["count"])
        described[f"{value}_mean"], described[f"{value}_std"] = mean, std
        described[f"{value}_low"], described[f"{value}_high"] = mean - half, mean + half
    return described.reset_index()


def half_width(std: pd.Series, count: pd.Series, confidence: float = CONFIDENCE) -> pd.Series:
    """Half the width of the t-interval of a mean: t s/√count.

    Args:
        std: standard deviations s.
        count: observations of each.
        confidence: of the two-sided interval.
    """
    freedom = np.maximum(count.to_numpy(dtype=float) - 1, 1)
    quantile = stdtrit(freedom, 0.5 + confidence / 2)
    half: pd.Series = std * quantile / np.sqrt(count.to_numpy(dtype=float))
    return half
