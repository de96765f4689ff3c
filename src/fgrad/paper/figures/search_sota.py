"""What every learning rate reached in the searches of section 4.5."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures.search_fc import losses


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """One panel for each network and data set."""
    return losses(summaries["search_sota"])
