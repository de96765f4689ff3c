"""A search as a study: its rates, and what a kill leaves of its journal."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad.errors import ConfigError
from fgrad.experiments.search import study
from fgrad.experiments.search.select import Outcome, Scale
from fgrad.options.search import SearchOptions

ZERO = Scale(0.0, 1e6)


def conducted(search, journal, loss, said=None, **changes):
    """A search whose losses are known; which trials were evaluated is appended to ``said``."""

    def evaluate(trials, earlier):
        for trial in trials:
            if not trial.state.is_finished():
                if said is not None:
                    said.append(trial.number)
                value = loss(trial.params["lr"])
                yield trial.number, Outcome(value, None, "completed", (2.0, value))

    arguments: dict[str, Any] = {"generation": 4, "scale": ZERO, "description": {"n": 8}} | changes
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
@pytest.mark.long
def test_a_search_comes_close_to_the_edge_of_divergence(tmp_path_factory, where, steep, count):
    """Losses that fall with the rate until it diverges, as Rosenbrock's: the selection is near."""

    def loss(lr: float) -> float:
        return math.inf if math.log10(lr) > where else math.exp(-steep * lr / 10**where)

    search = SearchOptions(evaluations=count, range=(1e-6, 1.0))
    _, found = conducted(search, tmp_path_factory.mktemp("x") / "journal", loss)
    spacing = 1 / (count // 4)  # of the first zoom, itself into a few spacings of the first half
    assert found.best_lr <= 10**where
    assert found.best_lr > 10**where * (1 - 3 * spacing)


@pytest.mark.long
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


@pytest.mark.long
def test_one_flipped_byte_anywhere_changes_no_number(tmp_path):
    """The line it is in and what follows is done again, or the journal is refused and kept."""
    search, whole = SearchOptions(evaluations=4), tmp_path / "whole"
    trials, found = conducted(search, whole, bowl)
    content, journal = whole.read_bytes(), tmp_path / "journal"
    refused, done = 0, []
    for i in range(0, len(content), 11):
        damaged = content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :]
        journal.write_bytes(damaged)
        evaluated: list[int] = []
        try:
            again, found_again = conducted(search, journal, bowl, evaluated)
        except ConfigError:
            refused += 1
            assert journal.read_bytes() == damaged
        else:
            assert (seen(again), found_again) == (seen(trials), found)
        done.append(len(evaluated))
    assert refused < len(done) // 4
    assert 0 < sum(done) < 4 * len(done)


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
    ("bounds", "loss", "edge"),
    [((1.0, 1e30), lambda lr: 1 / lr, "high"), ((1e-30, 1.0), lambda lr: lr, "low")],
)
def test_a_range_is_not_widened_beyond_what_a_rate_may_be(tmp_path, bounds, loss, edge):
    search = SearchOptions(evaluations=8, range=bounds)
    trials, found = conducted(search, tmp_path / "journal", loss)
    assert (found.edge, found.widened) == (edge, False)
    assert len(trials) == 8
    assert 1e-30 <= found.lr <= 1e30


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
