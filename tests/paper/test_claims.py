"""Claims: each holds on data that follow the paper, and fails on data that do not."""

import json

import numpy as np
import pandas as pd
import pytest

from fgrad.gradients import laws
from fgrad.paper import claims, contents

COUNT = 1000


def quality_frame(exact: bool = False) -> pd.DataFrame:
    """What theory expects, with its spread, for three aggregations."""
    rows = []
    for n in (1, 16, 64, 256, 1024):
        for k in (1, 4, 16):
            cosines = {
                "projection": laws.projection_ratio(n, k),
                "mean": laws.mean_cosine(n, k),
            }
            for aggregation, cosine in cosines.items():
                square = laws.mean_squared_ratio(n, k)
                row = {"n": n, "k": k, "aggregation": aggregation, "normalized": False}
                row |= {"angle_deg": np.nan, "count": COUNT, "true_norm_mean": n**0.5}
                row |= {"cosine_mean": float(cosine), "cosine_std": 0.05 * (n > 1)}
                row |= {
                    "squared_ratio_mean": float(square),
                    "squared_ratio_std": 0.1 * float(square),
                }
                row |= {"dot_mean": float(n), "dot_std": 0.5 * n}
                row["margin_min"] = (
                    np.nan if exact else 0.0 if aggregation == "projection" else 0.01
                )
                rows.append(row)
    return pd.DataFrame(rows)


def angle_frame() -> pd.DataFrame:
    parts = []
    for angle in (15.0, 45.0, 90.0):
        frame = quality_frame()
        frame = frame[frame["n"] == 64].assign(angle_deg=angle)
        frame.loc[frame["aggregation"] == "mean", "cosine_mean"] *= angle / 90
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def functions_frame() -> pd.DataFrame:
    rows = []
    for function in ("sphere", "rosenbrock"):
        for n in (2, 1024):
            for gradient, sizes in {"bp": [None], "fg-mean": [1, 2, 4], "frog": [2, 4]}.items():
                for k in sizes:
                    left = -6.0 if n == 2 else -0.3 - 0.5 * np.log2(k or 64) - (gradient == "frog")
                    row = {"function": function, "n": n, "gradient": gradient, "k": k, "lr": 0.1}
                    row |= {"start": 10.0, "minimum": 0.0, "degenerate": False, "count": 5}
                    spread = 0.02 * (n > 2)
                    row |= {"log_left_mean": left, "log_left_std": spread, "angle_deg": np.nan}
                    row |= {"log_left_low": left - spread, "log_left_high": left + spread}
                    rows.append(row)
    return pd.DataFrame(rows).astype({"k": "Int64"})


def angle_functions_frame() -> pd.DataFrame:
    rows = []
    for gradient in ("fg-mean", "frog"):
        for angle in (15.0, 45.0, 90.0):
            left = -1.0 if gradient == "frog" else -angle / 45
            row = {"gradient": gradient, "k": 16, "angle_deg": angle, "lr": 0.1, "count": 5}
            row |= {"log_left_mean": left, "log_left_std": 0.02, "final_mean": left}
            rows.append(row)
    return pd.DataFrame(rows).astype({"k": "Int64"})


def angle_curves_frame() -> pd.DataFrame:
    rows = []
    for gradient in ("fg-mean", "frog"):
        for angle in (15.0, 45.0, 90.0):
            for step in (0, 10, 100):
                row = {"gradient": gradient, "k": 16, "lr": 0.1, "angle_deg": angle, "step": step}
                slow = angle / 90 if gradient == "fg-mean" else 1.0
                rows.append(
                    row | {"minimum": -2.0, "value_mean": -2 * (1 - np.exp(-slow * step / 50))}
                )
    return pd.DataFrame(rows).astype({"k": "Int64"})


def networks_frame(networks: list[tuple[str, int | None, int]]) -> pd.DataFrame:
    """Losses and accuracies that get better with k, more so for frog, and worse with n."""
    rows = []
    for i, (model, width, n) in enumerate(networks):
        for gradient, sizes in {"bp": [None], "fg-mean": [1, 2, 4], "frog": [2, 4]}.items():
            for k in sizes:
                lost = (
                    0.0 if k is None else (0.2 - 0.04 * k) * (1 + i) - 0.02 * (gradient == "frog")
                )
                row = {"model": model, "width": width, "dataset": "mnist", "gradient": gradient}
                row |= {"k": k, "n": n, "count": 3}
                row |= {"log_train_loss_mean": lost - 2, "log_train_loss_std": 0.001}
                row |= {"test_accuracy_mean": 0.95 - lost, "test_accuracy_std": 0.001}
                rows.append(row)
    return pd.DataFrame(rows).astype({"k": "Int64", "width": "Int64"})


@pytest.fixture
def summaries() -> dict[str, pd.DataFrame]:
    return {
        "quality": quality_frame(),
        "exact": quality_frame(exact=True),
        "angle_quality": angle_frame(),
        "functions": functions_frame(),
        "angle_functions": angle_functions_frame(),
        "angle_curves": angle_curves_frame(),
        "fc": networks_frame([("fc", 256, 522), ("fc", 1024, 2058)]),
        "sota": networks_frame([("resnet18", None, 9866), ("vit", None, 64010)]),
    }


