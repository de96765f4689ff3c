"""Tables in their three formats."""

import pandas as pd
import pytest

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.paper import summary, tables

ROWS = pd.DataFrame(
    [
        {"function": "sphere", "n": n, "gradient": gradient, "k": k, "angle_deg": None, "lr": lr}
        for n in (1, 2)
        for gradient, k, lr in (("bp", None, 0.1), ("frog", 16, 0.25), ("frog", 2, 0.2))
    ]
)


def test_learning_rates():
    table = tables.learning_rates(ROWS)
    assert list(table.columns) == ["function", "n", "bp", "frog k=16", "frog k=2"]
    assert table["frog k=2"].tolist() == [0.2, 0.2]
    assert table["n"].tolist() == [1, 2]


def test_a_rate_for_all_angles_is_shown_at_each():
    rows = [
        {"function": "sphere", "n": 64, "k": 4, "gradient": gradient, "angle_deg": a, "lr": lr}
        for gradient, rates in (("fg-mean", (0.15, 0.3)), ("frog", (0.5, 0.5)))
        for a, lr in zip((15.0, 30.0), rates, strict=True)
    ]
    table = tables.learning_rates(pd.DataFrame(rows))
    assert table["angle_deg"].tolist() == [15.0, 30.0]
    assert table["fg-mean k=4"].tolist() == [0.15, 0.3]
    assert table["frog k=4"].tolist() == [0.5, 0.5]


NETWORKS = [
    {"model": model, "width": width, "dataset": "mnist", "gradient": gradient, "k": k, "lr": lr}
    for model, width in (("fc", 256), ("fc", 1024), ("vit", None))
    for gradient, k, lr in (("bp", None, 0.1), ("frog", 16, 0.25))
]


def test_learning_rates_of_networks():
    frame = pd.DataFrame(NETWORKS).astype({"width": "Int64", "k": "Int64"})
    table = tables.learning_rates(frame)
    assert list(table.columns) == ["model", "width", "dataset", "bp", "frog k=16"]
    assert table["frog k=16"].tolist() == [0.25] * 3
    assert table["width"].isna().tolist() == [False, False, True]
    narrow = tables.learning_rates(frame[frame["model"] == "vit"])
    assert list(narrow.columns) == ["model", "dataset", "bp", "frog k=16"]


def test_accuracy_is_in_percent():
    frame = pd.DataFrame(NETWORKS).astype({"width": "Int64", "k": "Int64"})
    frame["test_accuracy_mean"], frame["test_accuracy_std"] = 0.98765, 0.00123
    frame.loc[1, "test_accuracy_std"] = float("nan")
    frame["diverged"] = [0, 0, 2, 0, 0, 0]
    table = tables.accuracy(frame)
    assert table["bp"].tolist() == ["98.77 ± 0.12", "98.77 ± 0.12 (2 diverged)", "98.77 ± 0.12"]
    assert table["frog k=16"].tolist() == ["98.77", "98.77 ± 0.12", "98.77 ± 0.12"]


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    paths = []
    for n in (1, 2):
        for gradient, k in (("bp", None), ("frog", 2)):
            run = {"function": "rosenbrock", "n": n, "gradient": gradient, "k": k, "lr": 0.001}
            paths.append(str(tmp_path_factory.mktemp("runs") / "run.parquet"))
            jobs.carry_out(FunctionRun(**run, seeds=(0, 1), steps=60), paths[-1])
    return summary.functions(paths)


def test_final_values_leave_the_degenerate_out(functions):
    table = tables.final_values(functions)
    assert table["n"].tolist() == [2]
    row = functions[(functions["n"] == 2) & (functions["k"] == 2)].iloc[0]
    assert table["frog k=2"].iloc[0] == f"{row['final_mean']:.4g} ± {row['final_std']:.2g}"


def test_stops_keep_them(functions):
    table = tables.stops(functions)
    assert table["n"].tolist() == [1, 1, 2, 2]
    assert table["stalled"].tolist() == [2, 2, 0, 0]
    assert "angle_deg" not in table


