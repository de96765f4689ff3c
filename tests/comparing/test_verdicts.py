"""Which verdict wins, for runs, rows and both sides as a whole."""

from functools import partial
from pathlib import Path

import compared
import numpy as np
import pandas as pd
import pytest

from fgrad.comparing import sides
from fgrad.comparing.comparison import Comparison, compare
from fgrad.comparing.verdict import Judged
from fgrad.errors import ConfigError
from fgrad.store.loading import load


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return tmp_path / "a"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return tmp_path / "b"


def of(a: Path, b: Path, only: tuple[str, ...] = (), gradients: tuple[str, ...] = ()) -> Comparison:
    with sides.opened(a) as one, sides.opened(b) as other:
        return compare(one, other, only, gradients)


def the_row(a: Path, b: Path) -> Judged:
    (row,) = of(a, b).rows
    return row


def test_a_folder_is_identical_to_itself(a):
    compared.descents(a)
    compared.samples(a)
    compared.training(a, 0)
    found = of(a, a)
    assert set(found.runs.values()) == {row.verdict for row in found.rows} == {"identical"}
    assert len(found.runs) == len(found.rows) == 3
    assert found.reasons == []


def test_times_machines_and_code_are_told_and_are_no_difference(a, b):
    compared.training(a, 0, seconds=1)
    compared.training(b, 0, seconds=9)
    compared.descents(a, code="old", machine="x86_64")
    compared.descents(b, code="new", machine="aarch64")
    found = of(a, b)
    assert found.reasons == []
    assert {row.verdict for row in found.rows} == {"identical"}
    said = {one.what: one.runs for one in found.differences}
    assert said == {"code": "1 of functions fg-mean", "machine": "1 of functions"}


def test_what_differs_by_rounding_is_equal(a, b):
    compared.descents(a)
    compared.descents(b, noise=1e-6)
    compared.samples(a)
    compared.samples(b, factor=1 + 1e-7)
    assert [row.verdict for row in of(a, b).rows] == ["equal", "equal"]
    assert of(a, b).reasons == []


@pytest.mark.parametrize("seeds", [range(1), range(5)])
def test_another_formula_is_different_however_small_its_effect(a, b, seeds):
    compared.descents(a, seeds=seeds)
    compared.descents(b, seeds=seeds, factor=1.01)
    compared.samples(a)
    compared.samples(b, factor=0.999)
    assert [(row.verdict, row.why) for row in of(a, b).rows] == [
        ("different", "from the start, with the same draws")
    ] * 2
    assert of(a, b).reasons == ["2 rows different"]


def test_rounding_that_has_grown_is_the_same_distribution(a, b):
    compared.descents(a)
    compared.descents(b, noise=0.1)
    row = the_row(a, b)
    assert row.verdict == "same distribution"
    assert row.why.startswith("5 and 5 seeds would have shown a factor of ")
    assert of(a, b).reasons == []


def test_a_late_difference_beyond_chance_is_different(a, b):
    compared.descents(a, spread=0.001)
    compared.descents(b, spread=0.001, late=9)
    assert (the_row(a, b).verdict, the_row(a, b).why) == (
        "different", "significantly in final value above the minimum"
    )  # fmt: skip


def test_other_seeds_are_the_same_distribution(a, b):
    compared.descents(a)
    compared.descents(b, seeds=range(5, 10))
    compared.samples(a)
    compared.samples(b, seed=1)
    for seed in range(4):
        compared.training(a, seed)
        compared.training(b, 4 + seed)
    found = of(a, b)
    assert {row.verdict for row in found.rows} == {"same distribution"}
    assert found.reasons == []
    assert (
        sorted(found.runs.values())
        == ["only in A"] * 4 + ["only in B"] * 4 + ["same distribution"] * 2
    )


def test_other_seeds_and_another_formula_are_different(a, b):
    compared.descents(a)
    compared.descents(b, seeds=range(5, 10), factor=4)
    row = the_row(a, b)
    assert (row.verdict, row.why) == (
        "different", "significantly in final value above the minimum"
    )  # fmt: skip
    assert row.effects[0].test.difference + row.effects[0].half < 0


