"""From runs to what figures, tables and claims read: one small table for each question."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fgrad.paper import seeds
from fgrad.paper.evidence.stats import describe, half_width
from fgrad.paper.results import each
from fgrad.paper.seeds import NETWORK, REACHED, SECONDS, SETTING
from fgrad.problems.functions import resolution
from fgrad.store import parquet, schemas

CURVE_POINTS = 160
"""Steps kept of a descent curve, half of them spaced evenly and half on a log scale."""

ROW = ["experiment", "model", "width", "dataset", "function", "n", "gradient", "k", "angle_deg"]
"""What names a row of a table of learning rates, of networks or of functions."""

AS_GOOD = 1.05
"""What is left above the minimum may differ by this factor between rates that are equally good: the
rule by which the paper selects a rate, and the search too, does not prefer the lower."""


def quality(paths: Sequence[str]) -> pd.DataFrame:
    """Metrics over samples for each n, k, aggregation and angle.

    Returns:
        ``n, k, aggregation, normalized, angle_deg, count``, the statistics of `describe` for every
        metric, for ``squared_ratio`` (of the norms) and ``margin``, cos(P_U∇f, ∇f) − cos(g, ∇f)
        where both come from the same tangents, and ``margin_min``, the smallest of the samples.
    """
    frames = each(_quality, paths, schemas.QUALITY)
    by = ["n", "k", "aggregation", "normalized", "angle_deg"]
    frame = pd.concat(frames, ignore_index=True)
    metrics = [name for name in map(str, frame.select_dtypes("float")) if name not in by]
    described = describe(frame, by, metrics)
    margin = frame.groupby(by, dropna=False, sort=False)["margin"].min().rename("margin_min")
    return described.merge(margin.reset_index(), on=by)


def functions(paths: Sequence[str]) -> pd.DataFrame:
    """Final and best value, steps and stop reason over the seeds of each run.

    Returns:
        ``function, n, gradient, k, angle_deg, lr``, ``start`` (value at step 0), ``minimum`` (of
        the function), ``degenerate``, ``count``, the statistics of `describe` for ``final``,
        ``best``, ``gap``, ``log_gap``, ``log_left`` (see `fgrad.paper.seeds.functions`) and
        ``steps``, and how many seeds ``completed``, ``stalled``, ``diverged``.
    """
    frame = pd.concat(each(seeds.of_descents, paths, schemas.FUNCTIONS), ignore_index=True)
    by = [*SETTING, "start", "minimum", "degenerate"]
    described = describe(frame, by, ["final", "best", "gap", "log_gap", "log_left", "steps"])
    counts = frame.groupby(SETTING, dropna=False, sort=False)[
        ["completed", "stalled", "diverged"]
    ].sum()
    return described.merge(counts.reset_index(), on=SETTING)


def curves(paths: Sequence[str]) -> pd.DataFrame:
    """Value over steps, over the seeds of each run; a stopped seed keeps its last value.

    Returns:
        ``function, n, gradient, k, angle_deg, lr, step, minimum, degenerate, count`` and the
        statistics of `describe` for ``value`` and ``log_gap`` (log₁₀ of value − minimum, of
        `fgrad.paper.seeds.LOWEST` at least), at up to `CURVE_POINTS` steps of each run.
    """
    return pd.concat(each(_curve, paths, schemas.FUNCTIONS), ignore_index=True)


def networks(paths: Sequence[str]) -> pd.DataFrame:
    """What training reached over the seeds of each network, data set and gradient.

    Returns:
        ``experiment, model, width, dataset, gradient, k, lr, n`` (dimension of the tangent space),
        ``count``, the statistics of `describe` for ``train_loss`` (the lowest), ``log_train_loss``
        (log₁₀ of it), ``best_epoch`` (of the lowest validation loss) and ``val_loss``,
        ``val_accuracy``, ``test_loss``, ``test_accuracy`` in it, ``epochs``, ``train_seconds`` and
        ``eval_seconds`` (of an epoch), and how many seeds ``completed``, ``stalled``, ``diverged``.
    """
    frame = pd.concat(each(seeds.of_training, paths, schemas.NETWORKS), ignore_index=True)
    by = [*NETWORK, "n"]
    values = [*REACHED, "train_loss", "log_train_loss", "best_epoch", "epochs", *SECONDS]
    described = describe(frame, by, values)
    reasons = ["completed", "stalled", "diverged"]
    counts = frame.groupby(by, dropna=False, sort=False)[reasons].sum()
    return described.merge(counts.reset_index(), on=by)


def network_curves(paths: Sequence[str]) -> pd.DataFrame:
    """Metrics over epochs, over the seeds; a stopped seed keeps its last, a diverged loss is ∞.

    Returns:
        ``experiment, model, width, dataset, gradient, k, lr, epoch, count`` and the statistics of
        `describe` for every loss and accuracy, ``log_train_loss`` (log₁₀ of the training loss), and
        ``seconds`` (of training, evaluation left out, up to that epoch).
    """
    frame = pd.concat(each(_epochs, paths, schemas.NETWORKS), ignore_index=True)
    metrics = [name for name in map(str, frame) if name.endswith(("_loss", "_accuracy"))]
    metrics.append("seconds")
    parts = []
    for _, cell in frame.groupby(NETWORK, dropna=False, sort=False):
        last = int(cell["epoch"].max())
        for seed, own in cell.groupby("seed"):
            metric = own.set_index("epoch")[metrics]
            metric = metric.reindex(range(last + 1)).ffill()
            setting = {name: own[name].iloc[0] for name in NETWORK}
            parts.append(metric.reset_index().assign(seed=seed, **setting))
    long = pd.concat(parts, ignore_index=True).astype({"width": "Int64", "k": "Int64"})
    return describe(long, [*NETWORK, "epoch"], metrics)


def searches(paths: Sequence[str], published: Sequence[float | None]) -> pd.DataFrame:
    """Every trial of every learning-rate search.

    Args:
        paths: a file for each search.
        published: the published rate of each row, if there is one.

    Returns:
        The columns that name a row, ``trial, lr, loss, loss_std, stop, selected``, and the row's
        ``published`` rate, ``edge`` (``low`` or ``high`` if no rate beyond the best was tried),
        ``widened``, ``within`` (rates within the margin), ``tried`` (rates in all), and the
        ``minimum`` and ``start`` of its loss.
    """
    trials = each(_trials, paths, schemas.SEARCH)
    rates = [np.nan if lr is None else lr for lr in published]
    parts = [one.assign(published=lr) for one, lr in zip(trials, rates, strict=True)]
    return pd.concat(parts, ignore_index=True)


def compared(paths: Sequence[str]) -> pd.DataFrame:
    """Found against published learning rates, row by row, on the same fresh seeds.

    What counts is the final value of a descent (mean over the angles of a row that is for all) and
    the lowest validation loss of a training. A seed's two runs share their tangents, so that
    the differences d of log₁₀ (value − minimum), found less published, are paired; their mean has a
    t-interval. A rate that diverges on more seeds than the other is the worse one.

    Returns:
        The columns that name a row, ``degenerate``, and for ``found`` and ``published`` each
        ``_lr``, ``_diverged`` (seeds), ``_mean``, ``_std``, ``_low``, ``_high`` of the value on
        seeds that do not diverge; ``ratio``, ``ratio_low``, ``ratio_high``: 10 to the mean of d and
        to the ends of its 95 % interval; and ``verdict``: ``worse`` if the whole interval is above
        `AS_GOOD`, ``better`` if it is below 1/`AS_GOOD`, else ``equal``; or
        ``unpublished``, ``both diverge``, ``no minimum``, or ``too few seeds`` if fewer than two
        diverge with neither rate.
    """
    frame = pd.concat(each(_of_rates, paths, {"lr": schemas.FLOAT}), ignore_index=True)
    by = [name for name in ROW if name in frame]
    rows = []
    for key, part in frame.groupby(by, dropna=False, sort=False):
        row = dict(zip(by, key, strict=True)) | {"degenerate": bool(part["degenerate"].iloc[0])}
        sides = {}
        for source in ("found", "published"):
            own = part[part["source"] == source].set_index("seed").sort_index()
            sides[source] = own["log_gap"].where(np.isfinite(own["value"]))
            row |= _described(source, own)
        row |= _versus(sides, row)
        rows.append(row)
    kinds = {"width": "Int64", "k": "Int64", "n": "Int64"}
    return pd.DataFrame(rows).astype({key: kind for key, kind in kinds.items() if key in by})


def write(frame: pd.DataFrame, path: str, known: Mapping[str, Any]) -> None:
    """Write a summary whole or not at all.

    Args:
        frame: what is summarised.
        path: Parquet file.
        known: what it is of, see `fgrad.store.identity.record`.
    """
    parquet.save(path, pa.Table.from_pandas(frame, preserve_index=False), known)


def _quality(path: str) -> pd.DataFrame:
    frame = parquet.read(path)
    frame["squared_ratio"] = frame["norm_ratio"] ** 2
    frame["margin"] = np.nan
    best = frame[(frame["aggregation"] == "projection") & ~frame["normalized"]]
    # `exact` draws each aggregation on its own: a margin there would compare different tangents.
    if len(best) and parquet.provenance(path)["run"]["method"] == "direct":
        keys = ["n", "k", "sample"]
        reached = best.set_index(keys)["cosine"]
        same_sample = pd.MultiIndex.from_frame(frame[keys])
        frame["margin"] = reached.reindex(same_sample).to_numpy() - frame["cosine"]
    return frame


def _curve(path: str) -> pd.DataFrame:
    frame = parquet.read(path)
    minimum, degenerate = seeds.known(frame, parquet.provenance(path))
    parts = []
    for _, part in frame.groupby("angle_deg", dropna=False, sort=False):
        table = part.pivot(index="step", columns="seed", values="value").astype(float)
        last = {seed: table[seed].last_valid_index() for seed in table}
        diverged = [
            seed
            for seed, step in last.items()
            if step != part.loc[part["seed"] == seed, "step"].max()
        ]
        table = table.ffill()
        for seed in diverged:
            table.loc[table.index > last[seed], seed] = np.inf
        steps = table.index.to_numpy(dtype=int)
        wanted = np.unique(
            np.concatenate(
                [
                    np.linspace(0, steps[-1], CURVE_POINTS // 2).round(),
                    np.geomspace(1, max(1, steps[-1]), CURVE_POINTS // 2).round(),
                ]
            ).astype(int)
        )
        long = (
            table.loc[np.intersect1d(wanted, steps)].reset_index().melt("step", value_name="value")
        )
        first = part.iloc[0]
        setting = {key: first[key] for key in SETTING}
        long["log_gap"] = seeds.logs(long["value"] - minimum)
        described = describe(long, ["step"], ["value", "log_gap"])
        parts.append(described.assign(**setting, minimum=minimum, degenerate=degenerate))
    return pd.concat(parts, ignore_index=True).astype({"k": "Int64", "n": "Int64"})


def _epochs(path: str) -> pd.DataFrame:
    frame = parquet.read(path)
    losses = [name for name in map(str, frame) if name.endswith("_loss")]
    frame[losses] = frame[losses].fillna(np.inf)
    if parquet.provenance(path)["stop"] == "diverged":
        frame.loc[frame.index[-1], losses] = np.inf
    frame["log_train_loss"] = seeds.logs(frame["train_loss"])
    frame["seconds"] = frame["train_seconds"].fillna(0).cumsum()
    return frame


def _trials(path: str) -> pd.DataFrame:
    """The trials of a search, with what it found."""
    known = parquet.provenance(path)
    found, scale = known["found"], known["scale"]
    constant = scale | {name: found[name] for name in ("edge", "widened", "within")}
    trials = parquet.read(path)
    return trials.assign(**constant, tried=len(trials))


def _of_rates(path: str) -> pd.DataFrame:
    """A row for each seed and rate of a run with the found or the published rate, or with both."""
    made = parquet.provenance(path)
    if "function" in made["run"]:
        frame = parquet.read(path)
        parts = []
        for source, own in frame.groupby("source", sort=False):
            parts.append(_of_descents(own, made).assign(source=source))
        return pd.concat(parts, ignore_index=True)
    own = seeds.of_training(path).drop(columns="n").rename(columns={"val_loss": "value"})
    own["value"] = own["value"].where(~own["diverged"].astype(bool), np.inf)
    own["seed"] = made["run"]["seed"]
    return _with_log_gap(own, 0.0).assign(source=Path(path).parent.name, degenerate=False)


def _of_descents(frame: pd.DataFrame, made: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each seed of a row's descents, the mean of its angles where it has several."""
    each_seed = seeds.by_seed(frame, made)
    by = ["function", "n", "gradient", "k", "lr", "seed"]
    angles = each_seed.groupby("seed")["angle_deg"].nunique().max()
    if angles < 2:
        by.insert(4, "angle_deg")
    own = each_seed.groupby(by, dropna=False, sort=False)["final"].mean().reset_index()
    minimum, degenerate = each_seed[["minimum", "degenerate"]].iloc[0]
    own = own.rename(columns={"final": "value"})
    if angles > 1:
        own["angle_deg"] = np.nan
    return _with_log_gap(own, minimum).assign(degenerate=degenerate)


