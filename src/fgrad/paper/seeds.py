"""One row for each seed of a descent or a training: what claims are decided from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fgrad.paper.results import each
from fgrad.problems.registry import FUNCTIONS
from fgrad.store import parquet, schemas

Floats = npt.NDArray[np.float64]

LOWEST = 1e-12
"""Values below are drawn at it on log scales, and their logarithms are taken of it."""

SOLVED = 1e-6
"""Part of the starting gap below which a descent counts as solved; float32 resolves no less."""

NETWORK = ["experiment", "model", "width", "dataset", "gradient", "k", "lr"]
REACHED = ["val_loss", "val_accuracy", "test_loss", "test_accuracy"]
SECONDS = ["train_seconds", "eval_seconds"]
SETTING = ["function", "n", "gradient", "k", "angle_deg", "lr"]


def functions(paths: Sequence[str]) -> pd.DataFrame:
    """What each seed of each descent reached.

    Returns:
        ``function, n, gradient, k, angle_deg, lr, seed``, ``start``, ``best`` and ``final`` value,
        ``steps`` taken and ``allowed``, ``stop`` and the columns ``completed, stalled, diverged``,
        ``minimum`` (of the function), ``degenerate``, ``gap`` (final − minimum), ``log_gap`` (log₁₀
        of it) and ``log_left`` (log₁₀ of the gap as a part of the starting gap, `SOLVED` at least).
    """
    return pd.concat(each(of_descents, paths, schemas.FUNCTIONS), ignore_index=True)


def networks(paths: Sequence[str]) -> pd.DataFrame:
    """What each training reached.

    Returns:
        ``experiment, model, width, dataset, gradient, k, lr, seed, n``, the lowest ``train_loss``
        and ``log_train_loss`` (log₁₀ of it), ``best_epoch`` (of the lowest validation loss) and
        ``val_loss, val_accuracy, test_loss, test_accuracy`` in it, ``epochs`` trained and
        ``allowed``, ``train_seconds`` and ``eval_seconds`` (of an epoch), ``seconds`` (of all),
        ``completed, stalled, diverged``, and ``equal_time_accuracy``: the highest validation
        accuracy within the time that the quickest training of the same network took, of those that
        did not diverge; and ``reduce`` (what hidden sizes are divided by).
    """
    frame = pd.concat(each(of_training, paths, schemas.NETWORKS), ignore_index=True)
    clocks = each(_clock, paths, schemas.NETWORKS)
    total = pd.Series([times[-1] for times, _ in clocks]).where(~frame["diverged"].astype(bool))
    by = ["experiment", "model", "width", "dataset"]
    quickest = total.groupby([frame[name] for name in by], dropna=False).transform("min")
    frame["equal_time_accuracy"] = [
        accuracy[: max(1, np.searchsorted(times, limit, "right"))].max()
        for (times, accuracy), limit in zip(clocks, quickest, strict=True)
    ]
    return frame


def _clock(path: str) -> tuple[Floats, Floats]:
    """Seconds of training up to each epoch, and the validation accuracy then."""
    frame = parquet.read(path)
    return frame["train_seconds"].fillna(0).cumsum().to_numpy(), frame["val_accuracy"].to_numpy()


def of_descents(path: str) -> pd.DataFrame:
    """A row for each seed and angle of a job, see `functions`."""
    made = parquet.provenance(path)
    return by_seed(parquet.read(path), made).assign(allowed=made["run"]["steps"])


def by_seed(frame: pd.DataFrame, made: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each seed and angle of descents with one rate, and where and why they stopped.

    Args:
        frame: of the descents.
        made: what is known of their job.
    """
    stopped = made["stop"]
    if "source" in frame:
        stopped = [stop for stop in stopped if stop["source"] == frame["source"].iloc[0]]
    stops = pd.DataFrame(stopped).astype({"angle_deg": float})
    groups = frame.groupby([*SETTING, "seed"], dropna=False, sort=False)["value"]
    with np.errstate(invalid="ignore"):
        seeds = groups.agg(start="first", best="min").reset_index()
        seeds["final"] = groups.apply(lambda values: values.iloc[-1]).to_numpy()
    # A diverged seed has no finite value to average: infinity keeps it visible in every mean.
    seeds["final"] = seeds["final"].fillna(np.inf)
    seeds = seeds.merge(stops, on=["angle_deg", "seed"])
    minimum, degenerate = known(frame, made)
    for reason in ("completed", "stalled", "diverged"):
        seeds[reason] = seeds["stop"] == reason
    seeds["gap"] = seeds["final"] - minimum
    seeds["log_gap"] = logs(seeds["gap"])
    with np.errstate(invalid="ignore"):
        left = seeds["gap"] / (seeds["start"] - minimum)
        seeds["log_left"] = np.log10(np.maximum(left, SOLVED))
    return seeds.assign(minimum=minimum, degenerate=degenerate)


def of_training(path: str) -> pd.DataFrame:
    """A row for a training, see `networks`."""
    frame = parquet.read(path)
    provenance = parquet.provenance(path)
    best = frame.iloc[int(frame["val_loss"].fillna(np.inf).to_numpy().argmin())]
    lowest = frame["train_loss"].min()
    row = {name: best[name] for name in [*NETWORK, *REACHED]}
    row |= {"n": provenance["n"], "best_epoch": best["epoch"], "epochs": frame["epoch"].max()}
    row |= {"train_loss": lowest, "log_train_loss": np.log10(max(lowest, LOWEST))}
    row |= {name: frame.loc[frame["epoch"] > 0, name].mean() for name in SECONDS}
    row |= {"seconds": frame[SECONDS].sum().sum(), "seed": best["seed"]}
    row |= {"allowed": provenance["run"]["epochs"]}
    row |= {"reduce": provenance["run"].get("reduce", 1)}
    row |= {name: provenance["stop"] == name for name in ("completed", "stalled", "diverged")}
    return pd.DataFrame([row]).astype({"width": "Int64", "k": "Int64", "n": "Int64"})


def known(frame: pd.DataFrame, made: Mapping[str, Any]) -> tuple[float, bool]:
    """Minimum of the function of a job, and whether it is constant in that dimension.

    Args:
        frame: of the job.
        made: what is known of the job; of a function of the user's own that says it.
    """
    if "minimum" in made:
        return made["minimum"], made["degenerate"]
    function, n = FUNCTIONS[frame["function"].iloc[0]], int(frame["n"].iloc[0])
    return function.minimum(n), function.degenerate_n == n


def logs(values: pd.Series) -> pd.Series:
    """log₁₀, of `LOWEST` at least."""
    found: pd.Series = np.log10(values.clip(lower=LOWEST))
    return found
