"""Tables: the numbers of the CSV, the digits people are shown, and what is published beside them."""

import doctest
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import summaries

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.paper import summary
from fgrad.paper.tables import digits, functions, networks, quality, searches, typeset
from fgrad.paper.tables.latex import Column
from fgrad.paper.tables.table import Table, write

ROWS = pd.DataFrame(
    [
        {"function": "sphere", "n": n, "gradient": gradient, "k": k, "angle_deg": None, "lr": lr}
        for n in (1, 2)
        for gradient, k, lr in (("frog", 16, 0.25), ("frog", 2, 1.2e-5), ("bp", None, 0.1))
    ]
)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (63.0412, 0.0618, "63.04 ± 0.06"), (63.0412, 0.0961, "63.04 ± 0.10"),
        (63.0412, 0.1234, "63.04 ± 0.12"), (0.123456, 0.0987, "0.12 ± 0.10"), (3.2, 14.9, "3 ± 15"),
        (1.23e-5, 1.4e-6, "(1.23 ± 0.14) × 10⁻⁵"), (1e-26, 2e-27, "(1.0 ± 0.2) × 10⁻²⁶"),
        (0.00099996, 1e-5, "0.001000 ± 0.000010"), (12345.6, 340, "12,300 ± 300"),
        (123456.7, 2345.6, "(1.23 ± 0.02) × 10⁵"), (-1e-9, 1, "0.0 ± 1.0"), (0, 0, "0 ± 0"),
        (-78.33198, 0, "−78.33 ± 0"), (-2506.62329, 1e-9, "−2,506.623 ± 1 × 10⁻⁹"),
        (4.56789, math.nan, "4.568"), (math.inf, math.nan, "diverged"), (math.nan, 1, ""),
    ],
)  # fmt: skip
def test_digits_follow_the_deviation(mean, std, expected):
    assert digits.plus_minus(mean, std) == expected


@pytest.mark.parametrize("power", range(-12, 12))
def test_a_deviation_has_one_digit_or_two_and_the_mean_ends_with_it(power):
    for first in range(10, 100):
        std = first / 10 * 10.0**power
        text = digits.plus_minus(7.654321 * 10.0 ** (power + 1), std)
        mean, deviation = text.strip("()").partition(")")[0].split(" ± ")
        significant = deviation.replace(",", "").replace(".", "").lstrip("0")
        if "." in deviation or power < 3:
            assert len(significant.rstrip("0")) <= (2 if significant[0] == "1" else 1)
            assert len(mean.partition(".")[2]) == len(deviation.partition(".")[2])


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_learning_rates():
    table = functions.learning_rates(ROWS)
    shown = table.shown
    assert list(shown.columns) == ["function", "n", "bp", "frog k = 16", "frog k = 2"]
    assert shown["frog k = 2"].tolist() == ["1.2 × 10⁻⁵"] * 2
    assert shown["n"].tolist() == ["1", "2"]
    assert list(table.data) == ["function", "n", "gradient", "k", "lr"]
    assert table.data["lr"].tolist() == ROWS["lr"].tolist()


def test_a_rate_for_all_angles_is_shown_at_each():
    rows = [
        {"function": "sphere", "n": 64, "k": 4, "gradient": gradient, "angle_deg": a, "lr": lr}
        for gradient, rates in (("fg-mean", (0.15, 0.3)), ("frog", (0.5, 0.5)))
        for a, lr in zip((15.0, 30.0), rates, strict=True)
    ]
    shown = functions.learning_rates(pd.DataFrame(rows)).shown
    assert shown["angle"].tolist() == ["15°", "30°"]
    assert shown["fg-mean k = 4"].tolist() == ["0.15", "0.3"]
    assert shown["frog k = 4"].tolist() == ["0.5", "0.5"]


def test_learning_rates_of_networks():
    shown = functions.learning_rates(summaries.sota()).shown
    assert shown["network"].tolist() == [
        "ResNet18, MNIST", "ResNet18, CIFAR-10", "ViT, MNIST", "ViT, CIFAR-10",
    ]  # fmt: skip
    assert list(shown.columns)[:3] == ["network", "bp", "fg-mean k = 1"]
    assert functions.learning_rates(summaries.fc()).shown["network"][2] == "FC 4,096, MNIST"