def judge(summaries) -> list[dict[str, str]]:
    """The paper's claims with their verdicts."""
    return [one for part in contents.PAPER for one in claims.judge(part.questions, summaries)]


def verdict(summaries, name: str) -> str:
    return next(one["verdict"] for one in judge(summaries) if one["name"] == name)


def test_all_hold_where_the_paper_is_right(summaries):
    judged = judge(summaries)
    assert [one["name"] for one in judged if one["verdict"] != "holds"] == []
    assert len(judged) == sum(len(section.claims) for section in contents.PAPER) == 20


def where(frame: pd.DataFrame, **values) -> pd.Series:
    chosen = pd.Series(True, index=frame.index)
    for key, value in values.items():
        chosen &= frame[key] == value
    return chosen


BREAKERS = {
    "projection-follows-theory": ("quality", {"aggregation": "projection", "n": 64, "k": 4}, "cosine_mean", 1.1),
    "mean-is-unbiased": ("quality", {"aggregation": "mean", "n": 64, "k": 4}, "dot_mean", 1.2),
    "mean-norm-follows-theory": ("quality", {"aggregation": "mean", "n": 64}, "squared_ratio_mean", 1.1),
    "extension-follows-theory": ("exact", {"aggregation": "projection", "n": 1024}, "cosine_mean", 0.8),
    "projection-is-best": ("quality", {"aggregation": "mean", "n": 64, "k": 4}, "margin_min", -1),
    "more-tangents-approximate-better": ("quality", {"aggregation": "projection", "n": 64, "k": 16}, "cosine_mean", 0.3),
    "single-tangent-fades": ("quality", {"k": 1, "n": 1024}, "cosine_mean", 2),
    "more-tangents-optimise-better": ("functions", {"gradient": "frog", "n": 1024, "k": 4}, "log_left_mean", 0.2),
    "projection-optimises-better": ("functions", {"gradient": "frog", "n": 1024, "k": 4}, "log_left_mean", 0.2),
    "multi-tangent-opens-dimensions": ("functions", {"n": 1024}, "log_left_high", 0),
    "projection-quality-ignores-angle": ("angle_quality", {"aggregation": "projection", "angle_deg": 15.0}, "cosine_mean", 0.9),
    "mean-quality-needs-angle": ("angle_quality", {"aggregation": "mean", "angle_deg": 15.0}, "cosine_mean", 6),
    "projection-descent-ignores-angle": ("angle_curves", {"gradient": "frog", "angle_deg": 15.0, "step": 10}, "value_mean", 0.9),
    "mean-descent-needs-angle": ("angle_functions", {"gradient": "fg-mean", "angle_deg": 15.0}, "log_left_mean", 6),
    "more-tangents-train-better": ("fc", {"gradient": "frog", "k": 4, "width": 256}, "log_train_loss_mean", 0.9),
    "projection-trains-better": ("fc", {"gradient": "frog", "k": 2, "width": 256}, "log_train_loss_mean", 0.9),
    "gap-grows-with-width": ("fc", {"gradient": "frog", "k": 2, "width": 256}, "log_train_loss_mean", 0.7),
    "more-tangents-classify-better": ("sota", {"gradient": "frog", "k": 4, "model": "vit"}, "test_accuracy_mean", 0.5),
    "projection-classifies-better": ("sota", {"gradient": "frog", "k": 2, "model": "vit"}, "test_accuracy_mean", 0.5),
    "gap-grows-with-size": ("sota", {"gradient": "fg-mean", "k": 2, "model": "resnet18"}, "test_accuracy_mean", 0.5),
}  # fmt: skip


SEARCHED = [claim.name for section in contents.SEARCHES for claim in section.claims]


def test_every_claim_has_a_breaker():
    assert {*BREAKERS, *SEARCHED} == {*contents.CLAIMS}


def compared_frame(worse: int, rows: int = 80) -> pd.DataFrame:
    frame = pd.DataFrame({"function": "sphere", "n": range(rows), "gradient": "bp"})
    constant = {"degenerate": False, "verdict": "equal", "found_lr": 0.2, "published_lr": 0.1}
    constant |= {"found_diverged": 0, "published_diverged": 0}
    constant |= {"ratio": 1.3, "ratio_low": 1.1, "ratio_high": 1.5}
    constant |= {"found_low": -3.0, "published_high": -3.0}
    frame = frame.assign(**constant)
    frame.loc[:9, "found_low"] = -2.9
    frame.loc[: worse - 1, "verdict"] = "worse"
    return frame


