"""The search for the learning rate of a descent."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fgrad import jobs, validation
from fgrad.errors import ConfigError
from fgrad.experiments import descent, seeds
from fgrad.experiments.search import study
from fgrad.experiments.search.select import Found
from fgrad.options.functions import FunctionSearch
from fgrad.store import fingerprint, lease, parquet, schemas

SPHERE = dict[str, Any](function="sphere", n=8, gradient="frog", k=2, steps=60, repeats=2)


def test_two_at_work_on_one_output_are_refused(tmp_path, carried_out):
    """Also searches with other options, whose journals each would remove."""
    path = tmp_path / "x.parquet"
    search = FunctionSearch(**SPHERE, evaluations=4)
    with lease.alone(path):
        for seed in (0, 1):
            with pytest.raises(ConfigError, match=f"{path}: another process is at work on it"):
                carried_out(search.model_copy(update={"seed": seed}), path)
    carried_out(search, path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


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
        validation.validate(FunctionSearch, SPHERE | changes, "search")


def test_a_function_search(tmp_path, carried_out):
    search = FunctionSearch(**SPHERE, evaluations=30, range=(1e-3, 10))
    path = tmp_path / "trials.parquet"
    found = Found(**carried_out(search, path).facts["found"])
    frame = parquet.read(path)
    assert list(frame.columns) == [*schemas.FUNCTION_ROW, *schemas.SEARCH]
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]
    assert frame["trial"].tolist() == list(range(30))
    assert frame.loc[frame["selected"], "lr"].tolist() == [found.lr]
    repeats = seeds.repeat_seeds(0, "search", 2)
    row: Any
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


class OtherCode(fingerprint.Watch):
    """As if a formula had been edited."""

    def __init__(self, *references: str) -> None:
        super().__init__(*references)
        self.code = "other"


def test_a_function_search_is_the_same_twice_and_after_a_kill(tmp_path, monkeypatch, carried_out):
    search = FunctionSearch(**SPHERE, evaluations=12)
    first, second, killed = (tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet"))
    carried_out(search, first)
    carried_out(search, second)
    tell, told = study._tell, []

    def die(*arguments):
        if len(told) == 5:
            raise KeyboardInterrupt
        told.append(arguments)
        tell(*arguments)

    monkeypatch.setattr(study, "_tell", die)
    with pytest.raises(KeyboardInterrupt):
        carried_out(search, killed)
    assert not killed.exists()
    assert list(tmp_path.glob(".c.*.journal"))
    monkeypatch.setattr(study, "_tell", tell)
    journals = {path.name for path in tmp_path.glob(".c.*.journal")}
    with monkeypatch.context() as changed:  # other code does not go on with its numbers
        changed.setattr(jobs, "Watch", OtherCode)
        changed.setattr(study, "_tell", die)
        with pytest.raises(KeyboardInterrupt):
            carried_out(search, killed, say=pytest.fail)
    assert len({path.name for path in tmp_path.glob(".c.*.journal")} - journals) == 1
    said = []
    carried_out(search, killed, say=said.append)
    assert said[0] == "resumed: 5 of 6 trials are finished"
    assert not list(tmp_path.glob(".c.*"))
    for other in (second, killed):
        pd.testing.assert_frame_equal(parquet.read(other), parquet.read(first), check_exact=True)


def test_another_searchs_journal_beside_it_stays(tmp_path, carried_out):
    """The name of one output may begin another's."""
    search = FunctionSearch(**SPHERE, evaluations=4)
    other = tmp_path / f".a15.5.{16 * '0'}.journal"
    mine = tmp_path / f".a15.{16 * '0'}.journal"
    for path in (other, mine):
        path.write_text("")
    carried_out(search, tmp_path / "a15.parquet")
    assert other.exists()
    assert not mine.exists()


def test_a_rate_for_all_angles_is_judged_at_all_of_them(tmp_path, carried_out):
    common = SPHERE | {"gradient": "fg-mean", "evaluations": 5, "range": (1e-3, 1e-1)}
    losses = {}
    for angle in ((30.0,), (90.0,), (30.0, 90.0)):
        carried_out(FunctionSearch(**common, angle=angle), tmp_path / "x.parquet")
        losses[angle] = parquet.read(tmp_path / "x.parquet")
    both = losses[30.0, 90.0]
    assert both["angle_deg"].isna().all()
    assert (losses[30.0,]["angle_deg"] == 30).all()
    rates = [set(losses[angle]["lr"]) for angle in losses]
    shared = sorted(set.intersection(*rates))
    assert len(shared) >= 3
    loss = {a: f.drop_duplicates("lr").set_index("lr")["loss"][shared] for a, f in losses.items()}
    mean = np.sqrt(loss[30.0,] * loss[90.0,])  # geometric, of what is above the sphere's minimum
    np.testing.assert_allclose(loss[30.0, 90.0], mean, rtol=1e-5)


def test_a_run_takes_the_rate_its_search_found(tmp_path, carried_out):
    path = tmp_path / "trials.parquet"
    found = carried_out(FunctionSearch(**SPHERE, evaluations=4), path).facts["found"]
    run = {"function": "sphere", "lr": None}
    assert jobs.with_rate(run, [str(path)]) == {"function": "sphere", "lr": found["lr"]}
    assert jobs.with_rate({"lr": 0.5}, []) == {"lr": 0.5}