def test_accuracy_and_seconds_stand_side_by_side():
    frame = summaries.fc()
    table = networks.accuracy(frame)
    shown = table.shown
    assert list(shown.columns)[:3] == [
        "gradient",
        "FC 256, MNIST accuracy (%)",
        "FC 256, MNIST s/epoch",
    ]
    assert len(shown) == 8
    assert shown["gradient"][0] == "bp"
    first = shown.iloc[0]
    mean, std = 100 * frame["test_accuracy_mean"][0], 100 * frame["test_accuracy_std"][0]
    assert first.iloc[1] == digits.plus_minus(mean, std)
    assert first.iloc[2] == digits.number(frame["train_seconds_mean"][0], 3)
    assert str(shown.iloc[5, 1]).endswith(" (1/3 diverged)")
    assert table.data["test_accuracy_percent_mean"][0] == pytest.approx(mean)


PUBLISHED = {"experiment": "fc", "model": "fc", "width": 1024, "dataset": "mnist", "mean": 91.0}


def test_published_accuracy_stands_beside_ours():
    rows = [
        PUBLISHED | {"gradient": "frog", "k": 16, "metric": "test_accuracy_percent", "std": 0.25, "count": 3},
        PUBLISHED | {"gradient": "bp", "metric": "test_accuracy_percent"},
    ]  # fmt: skip
    table = networks.accuracy(summaries.fc(), published=rows)
    shown = table.shown.set_index("gradient")["FC 1,024, MNIST published"]
    assert shown[["bp", "frog, k = 16", "frog, k = 2"]].tolist() == ["91", "91.0 ± 0.2", ""]
    assert [one for one in table.shown.columns if one.endswith("published")] == [shown.name]
    known = table.data.dropna(subset="published_test_accuracy_percent_mean")
    assert known["published_test_accuracy_percent_count"].fillna(0).tolist() == [0, 3]
    assert known["width"].tolist() == [1024, 1024]


def test_published_values_of_functions():
    row = {
        "experiment": "functions",
        "function": "sphere",
        "n": 4,
        "gradient": "bp",
        "mean": 0.5,
        "std": 0.02,
    }
    table = functions.final_values(summaries.functions(), published=[row | {"metric": "final"}])
    columns = list(table.shown.columns)
    assert columns[2:4] == ["bp", "bp, published"]
    assert table.shown["bp, published"].tolist() == [
        "",
        "",
        "0.50 ± 0.02",
        *[""] * (len(table.shown) - 3),
    ]
    stops = functions.stops(summaries.functions(), published=[row | {"metric": "steps"}]).shown
    assert "steps, published" in stops
    assert "best, published" not in stops


def test_published_quality_is_that_of_its_aggregation():
    row = {"n": 64, "angle_deg": 15.0, "k": 16, "gradient": "frog", "aggregation": "projection"}
    frame = summaries.BY_NAME["angle_quality"]()
    shown = quality.quality(frame, published=[row | {"metric": "cosine", "mean": 0.5}]).shown
    said = shown[shown["k = 16, published"] != ""]
    assert said[["what", "angle", "k = 16, published"]].to_numpy().tolist() == [
        ["cosine similarity of the projection", "15°", "0.5"]
    ]


@pytest.fixture(scope="module")
def descents(tmp_path_factory):
    paths = []
    for n in (1, 2):
        for gradient, k in (("bp", None), ("frog", 2)):
            run = dict[str, Any](function="rosenbrock", n=n, gradient=gradient, k=k, lr=0.001)
            paths.append(str(tmp_path_factory.mktemp("runs") / "run.parquet"))
            jobs.carry_out(FunctionRun(**run, seeds=(0, 1), steps=60), paths[-1])
    return summary.functions(paths)


def test_final_values_leave_the_degenerate_out(descents):
    table = functions.final_values(descents)
    assert table.shown["n"].tolist() == ["2"]
    row = descents[(descents["n"] == 2) & (descents["k"] == 2)].iloc[0]
    assert table.shown["frog k = 2"].iloc[0] == digits.plus_minus(
        row["final_mean"], row["final_std"]
    )


def test_seeds_that_diverged_are_counted():
    frame = summaries.functions().iloc[:16].copy()
    assert functions.final_values(frame).shown["frog k = 16"][0] == "2/5 diverged"
    assert functions.final_values(frame).data["final_mean"].tolist()[7] == np.inf


def test_stops_keep_them(descents):
    table = functions.stops(descents)
    assert table.shown["n"].tolist() == ["1", "1", "2", "2"]
    assert table.data["stalled"].tolist() == [2, 2, 0, 0]
    assert "angle_deg" not in table.data


