"""Searches for learning rates in the workflow."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from projects import ROOT, Project, found

from fgrad.store import parquet

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_from_search_to_figures_in_one_run(searched):
    runs = searched.runs()
    assert {name.split("/")[0] for name in runs if name.startswith("search_")} == {
        "search_functions", "search_angles", "search_fc", "search_sota",
    }  # fmt: skip
    of = {"functions": "functions", "angle_functions": "angles", "fc": "fc", "sota": "sota"}
    for name, path in runs.items():
        section, _, rest = name.partition("/")
        if section in of:
            row = rest if section.endswith("functions") else f"{Path(rest).parent}.parquet"
            assert set(parquet.read(path)["lr"]) == {found(runs[f"search_{of[section]}/{row}"])}
    table = pd.read_csv(searched.work / "results/paper/tables/learning_rates.csv")
    bp = table[table["gradient"] == "bp"].set_index("function")["lr"]
    assert bp.to_dict() == {
        f: found(runs[f"search_functions/{f}/n2/bp.parquet"]) for f in ("sphere", "rosenbrock")
    }
    assert (searched.work / "results/paper/claims.md").read_text().count(
        "learning rates that a search found"
    ) == 4
    shipped = (ROOT / "config/learning_rates").iterdir()
    for path in shipped:  # never written to
        assert (searched.home / "config/learning_rates" / path.name).read_text() == path.read_text()
    assert searched.planned() == {}


def test_the_range_of_one_section_reruns_that_section(searched_project):
    searched_project.edit(
        "tests/tiny.yaml",
        "{evaluations: 6, repeats: 2}\nangles",
        "{evaluations: 6, repeats: 2, range: [0.001, 1]}\nangles",
    )
    planned = searched_project.planned()
    assert (planned["search_function"], planned["descend_function"]) == (8, 8)
    assert not {"search_network", "train_network", "measure_quality", "figure_angle_descent"} & set(
        planned
    )
    assert planned["figure_final_values"] == 1
    output = searched_project.run(options=("--dry-run",))
    assert set(re.findall(r"search for a learning rate, (\w+)/", output)) == {"search_functions"}


def test_the_seed_of_one_networks_search(searched_project):
    searched_project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, seed: 1, epochs: 1"
    )
    planned = searched_project.planned()
    assert (planned["search_network"], planned["train_network"]) == (4, 4)
    assert not {"search_function", "descend_function", "figure_sota_training"} & set(planned)


def test_trials_in_flight_rerun_nothing(searched_project):
    searched_project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, in_flight: 2, epochs: 1"
    )
    assert searched_project.planned() == {}


def test_trials_in_flight_find_the_same(searched, tmp_path):
    project = Project(tmp_path)
    project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, in_flight: 2, epochs: 1"
    )
    name = "search_fc/fc_w256/mnist5k/frog_k2.parquet"
    project.run(f"results/runs/{name}")
    pd.testing.assert_frame_equal(
        parquet.read(project.runs()[name]), parquet.read(searched.runs()[name]), check_exact=True
    )


def test_with_searched_rates_a_published_one_reruns_nothing(searched_project):
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    searched_project.edit(
        "config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002")
    )
    assert searched_project.planned() == {}


def test_a_published_rate_reruns_its_comparison_and_no_search(project):
    target = ("lr_search_functions",)
    project.edit("tests/tiny.yaml", "functions: [sphere, rosenbrock]", "functions: [rosenbrock]")
    project.run(*target)
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    project.edit("config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002"))
    assert project.planned(*target) == {
        "compare_rates": 1, "collect_searches": 1, "summarize": 1, "table_search_functions": 1, "table_found_functions": 1, "judge_claims": 1,
        "figure_search_functions": 1, "figure_found_rates": 1, "lr_search_functions": 1,
    }  # fmt: skip


def test_a_gradient_without_published_rates_is_searched_for(tmp_path):
    project = Project(tmp_path)
    gradient = "  frog: {aggregation: projection, k: [2, 4, 16]}\n"
    project.edit("config/config.yaml", gradient, gradient + "  mine: {aggregation: max, k: [2]}\n")
    assert "no learning rate for function sphere, n 2, gradient mine" in project.run(ok=False)
    project.search()
    assert project.planned("functions")["search_function"] == 10
    project.run("results/runs/functions/sphere/n2/mine_k2.parquet")


def test_searches_on_one_core_or_two_and_after_a_kill_are_the_same(searched, tmp_path):
    """Identical tables whichever way."""
    target = "results/lr_search/functions.csv"
    expected = {
        name: path for name, path in searched.runs().items() if name.startswith("search_functions")
    }
    project = Project(tmp_path)
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(project.runs()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert 2 <= len(project.runs()) < 8
    project.run(target, cores=1)
    assert project.runs().keys() == expected.keys()
    for name, path in expected.items():
        pd.testing.assert_frame_equal(
            parquet.read(project.runs()[name]), parquet.read(path), check_exact=True
        )
    searched.run(target, options=("--allowed-rules", "collect_searches"))
    assert (project.work / target).read_text() == (searched.work / target).read_text()
    assert not list((project.work / "results/runs").rglob(".*.journal"))


def test_a_range_in_which_all_diverge(tmp_path):
    project = Project(tmp_path)
    project.edit(
        "tests/tiny.yaml",
        "{evaluations: 6, repeats: 2}\nangles",
        "{evaluations: 6, repeats: 2, range: [100, 1000]}\nangles",
    )
    sphere, plain = (
        f"results/runs/search_{name}.parquet"
        for name in ("functions/sphere/n2/bp", "angles/styblinski-tang/n64/frog_k16")
    )
    for _ in range(2):
        output = project.run(sphere, plain, ok=False)
        assert (
            "function sphere, n 2, gradient bp: range = [100, 1000]: all 4 rates diverge; lower ones are needed"
            in output
        )
        assert "Traceback" not in output
    assert (project.work / plain).exists()
    assert not (project.work / sphere).exists()
    assert list((project.work / sphere).parent.glob(".bp.*.journal"))  # the trials are kept
