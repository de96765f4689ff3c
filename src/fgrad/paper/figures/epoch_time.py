"""Time of an epoch over the number of tangents (sections 4.4 and 4.5)."""

import pandas as pd
from matplotlib.figure import Figure

from fgrad.paper.figures import style, tangents


def draw(frame: pd.DataFrame) -> Figure:
    """As `fgrad.paper.figures.tangents`, for seconds of training as multiples of bp's mean."""
    frame = relative(frame)
    highest = 1.2 * frame["relative_mean"].max()
    return tangents.grid(frame, "relative", "time of an epoch / bp", 1, (0, highest))


def relative(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks that were trained with bp too, with their times divided by its mean."""
    frame = frame.dropna(subset="train_seconds_mean")
    bp = frame.loc[frame["gradient"] == "bp", [*style.NETWORK, "train_seconds_mean"]]
    frame = frame.merge(bp.rename(columns={"train_seconds_mean": "bp"}), on=style.NETWORK)
    for side in ("mean", "std", "low", "high"):
        frame[f"relative_{side}"] = frame[f"train_seconds_{side}"] / frame["bp"]
    return frame