def _with_log_gap(own: pd.DataFrame, minimum: float) -> pd.DataFrame:
    """With log₁₀ of what is above the minimum; nothing of a function without one."""
    if not np.isfinite(minimum):
        return own.assign(log_gap=np.nan)
    return own.assign(log_gap=np.log10(np.maximum(own["value"] - minimum, resolution(minimum))))


def _described(source: str, own: pd.DataFrame) -> dict[str, Any]:
    value = own["value"][np.isfinite(own["value"])]
    mean, std = value.mean(), value.std()
    half = float(half_width(pd.Series([std]), pd.Series([len(value)])).iloc[0])
    return {
        f"{source}_lr": own["lr"].iloc[0] if len(own) else np.nan,
        f"{source}_diverged": len(own) - len(value),
        f"{source}_mean": mean,
        f"{source}_std": std,
        f"{source}_low": mean - half,
        f"{source}_high": mean + half,
    }


def _versus(sides: dict[str, pd.Series], row: dict[str, Any]) -> dict[str, Any]:
    """The paired comparison of two rates."""
    found, published = sides["found"], sides["published"]
    nothing = dict.fromkeys(("ratio", "ratio_low", "ratio_high"), np.nan)
    if published.empty:
        return nothing | {"verdict": "unpublished"}
    if row["found_diverged"] == len(found) and row["published_diverged"] == len(published):
        return nothing | {"verdict": "both diverge"}
    difference = (found - published).dropna()
    mean = float(difference.mean())
    half = half_width(pd.Series([difference.std()]), pd.Series([len(difference)])).iloc[0]
    low, high = mean - float(half), mean + float(half)
    lost = row["found_diverged"] - row["published_diverged"]
    equal = np.log10(AS_GOOD)
    if lost:
        verdict = "worse" if lost > 0 else "better"
    elif published.isna().all():
        verdict = "no minimum"
    elif len(difference) < 2:
        verdict = "too few seeds"
    elif low > equal or high < -equal:
        verdict = "worse" if low > equal else "better"
    else:
        verdict = "equal"
    with np.errstate(over="ignore"):
        ratio, ratio_low, ratio_high = np.power(10.0, [mean, low, high])
    ratios = {"ratio": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}
    return ratios | {"verdict": verdict}