@pytest.mark.parametrize("known", [{"device": "cuda:0"}, {"machine": "aarch64"}])
def test_other_draws_of_another_device_are_judged_by_chance(a, b, known):
    compared.descents(a)
    compared.descents(b, factor=1.01, **known)
    assert the_row(a, b).verdict == "same distribution"


def test_other_rates_are_judged_by_chance(a, b):
    compared.descents(a)
    compared.descents(b, factor=1.01, lr=0.2)
    assert the_row(a, b).verdict == "same distribution"
    assert ("option lr", "0.1", "0.2") in [(one.what, one.a, one.b) for one in of(a, b).differences]


def test_without_chance_no_test_is_needed(a, b):
    compared.descents(a, "bp")
    compared.descents(b, "bp", lr=0.2, factor=1.01)
    assert (the_row(a, b).verdict, the_row(a, b).why) == ("different", "there is no chance in it")


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_decide_nothing(a, b, seeds):
    for seed in range(seeds):
        compared.training(a, seed)
        compared.training(b, seed, noise=0.01)
    row = the_row(a, b)
    assert row.verdict == "undecided"
    assert row.why == f"{seeds} and {seeds} seeds could have shown no difference"
    assert of(a, b).reasons == ["1 row undecided"]


def test_a_test_that_sees_nothing_there_is_decides_nothing(a, b):
    compared.descents(a, spread=4, seeds=range(3))
    compared.descents(b, spread=4, seeds=range(3, 6))
    assert the_row(a, b).verdict == "undecided"


def test_one_seed_that_had_enough_tangents_decides_nothing(a, b):
    """With k ≥ n a mean varies still."""
    compared.descents(a, k=16, seeds=[0])
    compared.descents(b, k=16, seeds=[1])
    assert the_row(a, b).verdict == "undecided"


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_what_diverges_at_once_on_one_side_is_different(a, b, wrong):
    for side in (a, b):
        compared.descents(side, seeds=[0])
    compared.change(b, "value", lambda frame: frame["value"].where(frame["step"] < 2, wrong))
    row = the_row(a, b)
    assert (row.verdict, row.why) == ("different", "from the start, with the same draws")


def test_what_diverges_at_once_on_both_sides_is_compared_before(a, b):
    for side, factor in ((a, 1.0), (b, 1 + 1e-4)):
        compared.descents(side, factor=factor)
        compared.change(side, "value", lambda frame: frame["value"].where(frame["step"] < 5, np.inf))  # fmt: skip
    assert the_row(a, b).verdict == "same distribution"
    compared.descents(b, factor=2)
    compared.change(b, "value", lambda frame: frame["value"].where(frame["step"] < 5, np.inf))
    assert the_row(a, b).why == "from the start, with the same draws"


def without_first(name: str, frame: pd.DataFrame) -> pd.Series:
    return frame[name].where(frame["sample"] > 0)


def test_what_is_no_number_hides_nothing(a, b):
    compared.samples(a)
    compared.samples(b, seed=1, factor=3)
    for name in ("cosine", "norm_ratio"):
        compared.change(b, name, partial(without_first, name))
    assert the_row(a, b).verdict == "different"


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_result_without_its_values_is_none(a, b, side):
    compared.descents(a)
    compared.descents(b, factor=3)
    compared.change(a.parent / side, "value", None)
    with pytest.raises(ConfigError, match=r"not read: .*fg-mean\.parquet: a result without value$"):
        of(a, b)


def test_linked_folders_are_looked_into(a, b, tmp_path):
    for side in (a, b):
        compared.descents(side)
        compared.training(side, 0, noise=0.5 * (side == b))
        (side / "results/runs/fc").rename(tmp_path / f"disk_{side.name}")
        (side / "results/runs/fc").symlink_to(tmp_path / f"disk_{side.name}")
        (side / "results/runs/round").symlink_to(side / "results")
    assert sorted(of(a, b).runs) == [
        "fc/fc_w256/mnist5k/bp/seed0", "functions/sphere/n8/fg-mean"
    ]  # fmt: skip
    assert len(load(a)["section"].unique()) == 2


