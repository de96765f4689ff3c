"""The learning-rate search: its selection rule, its rates, and what a kill leaves of it."""

import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import psutil
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad import errors
from fgrad.errors import ConfigError
from fgrad.experiments import descent, seeds
from fgrad.experiments.search import functions, networks, study
from fgrad.experiments.search.study import Outcome, Scale, select
from fgrad.options.functions import FunctionSearch
from fgrad.options.networks import NetworkSearch
from fgrad.options.search import SearchOptions
from fgrad.paper import summary
from fgrad.plan import rates
from fgrad.store import parquet, schemas

ZERO = Scale(0.0, 1e6)
SPHERE = {"function": "sphere", "n": 8, "gradient": "frog", "k": 2, "steps": 60, "repeats": 2}

some_rates = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30, unique=True)


@given(lr=some_rates, data=st.data(), margin=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_the_selected_rate_is_within_the_margin_and_central(lr, data, margin):
    loss = data.draw(
        st.lists(
            st.one_of(
                st.integers(0, 400).map(lambda i: i / 4), st.just(math.inf), st.just(math.nan)
            ),
            min_size=len(lr),
            max_size=len(lr),
        )
    )
    found = select(lr, loss, ZERO, margin)
    pairs = [(r, v) for r, v in zip(lr, loss, strict=True) if math.isfinite(v)]
    if not pairs:
        assert found is None
        return
    lowest = min((r for r, v in zip(lr, loss, strict=True) if math.isinf(v)), default=math.inf)
    pairs = [(r, v) for r, v in pairs if r < lowest] or pairs
    finite = [v for _, v in pairs]
    near = [r for r, v in pairs if v <= (1 + margin) * min(finite)]
    assert found.best_loss == min(finite)
    assert found.lr in near
    assert found.within == len(near)
    centre = np.mean(np.log(near))
    away = abs(math.log(found.lr) - centre)
    assert away <= min(abs(math.log(r) - centre) for r in near) + 1e-9
    assert select(lr[::-1], loss[::-1], ZERO, margin) == found  # whatever the order


@given(shift=st.sampled_from([-2506.63464605, -1.0, 7.0]), margin=st.sampled_from([0.0, 0.05, 0.5]))
def test_the_margin_is_of_what_is_above_the_minimum(shift, margin):
    """A relative margin around a negative loss would select nothing, or everything."""
    lr = [1e-3, 1e-2, 1e-1, 1.0]
    loss = [2.0, 1.0, 1.04, 3.0]
    plain = select(lr, loss, ZERO, margin)
    moved = select(lr, [value + shift for value in loss], Scale(shift, shift + 5), margin)
    assert (moved.lr, moved.within) == (plain.lr, plain.within)


def test_losses_at_a_negative_minimum_are_equal_up_to_rounding():
    minimum = -2506.63464605
    loss = [-2000.0, -2506.6345, -2506.634765625, -2506.634521484375, -2100.0]
    found = select([1e-4, 1e-3, 1e-2, 1e-1, 1.0], loss, Scale(minimum, 0.0), 0.05)
    assert (found.within, found.lr) == (3, 1e-2)


def test_where_the_best_has_hardly_left_the_start_rates_that_did_not_move_are_worse():
    """Rosenbrock at n = 1024: 5 % of what is left is more than anything has gained."""
    found = select([1e-5, 1e-4, 1e-3, 1e-2], [1027, 1026, 1001, 1000], Scale(0.0, 1027.0), 0.05)
    assert found.within == 2
    assert found.lr >= 1e-3


def test_a_rate_that_survived_where_a_lower_one_diverged_is_not_taken():
    lr, loss = [0.1, 0.2, 0.4, 0.5, 0.6], [0.5, 0.3, math.inf, 0.1, math.inf]
    found = select(lr, loss, ZERO, 0.05)
    assert (found.lr, found.best_lr, found.between) == (0.2, 0.2, (0.1, 0.4))
    assert select(lr, [0.5, 0.3, math.nan, 0.1, math.inf], ZERO, 0.05).lr == 0.5  # was pruned
    assert select(lr, [math.inf, 0.3, 0.4, 0.1, math.inf], ZERO, 0.05).lr == 0.5  # nothing else


def test_without_a_minimum_the_margin_is_of_the_fall():
    found = select([0.1, 1.0, 10.0], [-96.0, -100.0, -3.0], Scale(-math.inf, 0.0), 0.05)
    assert found.within == 2


@pytest.mark.parametrize(
    ("loss", "edge"),
    [
        ([1.0, 2.0, 3.0], "low"),
        ([3.0, 2.0, 1.0], "high"),
        ([3.0, 1.0, 2.0], ""),
        ([3.0, 1.0, math.inf], ""),  # rates beyond the best were tried: they diverge
        ([1.0, 1.0, 1.0], ""),  # a constant has no best rate
        ([1.0, 1.0, 2.0], ""),
        ([1.0], ""),
    ],
)
def test_a_best_rate_at_the_edge(loss, edge):
    assert select([0.1, 1.0, 10.0][: len(loss)], loss, ZERO, 0.05).edge == edge


def conducted(search, journal, loss, said=None, **changes):
    """A search whose losses are known; which trials were evaluated is appended to ``said``."""

    def evaluate(trials, earlier):
        for trial in trials:
            if not trial.state.is_finished():
                if said is not None:
                    said.append(trial.number)
                value = loss(trial.params["lr"])
                yield trial.number, Outcome(value, None, "completed", (2.0, value))

    arguments = {"generation": 4, "scale": ZERO, "description": {"n": 8}} | changes
    return study.conduct(search, "sphere", journal, evaluate=evaluate, **arguments)


def bowl(lr: float) -> float:
    return 1 + math.log10(lr / 3e-3) ** 2


def seen(trials) -> list[tuple]:
    return [(t.number, t.params["lr"], t.value, t.state.name) for t in trials]


def test_half_of_the_rates_are_log_uniform_and_depend_on_seed_and_number_alone(tmp_path):
    few, many = (
        [
            t.params["lr"]
            for t in conducted(SearchOptions(evaluations=n), tmp_path / f"{n}", bowl)[0]
        ]
        for n in (16, 128)
    )
    assert many[:8] == few[:8]
    assert all(1e-6 <= lr <= 1 and lr == float(f"{lr:.6g}") for lr in many)
    decades = np.histogram(np.log10(many[:64]), bins=6, range=(-6, 0))[0]
    assert decades.min() >= 9  # of 64: as even as it gets
    assert len(set(many)) == 128
    other, _ = conducted(SearchOptions(evaluations=16, seed=1), tmp_path / "other", bowl)
    assert [t.params["lr"] for t in other] != few


def test_two_quarters_zoom_in_around_what_is_within_the_margin(tmp_path):
    trials, found = conducted(SearchOptions(evaluations=100), tmp_path / "journal", bowl)
    lr = np.array([t.params["lr"] for t in trials])
    for first, last in ((50, 75), (75, 100)):
        so_far = sorted(lr[:first])
        near = [i for i, one in enumerate(so_far) if bowl(one) <= 1.05 * min(map(bowl, so_far))]
        low, high = so_far[near[0] - 1], so_far[near[-1] + 1]
        assert ((lr[first:last] >= low) & (lr[first:last] <= high)).all()
        spread = np.histogram(np.log(lr[first:last]), 5, (np.log(low), np.log(high)))[0]
        assert spread.min() >= 4
    # the margin is symmetric around the best rate, and so is what is selected from it
    assert found.lr == pytest.approx(3e-3, rel=0.03)
    assert found.within > 30


@given(where=st.floats(-4.5, -0.1), steep=st.floats(0.5, 50), count=st.integers(20, 100))
@settings(max_examples=30, deadline=None)
def test_a_search_comes_close_to_the_edge_of_divergence(tmp_path_factory, where, steep, count):
    """Losses that fall with the rate until it diverges, as Rosenbrock's: the selection is near."""

    def loss(lr: float) -> float:
        return math.inf if math.log10(lr) > where else math.exp(-steep * lr / 10**where)

    search = SearchOptions(evaluations=count, range=(1e-6, 1.0))
    _, found = conducted(search, tmp_path_factory.mktemp("x") / "journal", loss)
    spacing = 1 / (count // 4)  # of the first zoom, itself into a few spacings of the first half
    assert found.best_lr <= 10**where
    assert found.best_lr > 10**where * (1 - 3 * spacing)


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0, 1))
def test_a_search_killed_anywhere_ends_as_if_it_had_not_been(tmp_path_factory, where):
    """A kill leaves the journal cut off at any byte."""
    home = tmp_path_factory.mktemp("killed")
    search = SearchOptions(evaluations=6, range=(1e-2, 1.0))
    whole, journal = home / "whole", home / "journal"
    trials, found = conducted(search, whole, lambda lr: lr)  # the best is at the edge
    assert found.widened
    content = whole.read_bytes()
    journal.write_bytes(content[: int(where * len(content))])
    kept = json_lines(journal)
    evaluated = []
    again, found_again = conducted(search, journal, lambda lr: lr, evaluated)
    assert (seen(again), found_again) == (seen(trials), found)
    told = sum(line["op_code"] == 6 and "values" in line for line in kept)
    assert len(evaluated) == len(trials) - told  # what was finished is not done again


