"""Claims of sections 4.4 and 4.5: networks, decided from whatever data the run used."""

from dataclasses import replace

import numpy as np
import pandas as pd

from fgrad.paper.claims.check import (
    Verdict,
    monotone,
    projection_against_mean,
    undecidable,
    with_single,
)

CELL = ["model", "width", "dataset"]
LOSS = "log₁₀ of the lowest training loss"
ACCURACY = "test accuracy at the lowest validation loss"


def more_tangents_train_better(frame: pd.DataFrame) -> Verdict:
    """Whether the lowest training loss falls with k, for each network and gradient."""
    return _more_tangents(frame, "log_train_loss", 1, -12.0, LOSS)


def projection_trains_better(frame: pd.DataFrame) -> Verdict:
    """Whether frog's lowest training loss is no higher than fg-mean's."""
    return _on(frame, projection_against_mean(frame, CELL, "log_train_loss", 1, LOSS))


def gap_in_loss_grows(frame: pd.DataFrame) -> Verdict:
    """Whether the distance to bp's training loss rises with the dimension n."""
    return _gap_grows(frame, "log_train_loss", 1, LOSS)


def more_tangents_classify_better(frame: pd.DataFrame) -> Verdict:
    """Whether the test accuracy rises with k, for each network and gradient."""
    return _more_tangents(frame, "test_accuracy", -1, 1.0, ACCURACY)


def projection_classifies_better(frame: pd.DataFrame) -> Verdict:
    """Whether frog's test accuracy is no lower than fg-mean's."""
    return _on(frame, projection_against_mean(frame, CELL, "test_accuracy", -1, ACCURACY))


def gap_in_accuracy_grows(frame: pd.DataFrame) -> Verdict:
    """Whether the distance to bp's test accuracy rises with the dimension n."""
    return _gap_grows(frame, "test_accuracy", -1, ACCURACY)


def _more_tangents(frame: pd.DataFrame, value: str, sign: int, best: float, text: str) -> Verdict:
    by = [*CELL, "gradient"]
    return _on(frame, monotone(with_single(frame), by, value, "k", sign, best, text))


def _gap_grows(frame: pd.DataFrame, value: str, sign: int, text: str) -> Verdict:
    """Whether the distance to backpropagation rises from each n to the next, for each approach."""
    own = frame[frame["k"].notna()]
    true = frame[frame["k"].isna()]
    pairs = own.merge(true, on=[*CELL, "n"], suffixes=("", "_true"))
    if pairs.empty:
        return undecidable("the run has no gradient with tangents beside bp")
    pairs["gap_mean"] = sign * (pairs[f"{value}_mean"] - pairs[f"{value}_mean_true"])
    pairs["gap_std"] = np.hypot(pairs[f"{value}_std"], pairs[f"{value}_std_true"])
    verdict = monotone(
        pairs, ["dataset", "gradient", "k"], "gap", "n", -1, np.inf, f"the gap in {text}"
    )
    return _on(frame, verdict)


def _on(frame: pd.DataFrame, verdict: Verdict) -> Verdict:
    """The verdict, labelled with the data it rests on; two seeds can tell nothing apart."""
    data = ", ".join(frame["dataset"].drop_duplicates())
    if (frame["count"] < 3).any():
        return undecidable(f"On {data}: three seeds are needed")
    return replace(verdict, evidence=f"On {data}: {verdict.evidence}")