def test_a_side_is_the_same_from_within(a, b, monkeypatch):
    for side, verdict in ((a, "holds"), (b, "fails")):
        compared.descents(side)
        compared.claims(side, {"projection-is-best": verdict})
    monkeypatch.chdir(a / "results/runs")
    assert of(Path(), b).reasons == ["1 claim reversed"]


def test_missing_runs_and_seeds_are_differences(a, b):
    for seed in range(3):
        compared.training(a, seed)
        compared.training(b, seed)
    compared.descents(a)
    compared.descents(b, seeds=range(4))
    (b / "results/runs/fc/fc_w256/mnist5k/bp/seed2.parquet").unlink()
    found = of(a, b)
    assert [(row.verdict, row.lacking) for row in found.rows] == [("identical", "B")] * 2
    assert found.runs["fc/fc_w256/mnist5k/bp/seed2"] == "only in A"
    assert found.reasons == ["2 rows incomplete"]


def test_rows_of_one_side_are_differences(a, b):
    compared.descents(a)
    compared.descents(b)
    compared.descents(b, "frog")
    assert [row.verdict for row in of(a, b).rows] == ["identical", "only in B"]
    assert of(a, b).reasons == ["1 row incomplete"]


def test_damaged_and_foreign_files_are_a_line_each(a, b):
    for path in (a, b):
        compared.descents(path)
        compared.samples(path)
    file = b / "results/runs/quality/n8_0.parquet"
    file.write_bytes(file.read_bytes()[:300])
    (a / "results/runs/functions/notes.parquet").write_bytes(b"no Parquet")
    found = of(a, b)
    assert len(found.unread) == 2
    assert "notes.parquet: not a whole Parquet file" in found.unread[0]
    assert "n8_0.parquet: not a whole Parquet file, delete it and run again" in found.unread[1]
    assert found.reasons == ["1 row incomplete", "2 files unreadable"]


def test_other_numbers_of_the_same_runs_are_found(a, b):
    for path in (a, b):
        compared.descents(path)
    compared.table(a, ["sphere,8,fg-mean,4,0.1,5,1.0,0.1,0"])
    compared.table(b, ["sphere,8,fg-mean,4,0.1,5,1.0,0.2,0"])
    (row,) = of(a, b).tables
    assert (row.name, row.verdict, row.change) == (
        "sphere, n = 8, fg-mean, k = 4", "different", "final_std 0.1 → 0.2"
    )  # fmt: skip
    assert of(a, b).reasons == ["1 row of tables of the same runs different"]


def test_rows_of_tables_have_the_verdict_of_their_runs(a, b):
    compared.descents(a)
    compared.descents(b, factor=2)
    compared.table(a, ["sphere,8,fg-mean,4,0.1,5,1.0,0.1,0", "sphere,9,bp,,0.1,5,1.0,0.1,0"])
    compared.table(b, ["sphere,8,fg-mean,4,0.1,5,0.5,0.1,0"])
    (row,) = of(a, b).tables
    assert (row.verdict, row.change) == ("different", "final_mean 1 → 0.5")


@pytest.mark.parametrize(
    ("verdict", "reasons"), [("fails", ["1 claim reversed"]), ("not decidable", [])]
)
def test_claims_with_another_verdict(a, b, verdict, reasons):
    for path, one in ((a, "holds"), (b, verdict)):
        compared.samples(path)
        compared.claims(path, {"mean-is-unbiased": one, "other": "holds"})
    found = of(a, b)
    (claim,) = found.claims
    assert (claim.name, claim.a, claim.b) == ("mean-is-unbiased", "holds", verdict)
    assert (found.judged, found.reasons) == (2, reasons)


def test_sections_and_gradients_narrow_it(a, b):
    for path in (a, b):
        compared.samples(path)
        compared.descents(path, factor=1 + (path == b))
        compared.descents(path, "frog")
    assert set(of(a, b, ("functions",)).runs) == {
        "functions/sphere/n8/fg-mean", "functions/sphere/n8/frog"
    }  # fmt: skip
    assert of(a, b, ("functions",), ("frog",)).reasons == []
    assert set(of(a, b, (), ("frog", "projection")).runs) == {
        "functions/sphere/n8/frog", "quality/n8_0"
    }  # fmt: skip