def json_lines(path: Path) -> list[dict]:
    lines = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        lines.append(json.loads(line))
    return lines


@pytest.mark.parametrize(
    "damage", [b'{"op_code": 4, "trial', b"\0\0\0\0", b"nonsense\nmore\n", b"3\n"]
)
def test_a_damaged_end_is_cut_off_and_said(tmp_path, damage):
    search, journal = SearchOptions(evaluations=6), tmp_path / "journal"
    trials, _ = conducted(search, journal, bowl)
    lines = len(journal.read_bytes().splitlines())
    journal.write_bytes(journal.read_bytes() + damage)
    said, evaluated = [], []
    again, _ = conducted(search, journal, bowl, evaluated, say=said.append)
    assert seen(again) == seen(trials)
    assert evaluated == []
    assert said[0] == f"{journal}: damaged from line {lines + 1} on; what stands before it is kept"
    assert said[1] == "resumed: 6 of 6 trials are finished"


def test_a_journal_without_one_of_its_lines(tmp_path):
    """Copied badly: the same result, or one line that refuses it; never anything else."""
    search, whole = SearchOptions(evaluations=6), tmp_path / "whole"
    trials, found = conducted(search, whole, bowl)
    lines = whole.read_bytes().splitlines(keepends=True)
    refused = 0
    for i in range(len(lines)):
        journal = tmp_path / f"{i}"
        journal.write_bytes(b"".join(lines[:i] + lines[i + 1 :]))
        try:
            again, found_again = conducted(search, journal, bowl)
        except ConfigError as error:
            refused += 1
            assert "not the journal of this search" in str(error)
            assert "\n" not in str(error)
        else:
            assert (seen(again), found_again) == (seen(trials), found)
    assert 0 < refused < len(lines)