def test_found():
    rows: list[dict[str, Any]] = [
        {"selected": False},
        {"selected": True},
        {"selected": True, "edge": "high", "widened": True},
        {"selected": True, "start": 0.0},
    ]
    common = dict[str, Any](function="sphere", n=2, angle_deg=None, gradient="frog", k=4)
    common |= {"lr": 0.1, "published": 0.2, "loss": 3.0, "within": 4, "tried": 100, "edge": ""}
    common |= {"widened": False, "minimum": 0.0, "start": 8.0}
    table = searches.found(pd.DataFrame([common | row for row in rows]))
    assert list(table.data)[:6] == ["function", "n", "gradient", "k", "lr", "published_lr"]
    assert table.data["note"].tolist() == ["", "high edge", "degenerate"]
    assert table.shown["widened"].tolist() == ["", "yes", ""]
    assert table.shown["loss"].tolist() == ["3.000", "3.000", ""]


def test_comparison():
    rows: list[dict[str, Any]] = [
        {"verdict": "equal", "ratio": 1.02, "ratio_low": 0.9, "ratio_high": 1.2},
        {"verdict": "worse", "found_diverged": 2},
        {"verdict": "worse", "found_diverged": 5, "found_mean": None},
        {"verdict": "unpublished", "published_lr": None, "published_mean": None},
        {"verdict": "equal", "degenerate": True},
    ]
    common = dict[str, Any](function="sphere", n=2, angle_deg=None, gradient="frog", k=4)
    common |= {"ratio": None, "ratio_low": None, "ratio_high": None, "degenerate": False}
    for side in ("found", "published"):
        common |= {f"{side}_lr": 0.1, f"{side}_mean": 2.0, f"{side}_std": 0.5}
        common |= {f"{side}_diverged": 0}
    frame = pd.DataFrame([common | row for row in rows])
    numbers = [
        name for name in frame.columns if name.endswith(("_lr", "_mean", "_low", "_high", "ratio"))
    ]
    table = searches.comparison(frame.astype(dict.fromkeys(numbers, float)))
    shown = table.shown
    assert shown["found reaches"].tolist() == [
        "2.0 ± 0.5", "2.0 ± 0.5 (2 diverged)", "diverged", "2.0 ± 0.5", "2.0 ± 0.5",
    ]  # fmt: skip
    assert shown["published reaches"].tolist()[2:] == ["2.0 ± 0.5", "", "2.0 ± 0.5"]
    assert shown["ratio"].tolist() == ["1.02 (0.900 to 1.20)", "", "", "", ""]
    verdicts = ["equal", "worse", "worse", "unpublished", "degenerate"]
    assert table.data["verdict"].tolist() == shown["verdict"].tolist() == verdicts


@pytest.mark.parametrize(
    "make", [functions.final_values, functions.stops, functions.learning_rates]
)
def test_the_csv_holds_numbers_alone(tmp_path, make):
    table = make(summaries.functions())
    kinds = ("csv", "md", "tex", "html")
    csv, markdown, tex, html = (str(tmp_path / f"t.{kind}") for kind in kinds)
    write(table, csv, markdown, tex, html, "Words.")
    found = pd.read_csv(csv)
    texts = {name for name in found if not pd.api.types.is_numeric_dtype(found[name])}
    assert texts == {"function", "gradient"}
    for name in set(found) - texts:
        np.testing.assert_allclose(found[name], table.data[name].to_numpy(dtype=float))


def test_four_formats(tmp_path):
    data = pd.DataFrame({"a_b": ["x", "y"], "k": pd.array([1, None], "Int64"), "m": [0.5, np.inf]})
    columns = (
        Column("a_b", ("x", "y"), names=True, text=True),
        Column("k", ("1 ± 2", "")),
    )
    first, second, third, fourth = (
        str(tmp_path / f"one_name.{kind}") for kind in ("csv", "md", "tex", "html")
    )
    paths = first, second, third, fourth
    write(Table(data, columns), *paths, "Of ``a_b``: *5 %* ± 1.", "Older (ab).")
    csv, markdown, latex, html = (Path(path).read_text(encoding="utf-8") for path in paths)
    assert '<th scope="row">x</th><td class="number">1 ± 2</td>' in html
    assert "Of <code>a_b</code>: <em>5 %</em> ± 1." in html
    assert "Older (ab)." in html
    assert csv == "a_b,k,m\nx,1,0.5\ny,,inf\n"
    assert "| x     | 1 ± 2 |" in markdown
    assert markdown.endswith("\n\nOlder (ab).\n")
    assert r"x & $1 \pm 2$ \\" in latex
    assert r"{\normalfont\itshape 5 \%} $\pm$ 1. Older (ab).}" in latex
    assert r"\label{tab:one_name}" in latex
    assert r"a\_b & $k$ \\" in latex


def test_examples():
    for module in (digits, typeset):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed
