"""Placeholder until drawn."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.figures import style


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """Nothing yet."""
    return style.nothing()