def test_a_journal_of_another_search_is_refused_and_kept(tmp_path):
    journal = tmp_path / "journal"
    conducted(SearchOptions(evaluations=3), journal, bowl)
    before = journal.read_bytes()
    with pytest.raises(ConfigError) as caught:
        conducted(SearchOptions(evaluations=3), journal, bowl, description={"n": 9})
    assert str(caught.value) == (
        f"{journal}: not the journal of this search; move or delete it to start anew: n = 8, here 9"
    )
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 1}\n',
        '{"a": 1}\nmy notes\n',
        '{"op_code": 4, "worker_id": "x"}\n',
        "my notes",
        "my\nnotes\n",
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path, content):
    journal = tmp_path / "journal"
    journal.write_text(content)
    with pytest.raises(ConfigError, match="not the journal of this search") as caught:
        conducted(SearchOptions(evaluations=3), journal, bowl)
    assert "\n" not in str(caught.value)
    assert journal.read_text() == content


def test_two_at_work_on_one_output_are_refused(tmp_path):
    """Also searches with other options, whose journals each would remove."""
    path = tmp_path / "x.parquet"
    search = FunctionSearch(**SPHERE, evaluations=4)
    with FileLock(tmp_path / ".x.lock"):
        for seed in (0, 1):
            with pytest.raises(ConfigError, match=f"{path}: another search is at work on it"):
                functions.write(search.model_copy(update={"seed": seed}), path)
    functions.write(search, path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_where_every_rate_diverges_one_line_says_so_and_the_trials_are_kept(tmp_path):
    search, journal = SearchOptions(evaluations=4, range=(10, 100)), tmp_path / "journal"
    for expected in ([0, 1], []):  # nothing to zoom into
        evaluated = []
        with pytest.raises(ConfigError) as caught:
            conducted(search, journal, lambda lr: math.inf, evaluated)
        assert evaluated == expected
        assert str(caught.value) == (
            "sphere: range = [10, 100]: all 2 rates diverge; lower ones are needed"
        )


@pytest.mark.parametrize(
    ("loss", "bounds", "found", "edge"),
    [
        (lambda lr: 1 + abs(math.log(lr / 30)), (1.0, 10.0), (25, 35), ""),
        (lambda lr: 1 + abs(math.log(lr / 0.3)), (1.0, 10.0), (0.25, 0.35), ""),
        (lambda lr: lr, (1.0, 10.0), (0.01, 0.02), "low"),
        (lambda lr: 1 / lr, (0.1, 1.0), (50, 100), "high"),
    ],
)
def test_the_range_is_widened_once_where_the_best_is_at_its_edge(
    tmp_path, loss, bounds, found, edge
):
    search, said = SearchOptions(evaluations=20, range=bounds), []
    trials, selected = conducted(search, tmp_path / "journal", loss, say=said.append)
    low, high = bounds
    assert len(trials) == 30  # two decades more, but no more evaluations than for the first
    assert selected.widened
    assert selected.edge == edge
    assert found[0] <= selected.lr <= found[1]
    assert f"is at the edge of [{low:g}, {high:g}]: 10 more from" in said[0]
    assert ("still at the edge" in said[-1]) == bool(edge)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"range": [0.1, 0.1]}, "range = [0.1, 0.1]: the first bound must be below the second"),
        ({"range": [1.0, 0.1]}, "range = [1.0, 0.1]: the first bound must be below the second"),
        ({"range": [0.0, 0.1]}, "range.0 = 0.0: Input should be greater than 0"),
        ({"range": [0.1, 0.1 + 1e-9]}, "the first bound must be below the second, to six digits"),
        ({"range": [1e-31, 1.0]}, "range = [1e-31, 1.0]: the first bound must be 1e-30 or more"),
        ({"range": [1.0, 1e31]}, "range.1 = 1e+31: Input should be less than or equal to 1"),
        ({"range": [0.1]}, "range.1: required"),
        ({"evaluations": 0}, "evaluations = 0: Input should be greater than or equal to 1"),
        ({"repeats": 0}, "repeats = 0: Input should be greater than or equal to 1"),
        ({"margin": -0.1}, "margin = -0.1: Input should be greater than or equal to 0"),
        ({"lr": 0.1}, "lr = 0.1: unknown key"),
    ],
)
def test_wrong_searches(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        errors.validate(FunctionSearch, SPHERE | changes, "search")


def test_a_function_search(tmp_path):
    search = FunctionSearch(**SPHERE, evaluations=30, range=(1e-3, 10))
    path = tmp_path / "trials.parquet"
    found = functions.write(search, path, say=lambda line: None)
    frame = parquet.read(path)
    assert list(frame.columns) == [*schemas.FUNCTION_ROW, *schemas.SEARCH]
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    assert frame["trial"].tolist() == list(range(30))
    assert frame.loc[frame["selected"], "lr"].tolist() == [found.lr]
    repeats = seeds.repeat_seeds(0, "search", 2)
    for row in frame[frame["lr"] < 0.3].head(4).itertuples():
        (alone,) = descent.descend_all(search, [row.lr], repeats)
        finals = [values[-1] for values in alone.values]
        assert row.loss == pytest.approx(np.exp(np.mean(np.log(finals))), rel=1e-4)
        assert row.loss_std == pytest.approx(np.std(finals, ddof=1), rel=1e-3)
    diverged = frame[frame["stop"] == "diverged"]
    assert len(diverged)
    assert (diverged["loss"] == np.inf).all()
    known = parquet.provenance(path)
    assert known["found"]["lr"] == found.lr
    assert known["scale"] == {"minimum": 0.0, "start": 8.0}
    assert known["seeds"] == repeats
    assert 0.1 < found.lr < 1.5


def test_a_function_search_is_the_same_twice_and_after_a_kill(tmp_path, monkeypatch):
    search = FunctionSearch(**SPHERE, evaluations=12)
    first, second, killed = (tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet"))
    functions.write(search, first)
    functions.write(search, second)
    tell, told = study._tell, []

    def die(*arguments):
        if len(told) == 5:
            raise KeyboardInterrupt
        told.append(arguments)
        tell(*arguments)

    monkeypatch.setattr(study, "_tell", die)
    with pytest.raises(KeyboardInterrupt):
        functions.write(search, killed)
    assert not killed.exists()
    assert list(tmp_path.glob(".c.*.journal"))
    monkeypatch.setattr(study, "_tell", tell)
    journals = {path.name for path in tmp_path.glob(".c.*.journal")}
    with monkeypatch.context() as changed:  # other code does not go on with its numbers
        changed.setattr(functions, "fingerprint", lambda module: "other")
        changed.setattr(study, "_tell", die)
        with pytest.raises(KeyboardInterrupt):
            functions.write(search, killed, say=pytest.fail)
    assert len({path.name for path in tmp_path.glob(".c.*.journal")} - journals) == 1
    said = []
    functions.write(search, killed, say=said.append)
    assert said[0] == "resumed: 5 of 6 trials are finished"
    assert not list(tmp_path.glob(".c.*"))
    for other in (second, killed):
        pd.testing.assert_frame_equal(parquet.read(other), parquet.read(first), check_exact=True)


def test_another_searchs_journal_beside_it_stays(tmp_path):
    """The name of one output may begin another's."""
    search = FunctionSearch(**SPHERE, evaluations=4)
    other = tmp_path / f".a15.5.{16 * '0'}.journal"
    mine = tmp_path / f".a15.{16 * '0'}.journal"
    for path in (other, mine):
        path.write_text("")
    functions.write(search, tmp_path / "a15.parquet")
    assert other.exists()
    assert not mine.exists()


@pytest.mark.parametrize(
    ("bounds", "loss", "edge"),
    [((1.0, 1e30), lambda lr: 1 / lr, "high"), ((1e-30, 1.0), lambda lr: lr, "low")],
)
def test_a_range_is_not_widened_beyond_what_a_rate_may_be(tmp_path, bounds, loss, edge):
    search = SearchOptions(evaluations=8, range=bounds)
    trials, found = conducted(search, tmp_path / "journal", loss)
    assert (found.edge, found.widened) == (edge, False)
    assert len(trials) == 8
    assert 1e-30 <= found.lr <= 1e30


def test_a_rate_for_all_angles_is_judged_at_all_of_them(tmp_path):
    common = SPHERE | {"gradient": "fg-mean", "evaluations": 5, "range": (1e-3, 1e-1)}
    losses = {}
    for angle in ((30.0,), (90.0,), (30.0, 90.0)):
        functions.write(FunctionSearch(**common, angle=angle), tmp_path / "x.parquet")
        losses[angle] = parquet.read(tmp_path / "x.parquet")
    both = losses[30.0, 90.0]
    assert both["angle_deg"].isna().all()
    assert (losses[30.0,]["angle_deg"] == 30).all()
    rates = [set(losses[angle]["lr"]) for angle in losses]
    common = sorted(set.intersection(*rates))
    assert len(common) >= 3
    loss = {a: f.drop_duplicates("lr").set_index("lr")["loss"][common] for a, f in losses.items()}
    mean = np.sqrt(loss[30.0,] * loss[90.0,])  # geometric, of what is above the sphere's minimum
    np.testing.assert_allclose(loss[30.0, 90.0], mean, rtol=1e-5)


FC = {
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
def searched(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fc") / "trials.parquet"
    networks.write(NetworkSearch(**FC), path, say=lambda line: None)
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
    task = {key: value for key, value in FC.items() if key in networks.TrainTask.model_fields}
    (seed,) = seeds.repeat_seeds(0, "search", 1)
    run = networks.TrainRun(**task, lr=chosen["lr"], seed=seed)
    alone = networks.train(run, networks.data("mnist5k", None, "cpu"))
    assert min(epoch["val_loss"] for epoch in alone.epochs) == chosen["loss"]


@pytest.mark.parametrize("in_flight", [2, 3])
def test_trials_in_flight_change_no_number(searched, tmp_path, in_flight):
    path = tmp_path / "trials.parquet"
    networks.write(NetworkSearch(**FC, in_flight=in_flight), path, say=lambda line: None)
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(searched), check_exact=True)


def test_a_network_search_killed_in_a_training_goes_on_there(searched, tmp_path, monkeypatch):
    path, save, saved = tmp_path / "trials.parquet", networks.train.__globals__["_State"].save, []

    def die(self, *arguments):
        save(self, *arguments)
        saved.append(arguments)
        if len(saved) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(networks.train.__globals__["_State"], "save", die)
    with pytest.raises(KeyboardInterrupt):
        networks.write(NetworkSearch(**FC), path, say=lambda line: None)
    assert list(tmp_path.glob(".trials.*.journal"))
    assert len(list(tmp_path.glob(".trials.*.checkpoint"))) == 1  # of those that ended none is left
    assert not path.exists()
    monkeypatch.setattr(networks.train.__globals__["_State"], "save", save)
    said = []
    networks.write(NetworkSearch(**FC), path, say=said.append)
    assert re.fullmatch(r"resumed: [1-3] of 4 trials are finished", said[0])
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(searched), check_exact=True)


def test_a_search_with_trials_in_flight_that_was_killed(tmp_path):
    """Its workers end: else they would train beside the search that takes up the journal."""
    long = FC | {"range": (1e-3, 1e-1), "epochs": 20, "warmup": 20}
    search, path = NetworkSearch(**long, in_flight=2), tmp_path / "trials.parquet"
    script = tmp_path / "search.py"
    script.write_text(
        "from fgrad.options.networks import NetworkSearch\n"
        "from fgrad.experiments.search import networks\n"
        "if __name__ == '__main__':\n"
        f"    search = NetworkSearch(**{search.model_dump()!r})\n"
        f"    networks.write(search, {str(path)!r})\n"
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
    networks.write(search, path, say=said.append)
    assert "of 4 trials are finished" in said[0]
    script.unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    whole = tmp_path / "whole.parquet"
    networks.write(NetworkSearch(**long), whole, say=lambda line: None)
    pd.testing.assert_frame_equal(parquet.read(path), parquet.read(whole), check_exact=True)


def test_an_error_in_one_trial_in_flight_ends_the_search_and_keeps_the_others(tmp_path):
    names = ["mnist", *["mnist5k"] * 5]  # the first is not there
    works = [
        networks.Work(
            NetworkSearch(**FC | {"dataset": name}), 0.1 + 0.1 * i, 0, [], tmp_path / "x.parquet",
            tmp_path / "nothing",
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    outcomes = []
    with pytest.raises(ConfigError, match="nothing"):
        for lr, outcome in networks._trained(works, 2):
            outcomes.append((lr, outcome.stop))
    assert outcomes[0] == (0.2, "completed")
    assert len(outcomes) < 4  # others did not begin


def test_a_rate_that_is_asked_for_twice_is_trained_once(tmp_path, monkeypatch):
    trained, trial = [], networks.trial

    def counted(work):
        trained.append(work.lr)
        return trial(work)

    monkeypatch.setattr(networks, "trial", counted)
    search = NetworkSearch(**FC | {"range": (0.1, 0.100001), "epochs": 1, "generation": 6})
    path = tmp_path / "trials.parquet"
    networks.write(search, path, say=lambda line: None)
    assert len(parquet.read(path)) == 6
    assert trained[:2] in ([0.1, 0.100001], [0.100001, 0.1])
    assert len(trained) <= 4


def test_a_range_in_which_every_training_diverges(tmp_path):
    search = NetworkSearch(**FC | {"range": (1e20, 1e22), "evaluations": 2})
    with pytest.raises(
        ConfigError, match=r"range = \[1e\+20, 1e\+22\]: all 2 rates diverge; lower"
    ):
        networks.write(search, tmp_path / "x.parquet", say=lambda line: None)
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


def test_a_pruned_trial_is_not_selected(tmp_path):
    def evaluate(trials, earlier):
        for trial in trials:
            low = trial.params["lr"] < 1e-3
            yield (
                trial.number,
                Outcome(0.1 if low else 0.5, None, "pruned" if low else "completed", (0.1,)),
            )

    search = SearchOptions(evaluations=20)
    trials, found = study.conduct(search, "x", tmp_path / "j", {}, evaluate, 5, ZERO)
    assert found.lr >= 1e-3
    assert {t.state.name for t in trials} == {"PRUNED", "COMPLETE"}


def test_a_found_table_is_a_learning_rate_table(tmp_path, searched):
    paths = []
    for n in (2, 8):
        for gradient, k in (("bp", None), ("frog", 2)):
            values = SPHERE | {"n": n, "gradient": gradient, "k": k, "evaluations": 6}
            paths.append(str(tmp_path / f"{n}{gradient}.parquet"))
            functions.write(FunctionSearch(**values), paths[-1])
    table = tmp_path / "functions.csv"
    rates.write_table(table, summary.searches(paths, [None] * 4))
    assert table.read_text().splitlines()[0] == "function,n,gradient,k,lr"
    rows = rates.read_table(table, rates.FunctionRow)
    assert [row.lr for row in rows] == [parquet.provenance(p)["found"]["lr"] for p in paths]
    assert rows[0].key[:4] == ("sphere", 2, "bp", None)
    rates.write_table(tmp_path / "fc.csv", summary.searches([str(searched)], [0.3]))
    (row,) = rates.read_table(tmp_path / "fc.csv", rates.NetworkRow)
    assert row.key == ("fc", "fc", 256, "mnist5k", "frog", 2)


def test_a_run_takes_the_rate_its_search_found(tmp_path):
    path = tmp_path / "trials.parquet"
    found = functions.write(FunctionSearch(**SPHERE, evaluations=4), path)
    run = {"function": "sphere", "lr": None}
    assert parquet.with_rate(run, [str(path)]) == {"function": "sphere", "lr": found.lr}
    assert parquet.with_rate({"lr": 0.5}, []) == {"lr": 0.5}
