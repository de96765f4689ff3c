"""Which jobs an edit reruns."""

import re

import pandas as pd
import pytest

from fgrad.store import parquet

pytestmark = pytest.mark.workflow


def test_a_learning_rate(project):
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    project.edit("config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002"))
    assert project.planned() == {
        "descend_function": 1, "summarize": 2, "figure_final_values": 1, "figure_descent_curves": 1,
        "table_learning_rates": 1, "table_final_values": 1, "table_stops": 1, "judge_claims": 1, "collect_claims": 1,
    }  # fmt: skip
    messages = re.findall(r"gradient descent, (\S+)", project.run(options=("--dry-run",)))
    assert messages == ["functions/rosenbrock/n2/frog_k2"]


def test_a_row_inserted_elsewhere(project):
    project.edit("config/learning_rates/functions.csv", "k,lr\n", "k,lr\nplane,1,bp,,0.1\n")
    assert project.planned() == {}


def test_a_learning_rate_of_a_network(project):
    rate = "sota,resnet18,,mnist,frog,2,0.508263\n"
    project.edit("config/learning_rates/networks.csv", rate, rate.replace("0.508263", "0.5"))
    assert project.planned() == {
        "train_network": 1, "summarize": 2, "figure_sota_training": 1, "figure_sota_tangents": 1,
        "figure_epoch_time": 1, "table_sota_learning_rates": 1, "table_sota_accuracy": 1,
        "judge_claims": 1, "collect_claims": 1,
    }  # fmt: skip


def test_an_added_seed_trains_that_seed(project):
    seeds = "seeds: [0]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3"
    project.edit("tests/tiny.yaml", seeds, seeds.replace("[0]", "[0, 1]"))
    assert project.planned()["train_network"] == 4
    messages = re.findall(r"4\.5: training, (\S+)", project.run(options=("--dry-run",)))
    assert messages
    assert all(name.endswith("seed1") for name in messages)


def test_a_data_set_prepared_anew_is_the_same_one(project):
    text = (project.home / "tests/tiny.yaml").read_text()
    moved = text.replace("networks:\n", "networks:\n  data_dir: elsewhere\n")
    (project.home / "tests/tiny.yaml").write_text(moved)
    assert project.planned() == {"prepare_data": 1}


def test_a_comment(project):
    text = (project.home / "src/fgrad/descent.py").read_text()
    (project.home / "src/fgrad/descent.py").write_text(text + "\n# a comment\n")
    assert project.planned() == {}


def test_a_formula(project):
    project.edit("src/fgrad/descent.py", "g, lr, value=-1", "g, lr, value=-2")
    planned = project.planned()
    assert planned["descend_function"] == 11
    assert "measure_quality" not in planned
    assert "figure_quality" not in planned
    assert planned["figure_final_values"] == 1


def test_code_both_sections_share(project):
    project.edit(
        "src/fgrad/estimators.py", "return torch.zeros_like(value) if", "return 0 * value if"
    )
    planned = project.planned()
    assert (planned["descend_function"], planned["measure_quality"]) == (11, 5)
    assert planned["train_network"] == 8


def test_a_restyled_figure(project):
    project.edit("src/fgrad/figures/aggregations.py", '"alpha": 0.2', '"alpha": 0.3')
    assert project.planned() == {"figure_aggregations": 1}


def test_touched_files_are_the_same_files(project):
    for path in (project.home / "config").rglob("*"):
        path.touch()
    for path in (project.home / "src").rglob("*.py"):
        path.touch()
    assert project.planned() == {}


def test_an_added_seed_changes_no_bit(project):
    before = {name: parquet.read(path) for name, path in project.runs().items()}
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert project.planned()["descend_function"] == 11
    project.run("results/summary/functions.parquet")
    for name, frame in before.items():
        if name.startswith("functions/"):
            after = parquet.read(project.runs()[name])
            assert set(after["seed"]) == {0, 1, 2}
            kept = after[after["seed"] < 2].reset_index(drop=True)
            pd.testing.assert_frame_equal(kept, frame, check_exact=True)
