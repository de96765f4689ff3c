"""Welch's test from summaries."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats


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
