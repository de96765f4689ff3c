"""Summaries and statistics against values by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from fgrad import jobs
from fgrad.experiments import descent, quality
from fgrad.options.functions import FunctionComparison, FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.paper import summary
from fgrad.paper.evidence import stats
from fgrad.paper.evidence.welch import welch
from fgrad.store import parquet, schemas

RUN = dict[str, Any](function="sphere", n=4, gradient="fg-mean", k=2, lr=0.05, steps=40)
SOURCES = ("found", "published")


def test_intervals_are_students():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    frame = pd.DataFrame({"group": "a", "x": values})
    row = stats.describe(frame, ["group"], ["x"]).iloc[0]
    low, high = scipy_stats.t.interval(0.95, 3, values.mean(), scipy_stats.sem(values))
    assert row["count"] == 4
    assert (row["x_mean"], row["x_std"]) == (values.mean(), values.std(ddof=1))
    assert (row["x_low"], row["x_high"]) == pytest.approx((low, high))


def test_a_single_observation_has_no_interval():
    row = stats.describe(pd.DataFrame({"group": [1], "x": [2.0]}), ["group"], ["x"]).iloc[0]
    assert np.isnan(row["x_low"])


def described(mean: float, std: float, count: int = 5) -> pd.DataFrame:
    return pd.DataFrame({"count": [count], "x_mean": [mean], "x_std": [std]})


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1.0, 0.0), (0.9, 0.0), 0.0),
        ((1.0, 0.0), (1.0, 0.0), 1.0),
        ((1.0, 0.0), (1.0 - 1e-9, 0.0), 1.0),
        ((1.0, np.nan), (0.5, np.nan), 0.0),
    ],
)
def test_welch_where_nothing_varies(a, b, expected):
    assert welch(described(*a), described(*b), "x").tolist() == [expected]


def test_welch_is_welchs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.6, 1, 12), rng.normal(0, 2, 9)
    p = scipy_stats.ttest_ind(x, y, equal_var=False, alternative="greater").pvalue
    a, b = (described(v.mean(), v.std(ddof=1), len(v)) for v in (x, y))
    assert welch(a, b, "x").tolist() == pytest.approx([p])


def test_functions(tmp_path):
    run = FunctionRun(**RUN, seeds=(0, 1, 2))
    path = str(tmp_path / "run.parquet")
    jobs.carry_out(run, path)
    found = descent.descend(run)
    row = summary.functions([path]).iloc[0]
    finals = np.array([values[-1] for values in found.values], dtype=float)
    assert row["count"] == 3
    assert row["start"] == 4
    assert row["final_mean"] == pytest.approx(finals.mean())
    assert row["final_std"] == pytest.approx(finals.std(ddof=1))
    assert row["best_mean"] == pytest.approx(np.mean([values.min() for values in found.values]))
    assert row["log_left_mean"] == pytest.approx(np.log10(finals / 4).mean())
    assert (row["completed"], row["stalled"], row["diverged"]) == (3, 0, 0)


def test_a_diverged_seed_stays_visible(tmp_path):
    path = str(tmp_path / "run.parquet")
    run = RUN | {"function": "styblinski-tang", "n": 2, "k": 1, "lr": 0.03, "steps": 400}
    jobs.carry_out(FunctionRun(**run, seeds=tuple(range(8))), path)
    row = summary.functions([path]).iloc[0]
    assert 0 < row["diverged"] < 8
    assert row["final_mean"] == np.inf
    assert np.isfinite(row["best_mean"])
    curve = summary.curves([path])
    assert curve["value_mean"].iloc[0] == 0
    assert curve["value_mean"].iloc[-1] == np.inf


def test_curves_keep_the_last_value_of_a_stalled_seed(tmp_path):
    path = str(tmp_path / "run.parquet")
    run = RUN | {"k": 1, "n": 64, "lr": 0.02, "steps": 300, "patience": 6}
    jobs.carry_out(FunctionRun(**run, seeds=(0, 1)), path)
    lengths = {s["seed"]: s["steps"] for s in parquet.provenance(path)["stop"]}
    assert len(set(lengths.values())) == 2
    frame, curve = parquet.read(path), summary.curves([path])
    assert curve["step"].iloc[0] == 0
    assert curve["step"].iloc[-1] == max(lengths.values())
    assert (curve["count"] == 2).all()
    lasts = frame.groupby("seed")["value"].last()
    assert curve["value_mean"].iloc[-1] == pytest.approx(lasts.mean())


def network(path: Path, seed: int, values: list[float], stop: str, k: int | None = 4) -> str:
    """A training run with these validation losses; its training loss is a tenth of them."""
    losses = np.array(values)
    constant = dict[str, Any](experiment="sota", model="vit", width=None, dataset="mnist")
    constant |= {"gradient": "frog" if k else "bp", "k": k, "lr": 0.1, "seed": seed}
    columns = dict[str, Any](epoch=np.arange(len(losses)), val_loss=losses, test_loss=2 * losses)
    columns |= {f"{part}_accuracy": np.exp(-losses) for part in ("train", "val", "test")}
    columns |= {"train_loss": losses / 10, "train_seconds": 3.0 * (columns["epoch"] > 0)}
    columns |= {"eval_seconds": np.full(len(losses), 1.0)}
    file = path / f"{seed}.parquet"
    parquet.write(file, schemas.NETWORKS, constant | columns, run={"epochs": 9}, stop=stop, n=64010)
    return str(file)


def test_networks_are_judged_at_their_lowest_validation_loss(tmp_path):
    paths = [
        network(tmp_path, 0, [2.3, 1.0, 0.5, 0.7], "stalled"),
        network(tmp_path, 1, [2.3, 0.9, 0.3], "completed"),
    ]
    (row,) = summary.networks(paths).to_dict("records")
    assert (row["n"], row["count"], row["stalled"], row["completed"]) == (64010, 2, 1, 1)
    assert row["best_epoch_mean"] == 2
    assert row["epochs_mean"] == 2.5
    assert row["val_loss_mean"] == pytest.approx(0.4)
    assert row["test_loss_mean"] == pytest.approx(0.8)
    assert row["test_accuracy_mean"] == pytest.approx(np.exp([-0.5, -0.3]).mean())
    assert row["train_loss_mean"] == pytest.approx(0.04)
    assert row["log_train_loss_mean"] == pytest.approx(np.log10([0.05, 0.03]).mean())
    assert row["train_seconds_mean"] == 3


def test_network_curves_keep_the_last_value_and_show_divergence(tmp_path):
    stopped = network(tmp_path, 0, [2.3, 1.0], "stalled")
    going = network(tmp_path, 1, [2.3, 0.9, 0.3], "completed")
    curve = summary.network_curves([stopped, going])
    assert curve["epoch"].tolist() == [0, 1, 2]
    assert curve["val_loss_mean"].tolist() == pytest.approx([2.3, 0.95, 0.65])
    assert (curve["count"] == 2).all()
    for last in (np.nan, 12.0):
        lost = network(tmp_path, 0, [2.3, last], "diverged")
        curve = summary.network_curves([lost, going])
        assert curve["train_loss_mean"].tolist() == [pytest.approx(0.23), np.inf, np.inf]


def test_quality(tmp_path):
    path = str(tmp_path / "q.parquet")
    run = QualityRun(n=(8,), k=(1, 4), samples=50)
    jobs.carry_out(run, path)
    frame = summary.quality([path])
    values = quality.direct(run, 8).values
    row = frame[(frame["aggregation"] == "mean") & ~frame["normalized"] & (frame["k"] == 4)].iloc[0]
    assert row["cosine_mean"] == pytest.approx(values[:, 1, 1, 5].mean())
    assert row["squared_ratio_mean"] == pytest.approx((values[:, 1, 1, 2] ** 2).mean())
    assert row["margin_min"] == pytest.approx((values[:, 0, 1, 5] - values[:, 1, 1, 5]).min())
    assert row["margin_min"] > 0


def test_parts_of_a_run_are_put_together(tmp_path):
    paths = []
    for first in (0, 20):
        paths.append(str(tmp_path / f"{first}.parquet"))
        jobs.carry_out(QualityRun(n=(8,), k=(2,), samples=20, first=first), paths[-1])
    assert (summary.quality(paths)["count"] == 40).all()


def rated(path: Path, found: float, published: float | None = None, **changes) -> str:
    """A comparison of the two rates of a row."""
    rates = {"seeds": range(5), "lr": found, "published": published}
    jobs.carry_out(FunctionComparison(**RUN | rates | changes), path)
    return str(path)


@pytest.mark.parametrize(
    ("found", "published", "verdict"),
    [
        (0.05, 0.05, "equal"),
        (0.05, 0.0499, "equal"),
        (0.05, 0.02, "better"),
        (0.02, 0.05, "worse"),
        (9.0, 0.05, "worse"),
    ],
)
def test_found_rates_are_compared_seed_by_seed(tmp_path, found, published, verdict):
    steps = {"steps": 400} if found > 1 else {}
    path = rated(tmp_path / "row.parquet", found, published, **steps)
    row = summary.compared([path]).iloc[0]
    assert row["verdict"] == verdict
    assert (row["found_lr"], row["published_lr"]) == (found, published)
    assert (row["function"], row["n"], row["gradient"], row["k"]) == ("sphere", 4, "fg-mean", 2)
    assert row["found_diverged"] == (5 if found > 1 else 0)
    if found > 1:
        return
    frame = parquet.read(path)
    last = frame[frame["step"] == 40]
    finals = [last.loc[last["source"] == name, "value"].to_numpy() for name in SOURCES]
    d = np.log10(finals[0]) - np.log10(finals[1])
    assert row["found_mean"] == pytest.approx(finals[0].mean())
    assert row["ratio"] == pytest.approx(10 ** d.mean())
    if d.std() > 0:
        low, high = scipy_stats.t.interval(0.95, 4, d.mean(), scipy_stats.sem(d))
        assert (row["ratio_low"], row["ratio_high"]) == pytest.approx((10**low, 10**high))


@pytest.mark.parametrize("angle", [(), (30.0, 90.0)])
def test_a_comparison_is_of_what_runs_with_its_rates_give(tmp_path, angle):
    """To the last bit, one beside the other."""
    both = parquet.read(rated(tmp_path / "row.parquet", 0.05, 0.04, angle=angle))
    for source, lr in zip(SOURCES, (0.05, 0.04), strict=True):
        run = FunctionRun(**RUN | {"seeds": range(5), "lr": lr, "angle": angle})
        jobs.carry_out(run, tmp_path / f"{source}.parquet")
        alone = parquet.read(tmp_path / f"{source}.parquet")
        own = both[both["source"] == source].drop(columns="source").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, check_exact=True)


def test_a_row_without_a_published_rate(tmp_path):
    row = summary.compared([rated(tmp_path / "row.parquet", 0.05)]).iloc[0]
    assert row["verdict"] == "unpublished"
    assert np.isnan(row["published_lr"])
    assert row["found_mean"] > 0


def test_rates_that_both_diverge_are_not_equal(tmp_path):
    row = summary.compared([rated(tmp_path / "row.parquet", 9, 8, steps=400)]).iloc[0]
    assert (row["verdict"], row["found_diverged"]) == ("both diverge", 5)


def test_a_function_without_a_minimum_is_not_compared(tmp_path):
    plane = {"function": "plane", "gradient": "bp", "k": None}
    row = summary.compared([rated(tmp_path / "row.parquet", 9, 1, **plane)]).iloc[0]
    assert row["verdict"] == "no minimum"
    assert np.isnan(row["ratio"])
    assert row["found_mean"] < row["published_mean"]


def test_a_row_for_all_angles_is_compared_once(tmp_path):
    path = rated(tmp_path / "row.parquet", 0.05, 0.04, angle=(30.0, 90.0))
    compared = summary.compared([path])
    assert len(compared) == 1
    assert compared["angle_deg"].isna().all()
    frame = parquet.read(path)
    finals = frame[(frame["step"] == 40) & (frame["source"] == "found")]
    assert compared["found_mean"].iloc[0] == pytest.approx(finals["value"].mean())


@pytest.mark.parametrize(
    ("found_diverged", "published_diverged", "verdict"),
    [
        ((), (), "better"),
        ((1,), (), "worse"),
        ((0, 1, 2), (0, 1, 2), "better"),
        ((0, 1, 2), (2, 3, 4), "too few seeds"),  # no seed survives with both
        ((0, 1, 2), (0, 1, 3), "too few seeds"),  # one does
    ],
)
def test_networks_are_compared_by_their_lowest_validation_loss(
    tmp_path, found_diverged, published_diverged, verdict
):
    diverged = {"found": found_diverged, "published": published_diverged}
    paths = []
    for source, level in (("found", 0.5), ("published", 1.0)):
        for seed in range(5):
            losses: Any = np.array([2.3, level + 0.01 * seed, 2.0])
            columns = dict.fromkeys(schemas.NETWORKS, losses)
            columns |= {"experiment": "fc", "model": "fc", "width": 4, "dataset": "mnist5k"}
            columns |= {"gradient": "frog", "k": 2, "lr": level / 10, "seed": seed}
            columns |= {"epoch": np.arange(3)}
            paths.append(str(tmp_path / source / f"repeat{seed}.parquet"))
            stop = "diverged" if seed in diverged[source] else "completed"
            run = {"seed": seed, "epochs": 2}
            parquet.write(paths[-1], schemas.NETWORKS, columns, run=run, stop=stop, n=9)
    row = summary.compared(paths).iloc[0]
    assert (row["model"], row["width"], row["found_lr"]) == ("fc", 4, 0.05)
    survivors = [1 + 0.01 * s for s in range(5) if s not in published_diverged]
    assert row["published_mean"] == pytest.approx(np.mean(survivors))
    assert row["found_diverged"] == len(found_diverged)
    assert row["verdict"] == verdict
    both = set(range(5)) - {*found_diverged, *published_diverged}
    d = [np.log10((0.5 + 0.01 * s) / (1 + 0.01 * s)) for s in both]
    if d:
        assert row["ratio"] == pytest.approx(10 ** np.mean(d))