@pytest.mark.parametrize("name", SEARCHED)
def test_found_rates_against_published_ones(name):
    (section,) = (s for s in contents.SEARCHES if contents.CLAIMS[name] in s.claims)

    def judged(frame):
        (one,) = claims.judge(section.questions, dict.fromkeys(section.judged_by, frame))
        assert (one["name"], one["section"]) == (name, f"{section.number} search")
        return one

    assert judged(compared_frame(worse=4))["verdict"] == "holds"
    for worse, rows in ((8, 80), (1, 1), (2, 4)):  # more than 5 %, but perhaps by chance
        one = judged(compared_frame(worse, rows))
        assert one["verdict"] == "not decidable"
        assert f"{worse} worse" in one["evidence"]
    assert judged(compared_frame(worse=2, rows=2))["verdict"] == "fails"
    failing = compared_frame(worse=12)
    failing.loc[1, "found_diverged"] = 2
    one = judged(failing)
    assert one["verdict"] == "fails"
    assert "85.0% of 80 rows are not worse: 0 better, 68 equal, 12 worse" in one["evidence"]
    assert "in 68 of the equal ones the interval is above 1, in 0 below" in one["evidence"]
    assert "in 87.5% of all rows the 95 % t-interval" in one["evidence"]
    assert "n=0 bp: 1.3 (1.1 to 1.5) times as far above the minimum" in one["evidence"]
    assert "n=1 bp: 2 seeds diverge instead of 0, rate 2 of the published" in one["evidence"]
    nothing = compared_frame(worse=3)
    nothing.loc[0, "degenerate"] = True
    nothing.loc[1:, "verdict"] = "too few seeds"
    one = judged(nothing)
    assert one["verdict"] == "not decidable"
    assert one["evidence"] == "no row can be compared: 79 too few seeds, 1 worse"


@pytest.mark.parametrize("name", BREAKERS)
def test_every_claim_can_fail(summaries, name):
    summary, rows, column, factor = BREAKERS[name]
    frame = summaries[summary]
    frame.loc[where(frame, **rows), column] *= factor
    assert verdict(summaries, name) == "fails"


def test_a_diverged_mean_is_worse(summaries):
    frame = summaries["functions"]
    frame.loc[where(frame, gradient="frog", n=1024, k=4), ["log_left_mean", "log_left_std"]] = [
        np.inf,
        np.nan,
    ]
    assert verdict(summaries, "more-tangents-optimise-better") == "fails"


NARROW = {
    "projection-follows-theory": ("quality", lambda f: f[f["k"] >= f["n"]]),
    "extension-follows-theory": ("exact", lambda f: f[f["k"] >= f["n"]]),
    "mean-is-unbiased": ("quality", lambda f: f[f["aggregation"] != "mean"]),
    "projection-is-best": ("quality", lambda f: f[f["aggregation"] == "projection"]),
    "more-tangents-approximate-better": ("quality", lambda f: f[f["k"] == 1]),
    "single-tangent-fades": ("quality", lambda f: f[f["n"] <= 16]),
    "more-tangents-optimise-better": ("functions", lambda f: f[f["k"] == 1]),
    "projection-optimises-better": ("functions", lambda f: f[f["gradient"] == "frog"]),
    "multi-tangent-opens-dimensions": ("functions", lambda f: f[f["n"] == 2]),
    "projection-quality-ignores-angle": ("angle_quality", lambda f: f[f["k"] > 64]),
    "mean-quality-needs-angle": ("angle_quality", lambda f: f[f["angle_deg"] == 15]),
    "projection-descent-ignores-angle": ("angle_curves", lambda f: f[f["angle_deg"] == 15]),
    "mean-descent-needs-angle": ("angle_functions", lambda f: f.assign(count=1)),
    "more-tangents-train-better": ("fc", lambda f: f.assign(count=1)),
    "projection-trains-better": ("fc", lambda f: f[f["gradient"] != "frog"]),
    "gap-grows-with-width": ("fc", lambda f: f[f["width"] == 256]),
    "more-tangents-classify-better": ("sota", lambda f: f[f["k"].isna()]),
    "projection-classifies-better": ("sota", lambda f: f.assign(count=1)),
    "gap-grows-with-size": ("sota", lambda f: f[f["gradient"] != "bp"]),
}


@pytest.mark.parametrize("name", NARROW)
def test_not_decidable_where_the_run_is_too_small(summaries, name):
    summary, narrow = NARROW[name]
    summaries[summary] = narrow(summaries[summary])
    assert verdict(summaries, name) == "not decidable"


def test_a_section_needs_its_own_summaries_alone(summaries):
    for section in contents.PAPER:
        own = {name: summaries[name] for name in section.judged_by}
        judged = claims.judge(section.questions, own)
        assert [one["name"] for one in judged] == [claim.name for claim in section.claims]
        assert {one["section"] for one in judged} <= {section.number, f"3, {section.number}"}


def test_verdicts_on_networks_name_their_data(summaries):
    judged = {one["name"]: one["evidence"] for one in judge(summaries)}
    assert judged["more-tangents-train-better"].startswith("On mnist: ")
    assert judged["gap-grows-with-size"].startswith("On mnist: ")


def test_files(summaries, tmp_path):
    judged = judge(summaries)
    claims.write(judged, str(tmp_path / "claims.md"), str(tmp_path / "claims.json"), scale="Small.")
    assert json.loads((tmp_path / "claims.json").read_text()) == judged
    text = (tmp_path / "claims.md").read_text()
    assert "holds: 20." in text
    assert "Small." in text
    for one in judged:
        assert one["statement"] in text
        assert one["tolerance"] in text
