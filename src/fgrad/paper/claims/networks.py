"""Claims of sections 4.4 and 4.5: networks, decided from whatever data the run used."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from fgrad.options.networks import LOST
from fgrad.paper.evidence import paired, trend
from fgrad.paper.evidence.check import Verdict, cell_name, undecidable, with_single
from fgrad.paper.evidence.share import rarely

TUNED_FOR = 200
"""Epochs, at most, that the published learning rates were tuned for."""

CELL = ["model", "width", "dataset"]

SMALL = {"mnist5k"}
"""Data of which so many epochs are a twelfth of the steps."""

DIVERGED = 0.05
"""Part of the runs that may diverge."""


def _losses(frame: pd.DataFrame) -> pd.Series:
    return frame["log_train_loss"]


def _errors(frame: pd.DataFrame) -> pd.Series:
    return 1 - frame["test_accuracy"]


LOSS = _losses, float(np.log10(1.05)), "decades", "the lowest training loss"
ERROR = _errors, 0.005, "points", "the test error at the lowest validation loss"
Value = tuple[Callable[[pd.DataFrame], pd.Series], float, str, str]


def more_tangents_train_better(seeds: pd.DataFrame) -> Verdict:
    """Whether the lowest training loss falls with k, for each gradient."""
    return _more_tangents(seeds, LOSS)


def projection_trains_better(seeds: pd.DataFrame) -> Verdict:
    """Whether frog's lowest training loss is no higher than fg-mean's."""
    return _projection(seeds, LOSS)


def gap_in_loss_grows(seeds: pd.DataFrame) -> Verdict:
    """Whether the distance to bp's training loss rises with the dimension n."""
    return _gap_grows(seeds, LOSS)


def more_tangents_classify_better(seeds: pd.DataFrame) -> Verdict:
    """Whether the test accuracy rises with k, for each gradient."""
    return _more_tangents(seeds, ERROR)


def projection_classifies_better(seeds: pd.DataFrame) -> Verdict:
    """Whether frog's test accuracy is no lower than fg-mean's."""
    return _projection(seeds, ERROR)


def gap_in_accuracy_grows(seeds: pd.DataFrame) -> Verdict:
    """Whether the distance to bp's test accuracy rises with the dimension n."""
    return _gap_grows(seeds, ERROR)


def more_tangents_win_at_equal_time(seeds: pd.DataFrame) -> Verdict:
    """Whether the validation accuracy rises with k after as much time as the quickest run took."""
    text = "the best validation error within the time that the quickest run of a network took"
    at_time: Value = (lambda frame: 1 - frame["equal_time_accuracy"]), 0.005, "points", text
    seeds = seeds[seeds["equal_time_accuracy"].notna()]
    return _more_tangents(seeds, at_time)


def trainings_rarely_diverge(seeds: pd.DataFrame) -> Verdict:
    """Whether at most 1 in 20 trainings diverges, for each gradient."""
    frame, outside = _judged(seeds)
    verdict = rarely(frame["diverged"], frame["gradient"], DIVERGED, "diverge", "trainings")
    return _on(frame, verdict, outside)


def _more_tangents(seeds: pd.DataFrame, value: Value) -> Verdict:
    values, equal, unit, text = value
    frame, outside = _judged(seeds)
    frame = frame.assign(value=values(frame))
    question = trend.Question(
        "k",
        groups=["gradient", "model", "width"],
        strata=["dataset"],
        equal=equal,
        unit=unit,
        text=text,
        block="seed",  # shares initial parameters and the order of the batches
    )
    return _on(frame, trend.judge(with_single(frame), question), outside)


def _projection(seeds: pd.DataFrame, value: Value) -> Verdict:
    values, equal, unit, text = value
    frame, outside = _judged(seeds)
    frame = frame.assign(value=values(frame))
    pairing = paired.Pairing(["dataset"], CELL, equal, unit, text)
    return _on(frame, paired.judge(frame, pairing), outside)


def _gap_grows(seeds: pd.DataFrame, value: Value) -> Verdict:
    """Whether bp is the further ahead the larger n, of the networks that were trained.

    Seeds of a network are relabelled with all their gradients: other networks are not spoken of.
    """
    values, equal, unit, text = value
    frame, outside = _judged(seeds)
    frame = frame.assign(value=values(frame))
    by = [*CELL, "n", "seed"]
    true = frame[frame["gradient"] == "bp"][[*by, "value"]]
    own = frame[frame["k"].notna()].merge(true, on=by, suffixes=("", "_true"))
    own["value"] = own["value_true"] - own["value"]
    question = trend.Question(
        "n",
        groups=[],
        strata=["dataset"],
        cells=("gradient", "k"),
        equal=equal,
        unit=unit,
        text=f"the distance to bp in {text}",
        ways=("further behind", "less behind"),
        steps=False,
    )
    return _on(frame, trend.judge(own, question), outside)


def _judged(seeds: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Trainings that the statement is about, and what is left out, in words.

    With published rates those that ended by the stopping rule, or had the epochs for it, of whole
    networks and data. A training that diverged counts as a loss of `LOST` and as all wrong.
    """
    seeds = seeds.copy()
    seeds.loc[seeds["diverged"], ["log_train_loss", "test_accuracy"]] = float(np.log10(LOST)), 0.0
    few = seeds["completed"] & (seeds["allowed"] < TUNED_FOR)
    other = (seeds["reduce"] > 1) | seeds["dataset"].isin(SMALL)
    short = (few | other) & ~seeds["tuned"]
    # a network is left out as a whole: runs that are cut short are no random part of it
    of = seeds[CELL].apply(tuple, axis=1) if len(seeds) else pd.Series(dtype=object)
    out = of.isin(set(of[short]))
    if not out.any():
        return seeds, ""
    allowed = ", ".join(map(str, sorted(seeds.loc[out, "allowed"].unique())))
    names = sorted({cell_name(row, CELL) for _, row in seeds[out].iterrows()})
    return seeds[~out], (
        f"{', '.join(names)}: {allowed} epochs, where their rates were tuned for at most "
        f"{TUNED_FOR} of full data and networks"
    )


def _on(frame: pd.DataFrame, verdict: Verdict, outside: str) -> Verdict:
    """The verdict, labelled with the data it rests on."""
    said = f"; outside of the statement's conditions are {outside}" if outside else ""
    if frame.empty:
        return undecidable(said[2:], verdict.null, "the epochs, or rates searched for fewer")
    data = ", ".join(frame["dataset"].drop_duplicates())
    if frame["seed"].nunique() < 2:
        return undecidable(f"On {data}: two seeds are needed{said}", verdict.null)
    return replace(verdict, evidence=f"On {data}: {verdict.evidence}{said}")
