"""Test accuracy of ResNet18 and ViT over the number of tangents (section 4.5)."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import fc_tangents


def draw(summaries: dict[str, pd.DataFrame]) -> Figure:
    """As `fgrad.paper.figures.fc_tangents`; panels: models and data sets."""
    return fc_tangents.accuracy(summaries["sota"])