def test_found():
    rows = [
        {"selected": False},
        {"selected": True},
        {"selected": True, "edge": "high", "widened": True},
        {"selected": True, "start": 0.0},
    ]
    common = {"function": "sphere", "n": 2, "angle_deg": None, "gradient": "frog", "k": 4}
    common |= {"lr": 0.1, "published": 0.2, "loss": 3.0, "within": 4, "tried": 100, "edge": ""}
    common |= {"widened": False, "minimum": 0.0, "start": 8.0}
    table = tables.found(pd.DataFrame([common | row for row in rows]))
    assert list(table.columns)[:6] == ["function", "n", "gradient", "k", "lr", "published"]
    assert table["note"].tolist() == ["", "high edge", "degenerate"]
    assert table["widened"].tolist() == [False, True, False]
    assert table["loss"].isna().tolist() == [False, False, True]


def test_comparison():
    rows = [
        {"verdict": "equal", "ratio": 1.02, "ratio_low": 0.9, "ratio_high": 1.2},
        {"verdict": "worse", "found_diverged": 2},
        {"verdict": "worse", "found_diverged": 5, "found_mean": None},
        {"verdict": "unpublished", "published_lr": None, "published_mean": None},
        {"verdict": "equal", "degenerate": True},
    ]
    common = {"function": "sphere", "n": 2, "angle_deg": None, "gradient": "frog", "k": 4}
    common |= {"ratio": None, "ratio_low": None, "ratio_high": None, "degenerate": False}
    for side in ("found", "published"):
        common |= {f"{side}_lr": 0.1, f"{side}_mean": 2.0, f"{side}_std": 0.5}
        common |= {f"{side}_diverged": 0}
    frame = pd.DataFrame([common | row for row in rows])
    numbers = [name for name in frame if name.endswith(("_lr", "_mean", "_low", "_high", "ratio"))]
    table = tables.comparison(frame.astype(dict.fromkeys(numbers, float)))
    assert list(table.columns[:5]) == ["function", "n", "gradient", "k", "found_lr"]
    assert table["found_value"].tolist() == [
        "2 ± 0.5",
        "2 ± 0.5 (2 diverged)",
        "diverged",
        "2 ± 0.5",
        "2 ± 0.5",
    ]
    assert table["published_value"].tolist()[2:] == ["2 ± 0.5", "", "2 ± 0.5"]
    assert table["ratio"].tolist() == ["1.02 (0.9 to 1.2)", "", "", "", ""]
    assert table["verdict"].tolist() == ["equal", "worse", "worse", "unpublished", "degenerate"]


def test_three_formats(tmp_path):
    frame = pd.DataFrame(
        {"a_b": ["1 ± 2", "x"], "k": pd.array([1, None], "Int64"), "x": [0.123456789, 1.0]}
    )
    paths = [str(tmp_path / f"table.{kind}") for kind in ("csv", "md", "tex")]
    tables.write(frame, *paths, caption="Of ``a_b``: *5 %* ± 1.")
    csv, markdown, latex = (open(path, encoding="utf-8").read() for path in paths)
    assert csv == "a_b,k,x\n1 ± 2,1,0.123456789\nx,,1.0\n"
    assert "| 1 ± 2 | 1   | 0.123457 |" in markdown
    assert r"1 $\pm$ 2 & 1 & 0.123457 \\" in latex
    assert r"\caption{Of \texttt{a\_b}: \emph{5 \%} $\pm$ 1.}" in latex
    assert r"a\_b" in latex


def test_a_note_stands_below_the_markdown_and_in_the_caption(tmp_path):
    paths = [str(tmp_path / f"t.{kind}") for kind in ("csv", "md", "tex")]
    frame = pd.DataFrame({"n": [1, 2]})
    tables.write(frame, *paths, caption="Words.", note="1 of 2 runs were made by older code (ab).")
    csv, markdown, latex = ((tmp_path / path).read_text() for path in paths)
    assert csv == "n\n1\n2\n"
    assert markdown.endswith("\n\n1 of 2 runs were made by older code (ab).\n")
    assert "Words. 1 of 2 runs were made by older code (ab)." in latex
