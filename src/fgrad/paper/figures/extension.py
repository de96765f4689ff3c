"""The figure of section 4.1 carried on to n = 10⁹ by sampling from the exact law."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import quality


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """As `fgrad.paper.figures.quality`, from exact samples."""
    return quality.grid(summaries["exact"])
