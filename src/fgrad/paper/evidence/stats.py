"""Means with their deviations and confidence intervals, and tests on them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

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
    quantile = stats.t.ppf(0.5 + confidence / 2, freedom)
    half: pd.Series = std * quantile / np.sqrt(count.to_numpy(dtype=float))
    return half


def welch(a: pd.DataFrame, b: pd.DataFrame, value: str) -> npt.NDArray[np.float64]:
    """Values p of one-sided Welch tests from summaries, that a's mean is above b's by chance.

    Args:
        a: rows with ``count``, ``value_mean``, ``value_std``.
        b: likewise, row by row beside a.
        value: which value.

    Returns:
        p of each row; where neither varies, 0 or 1 as a's mean is above b's by more than a
        millionth or not.
    """
    x, y = (side[f"{value}_mean"].to_numpy(dtype=float) for side in (a, b))
    sx, sy = (side[f"{value}_std"].fillna(0).to_numpy(dtype=float) for side in (a, b))
    nx, ny = (side["count"].to_numpy(dtype=float) for side in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stats.ttest_ind_from_stats(
            x, sx, nx, y, sy, ny, equal_var=False, alternative="greater"
        )[1]
    beyond = x - y > 1e-6 * np.maximum(np.abs(x), np.abs(y))
    return np.where((sx == 0) & (sy == 0), np.where(beyond, 0.0, 1.0), p)
