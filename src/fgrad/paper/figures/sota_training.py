"""Training of ResNet18 and ViT, by data set (section 4.5)."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import fc_training


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """As `fgrad.paper.figures.fc_training`; columns: models and data sets."""
    return fc_training.grid(summaries["sota_curves"])
