"""The search for the learning rate of a network, with trials in flight, and killed."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import psutil
import pytest

from fgrad.errors import ConfigError
from fgrad.experiments import seeds
from fgrad.experiments.search import networks
from fgrad.experiments.training import train
from fgrad.options.functions import FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun, TrainTask
from fgrad.paper import summary
from fgrad.plan import rates
from fgrad.store import parquet, schemas
from fgrad.store.checkpoints import Checkpoint
from fgrad.store.context import Context

pytestmark = pytest.mark.long

SPHERE = dict[str, Any](function="sphere", n=8, gradient="frog", k=2, steps=60, repeats=2)
FC: dict[str, Any] = {
    "model": "fc",
    "width": 256,
    "reduce": 16,
    "dataset": "mnist5k",
    "gradient": "frog",
    "k": 2,
    "device": "cpu",
    "experiment": "fc",
    "evaluations": 6,
    "epochs": 3,
    "generation": 3,
    "warmup": 1,
    "range": (1e-3, 30),
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory, carried_out) -> Path:
    path = tmp_path_factory.mktemp("fc") / "trials.parquet"
    carried_out(NetworkSearch(**FC), path)
    return path


def test_a_network_search(searched):
    frame = parquet.read(searched)
    assert list(frame.columns) == [*schemas.NETWORK_ROW, *schemas.SEARCH]
    assert [p.name for p in searched.parent.iterdir()] == [searched.name]
    assert set(frame["stop"]) <= {"completed", "pruned", "diverged", "stalled"}
    found = parquet.provenance(searched)["found"]
    chosen = frame[frame["selected"]].iloc[0]
    assert chosen["lr"] == found["lr"]
    assert chosen["stop"] == "completed"
    # the trial's training, by itself: the same numbers
    task = {key: value for key, value in FC.items() if key in TrainTask.model_fields}
    (seed,) = seeds.repeat_seeds(0, "search", 1)
    run = TrainRun(**task, lr=chosen["lr"], seed=seed)
    alone = train(run, networks.data("mnist5k", None, "cpu"))
    assert min(epoch["val_loss"] for epoch in alone.epochs) == chosen["loss"]


@pytest.mark.parametrize("in_flight", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_trials_in_flight_change_no_number(searched, tmp_path, in_flight, carried_out):
    path = tmp_path / "trials.parquet"
    carried_out(NetworkSearch(**FC, in_flight=in_flight), path)
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(searched), check_exact=True)


def test_a_network_search_killed_in_a_training_goes_on_there(
    searched, tmp_path, monkeypatch, carried_out
):
    path, save, saved = tmp_path / "trials.parquet", Checkpoint.save, []

    def die(self, *arguments):
        save(self, *arguments)
        saved.append(arguments)
        if len(saved) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", die)
    with pytest.raises(KeyboardInterrupt):
        carried_out(NetworkSearch(**FC), path)
    assert list(tmp_path.glob(".trials.*.journal"))
    assert len(list(tmp_path.glob(".trials.*.checkpoint"))) == 1  # of those that ended none is left
    assert not path.exists()
    monkeypatch.setattr(Checkpoint, "save", save)
    said = []
    carried_out(NetworkSearch(**FC), path, say=said.append)
    assert re.fullmatch(r"resumed: [1-3] of 4 trials are finished", said[0])
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(searched), check_exact=True)


@pytest.mark.slow
def test_a_search_with_trials_in_flight_that_was_killed(tmp_path, carried_out):
    """Its workers end: else they would train beside the search that takes up the journal."""
    long = FC | {"range": (1e-3, 1e-1), "epochs": 8, "warmup": 8}
    search, path = NetworkSearch(**long, in_flight=2), tmp_path / "trials.parquet"
    script = tmp_path / "search.py"
    script.write_text(
        "from fgrad.options.networks import NetworkSearch\n"
        "from fgrad import jobs\n"
        "if __name__ == '__main__':\n"
        f"    search = NetworkSearch(**{search.model_dump()!r})\n"
        f"    jobs.carry_out(search, {str(path)!r})\n"
    )
    started = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    workers: list[psutil.Process] = []
    while started.poll() is None and time.monotonic() < deadline:
        children = psutil.Process(started.pid).children()
        workers = [p for p in children if "spawn_main" in str(p.cmdline())]
        if len(workers) == 2 and list(tmp_path.glob(".*.checkpoint")):
            break
        time.sleep(0.05)
    assert len(workers) == 2
    started.kill()
    started.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    said = []
    carried_out(search, path, say=said.append)
    assert "of 4 trials are finished" in said[0]
    script.unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    whole = tmp_path / "whole.parquet"
    carried_out(NetworkSearch(**long), whole)
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(whole), check_exact=True)


def test_an_error_in_one_trial_in_flight_ends_the_search_and_keeps_the_others(tmp_path):
    names = ["mnist", *["mnist5k"] * 5]  # the first is not there
    context = Context(source=tmp_path / "nothing", target=tmp_path / "x.parquet")
    works = []
    for i, name in enumerate(names):
        search = NetworkSearch(**FC | {"dataset": name})
        run = networks._run(search, 0.1 + 0.1 * i, 0)
        works.append(networks.Work(search, run, [], context))
    outcomes = []
    with pytest.raises(ConfigError, match="nothing"):
        for run, outcome in networks._trained(works, 2):
            outcomes.append((run.lr, outcome.stop))
    assert outcomes[0] == (0.2, "completed")
    assert len(outcomes) < 4  # others did not begin


def test_a_rate_that_is_asked_for_twice_is_trained_once(tmp_path, monkeypatch, carried_out):
    trained, trial = [], networks.trial

    def counted(work):
        trained.append(work.run.lr)
        return trial(work)

    monkeypatch.setattr(networks, "trial", counted)
    search = NetworkSearch(**FC | {"range": (0.1, 0.100001), "epochs": 1, "generation": 6})
    path = tmp_path / "trials.parquet"
    carried_out(search, path)
    assert len(parquet.read(path)) == 6
    assert trained[:2] in ([0.1, 0.100001], [0.100001, 0.1])
    assert len(trained) <= 4


def test_a_range_in_which_every_training_diverges(tmp_path, carried_out):
    search = NetworkSearch(**FC | {"range": (1e20, 1e22), "evaluations": 2})
    with pytest.raises(
        ConfigError, match=r"range = \[1e\+20, 1e\+22\]: all 2 rates diverge; lower"
    ):
        carried_out(search, tmp_path / "x.parquet")
    assert list(tmp_path.glob(".x.*.journal"))


def finished(number: int, losses: list[float]) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(value=min(losses), intermediate_values=dict(enumerate(losses)))


def test_a_trial_is_pruned_by_the_median_of_earlier_ones():
    search = NetworkSearch(**FC)
    earlier = [finished(i, [2.3, 2.0, 0.1 * i]) for i in range(1, 8)]
    prune = networks._pruning(search, earlier)
    assert [prune(losses) for losses in ([2.3], [2.3, 2.1], [2.3, 2.1, 0.5])] == [False, True, True]
    good = networks._pruning(search, earlier)
    assert [good(losses) for losses in ([9.0], [9.0, 1.9], [9.0, 1.9, 0.3])] == [
        False,
        False,
        False,
    ]
    late = networks._pruning(search, earlier)
    assert late([2.3, 2.1, 0.5])  # a resumed trial is told all it had before
    none = networks._pruning(search.model_copy(update={"pruning": "none"}), earlier)
    assert not none([2.3, 2.3, 2.3])
    assert not networks._pruning(search, [])([2.3, 2.3, 2.3])


def test_a_found_table_is_a_learning_rate_table(tmp_path, searched, carried_out):
    paths = []
    for n in (2, 8):
        for gradient, k in (("bp", None), ("frog", 2)):
            values = SPHERE | {"n": n, "gradient": gradient, "k": k, "evaluations": 6}
            paths.append(str(tmp_path / f"{n}{gradient}.parquet"))
            carried_out(FunctionSearch(**values), paths[-1])
    table = tmp_path / "functions.csv"
    rates.write_table(table, summary.searches(paths, [None] * 4))
    assert table.read_text().splitlines()[0] == "function,n,gradient,k,lr"
    rows = rates.read_table(table, rates.FunctionRow)
    assert [row.lr for row in rows] == [parquet.provenance(p)["found"]["lr"] for p in paths]
    assert rows[0].key[:4] == ("sphere", 2, "bp", None)
    rates.write_table(tmp_path / "fc.csv", summary.searches([str(searched)], [0.3]))
    (row,) = rates.read_table(tmp_path / "fc.csv", rates.NetworkRow)
    assert row.key == ("fc", "fc", 256, "mnist5k", "frog", 2)
