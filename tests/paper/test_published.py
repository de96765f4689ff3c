"""The claim that a run reaches what the paper reports: how often it is right, on data made for it."""

import numpy as np
import pandas as pd
import pytest

from fgrad.paper.claims import published
from fgrad.paper.claims.published import within_spread


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    """Of each null hypothesis: there are many here."""
    monkeypatch.setattr(published, "DRAWS", 2000)


def verdict(ours, theirs, **options):
    """Of seeds of ours and theirs, [m, seeds] each."""
    count = ours.shape[1]
    frame = pd.DataFrame({"function": "sphere", "n": range(len(ours)), "gradient": "frog", "k": 2})
    frame = frame.assign(count=count, final_mean=ours.mean(1), final_std=ours.std(1, ddof=1))
    rows = [
        {"function": "sphere", "n": i, "gradient": "frog", "k": 2, "metric": "final",
         "mean": float(one.mean()), "std": float(one.std(ddof=1)), "count": len(one)}
        for i, one in enumerate(theirs)
    ]  # fmt: skip
    return within_spread(frame, published=rows, **options)


def shares(numbers: int, seeds: int, shift: float, repeats: int = 150) -> dict[str, float]:
    """How often each verdict is given where true means are so many deviations apart."""
    draws = np.random.default_rng(1)
    found = [
        verdict(
            10 + shift + draws.standard_normal((numbers, seeds)),
            10 + draws.standard_normal((numbers, seeds)),
        ).verdict
        for _ in range(repeats)
    ]
    return {name: found.count(name) / repeats for name in ("holds", "fails", "not decidable")}


@pytest.mark.long
@pytest.mark.parametrize("numbers", [1, 8])
@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_false_alarms_are_as_rare_as_stated(numbers, seeds):
    """0.01, and of 150 repeats seldom more than 4."""
    assert shares(numbers, seeds, 0.0)["fails"] <= 4 / 150
    assert shares(numbers, seeds, 1.0)["holds"] <= 5 / 150


@pytest.mark.long
def test_power():
    assert shares(8, 20, 0.0)["holds"] > 0.9
    assert shares(8, 5, 0.0)["holds"] > 0.2  # five seeds are few
    assert shares(8, 5, 6.0, 60)["fails"] > 0.9
    assert shares(8, 3, 10.0, 60)["fails"] > 0.8
    assert shares(1, 3, 0.0)["not decidable"] > 0.8


RNG = np.random.default_rng(0)
SAME = 5 + RNG.standard_normal((8, 20)), 5 + RNG.standard_normal((8, 20))


def test_it_says_what_it_saw():
    found = verdict(*SAME)
    assert found.verdict == "holds"
    assert found.evidence.startswith("8 published numbers, 8 compared; 0 significantly outside; ")
    assert "seeds: ours 20, theirs 20" in found.evidence
    assert "0.01 over all numbers" in found.tolerance


def test_one_number_far_away_fails_and_is_named():
    ours = SAME[0].copy()
    ours[3] += 6
    found = verdict(ours, SAME[1])
    assert found.verdict == "fails"
    assert "1 significantly outside (sphere 3 frog 2 final)" in found.evidence


def test_a_run_that_is_not_the_papers_is_not_judged():
    ours = SAME[0] + 6
    found = verdict(ours, SAME[1], unlike="300 steps on sphere instead of 1,000")
    assert found.verdict == "not decidable"
    assert found.evidence.endswith(
        "the run is not the paper's: 300 steps on sphere instead of 1,000"
    )


def frame(**values) -> pd.DataFrame:
    common = {
        "model": "fc",
        "width": 256,
        "dataset": "mnist",
        "gradient": "bp",
        "k": None,
        "count": 20,
    }
    common |= {"test_accuracy_mean": 0.985, "test_accuracy_std": 0.002}
    return pd.DataFrame([common | values]).astype({"k": "Int64", "width": "Int64"})


ROW = {
    "model": "fc",
    "width": 256,
    "dataset": "mnist",
    "gradient": "bp",
    "metric": "test_accuracy_percent",
    "mean": 98.5,
}


def test_what_is_not_reported_is_taken_as_ours_and_said():
    found = within_spread(frame(), published=[ROW])
    assert "1 without a deviation or a count, which were taken as ours" in found.evidence
    assert found.verdict == "holds"
    assert within_spread(frame(), published=[ROW | {"mean": 96.0}]).verdict == "fails"
    known = within_spread(frame(), published=[ROW | {"std": 0.2, "count": 20}])
    assert "without" not in known.evidence


def test_numbers_that_never_vary_are_compared_as_they_are_rounded():
    fixed = frame(test_accuracy_std=0.0)
    own = ROW | {"std": 0.0, "count": 3}
    assert within_spread(fixed, published=[own]).verdict == "holds"
    assert within_spread(fixed, published=[own | {"mean": 98.0}]).verdict == "fails"


def test_diverged_seeds_and_single_ones_decide_nothing():
    lost = within_spread(frame(test_accuracy_mean=np.inf), published=[ROW])
    assert lost.verdict == "not decidable"
    alone = within_spread(frame(count=1, test_accuracy_std=np.nan), published=[ROW])
    assert alone.verdict == "not decidable"
    both = pd.concat([frame(), frame(width=1024, test_accuracy_mean=np.inf)])
    some = within_spread(both, published=[ROW, ROW | {"width": 1024}])
    assert some.verdict == "not decidable"
    assert "seeds of ours diverged in 1 (fc 1024 mnist bp test_accuracy_percent)" in some.evidence


def test_quality_is_told_apart_by_aggregation():
    common = {
        "n": 64,
        "k": 16,
        "normalized": False,
        "angle_deg": 15.0,
        "count": 1000,
        "cosine_std": 0.1,
    }
    quality = pd.DataFrame(
        [
            common | {"aggregation": name, "cosine_mean": mean}
            for name, mean in (("mean", 0.2), ("projection", 0.5))
        ]
    )
    row = {
        "n": 64,
        "k": 16,
        "angle_deg": 15.0,
        "gradient": "frog",
        "aggregation": "projection",
        "metric": "cosine",
        "std": 0.1,
        "count": 1000,
    }
    assert within_spread(frame(), quality, published=[row | {"mean": 0.5}]).verdict == "holds"
    assert within_spread(frame(), quality, published=[row | {"mean": 0.2}]).verdict == "fails"
