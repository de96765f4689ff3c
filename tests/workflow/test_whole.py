"""The workflow, run for real on the smallest configuration: what is made, from which targets."""

import json
import re
import subprocess
from typing import Any

import pandas as pd
import pytest
from projects import PARTS, ROOT, Project, jobs_of, values

from fgrad.paper import contents

pytestmark = pytest.mark.workflow


FIGURES = {one.name for section in contents.PAPER for one in section.figures}
TABLES = {one.name for section in contents.PAPER for one in section.tables}


def test_everything_is_there(finished):
    paper = finished.work / "results/paper"
    assert {p.name for p in (paper / "figures").iterdir()} == {
        f"{n}.{t}" for n in FIGURES for t in ("pdf", "png")
    }
    assert {p.name for p in (paper / "tables").iterdir()} == {
        f"{n}.{t}" for n in TABLES for t in ("csv", "md", "tex", "html")
    }
    assert {p.name for p in (paper / "page").iterdir()} == {f"{n}.svg" for n in FIGURES}
    assert {p.name for p in paper.iterdir() if p.is_file()} == {
        "claims.md", "claims.json", "claims.html", "index.html",
    }  # fmt: skip
    for path in paper.rglob("*.*"):
        assert path.stat().st_size > 50
    runs = finished.runs()
    assert len(runs) == 2 + 1 + 2 + 8 + 3 + 4 + 4
    for name in runs:
        for kind, ending in (("logs", "log"), ("benchmarks", "tsv")):
            assert (finished.work / "results" / kind / name).with_suffix(f".{ending}").exists()


def test_only_the_working_directory_is_written(finished):
    own = {str(p.relative_to(finished.home)) for p in finished.home.rglob("*") if p.is_file()}
    expected = set()
    for part in PARTS:
        files = [ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*")
        expected |= {str(p.relative_to(ROOT)) for p in files if p.is_file()}
    assert {p for p in own if "__pycache__" not in p} <= expected
    assert {p.name for p in finished.work.iterdir()} == {"results", ".snakemake"}


def test_nothing_to_do(finished):
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("quality", {"measure_quality": 3, "summarize": 2, "figure_quality": 1}),
        ("functions", {"descend_function": 8, "summarize": 3, "figure_descent_curves": 1}),
        ("angles", {"measure_quality": 2, "descend_function": 3, "summarize": 4}),
        ("fc", {"prepare_data": 1, "train_network": 4, "summarize": 3, "figure_fc_training": 1}),
        ("sota", {"prepare_data": 1, "train_network": 4, "summarize": 3, "figure_sota_time": 1}),
        ("figures", {"measure_quality": 5, "descend_function": 11, "figure_projection": 1}),
        ("claims", {"measure_quality": 5, "descend_function": 11, "judge_claims": 5}),
        (
            "lr_search_functions",
            {
                "search_function": 8,
                "compare_rates": 8,
                "collect_searches": 1,
                "figure_found_rates": 1,
            },
        ),
        (
            "lr_search_angles",
            {"search_function": 3, "compare_rates": 3, "figure_search_angles": 1},
        ),
        ("lr_search_fc", {"search_network": 4, "train_network": 40, "table_search_fc": 1}),
        (
            "lr_search",
            {"search_function": 11, "search_network": 8, "collect_searches": 5, "judge_claims": 4},
        ),
    ],
)
def test_targets(tmp_path, target, jobs):
    planned = Project(tmp_path).planned(target)
    assert planned | jobs == planned


PAPERS = {
    "quality": {"measure_quality": 23},
    "functions": {"descend_function": 264},
    "angles": {"measure_quality": 6, "descend_function": 14},
    "fc": {"prepare_data": 1, "train_network": 72},
    "sota": {"prepare_data": 2, "train_network": 96},
    "lr_search_functions": {"search_function": 264, "compare_rates": 264},
    "lr_search_angles": {"search_function": 14, "compare_rates": 14},
    "lr_search_fc": {"prepare_data": 1, "search_network": 24, "train_network": 240},
    "lr_search_sota": {"prepare_data": 2, "search_network": 32, "train_network": 320},
}
"""Jobs of each section's target at the paper's scale, but for what shows them."""
RUNS = {rule for jobs in PAPERS.values() for rule in jobs}


@pytest.fixture(scope="module")
def at_scale(tmp_path_factory) -> Project:
    """Nothing is there, and everything is asked for at the paper's scale."""
    project = Project(tmp_path_factory.mktemp("scale"))
    (project.home / "tests/tiny.yaml").write_text("{}")
    return project


@pytest.mark.parametrize("target", PAPERS)
def test_a_target_runs_its_own_section_alone(at_scale, target):
    planned = at_scale.planned(target)
    assert {rule: count for rule, count in planned.items() if rule in RUNS} == PAPERS[target]
    section = next(one for one in contents.SECTIONS.values() if one.target == target)
    shown = {f"figure_{one.name}" for one in section.figures}
    shown |= {f"table_{one.name}" for one in section.tables}
    drawn = {rule for rule in planned if rule.startswith(("figure_", "table_"))}
    assert drawn == shown


@pytest.mark.parametrize(
    ("target", "config", "jobs"),
    [
        ("sota", 'networks={"sota": {"models": ["vit"]}}', {"prepare_data": 2, "train_network": 48}),
        ("sota", 'networks={"sota": {"datasets": ["mnist"]}}', {"prepare_data": 1, "train_network": 48}),
        ("fc", 'networks={"fc": {"widths": [256]}}', {"prepare_data": 1, "train_network": 24}),
        ("functions", 'functions={"functions": ["sphere"]}', {"descend_function": 88}),
        ("lr_search_sota", 'networks={"sota": {"models": ["vit"], "datasets": ["mnist"]}}',
         {"prepare_data": 1, "search_network": 8, "train_network": 80}),
    ],
)  # fmt: skip
def test_a_part_of_a_section(at_scale, target, config, jobs):
    """One model, data set or function alone, with the figures of that."""
    planned = jobs_of(at_scale.run(target, options=("--dry-run", "--config", config)))
    assert {rule: count for rule, count in planned.items() if rule in RUNS} == jobs
    assert planned | {"judge_claims": 1} == planned


@pytest.mark.slow
def test_one_core_or_two(finished, tmp_path):
    alone = Project(tmp_path)
    of = {name: path for name, path in finished.runs().items() if not name.startswith("sota")}
    alone.run(*(str(path.relative_to(finished.work)) for path in of.values()), cores=1)
    assert of.keys() == alone.runs().keys()
    for name, path in of.items():
        pd.testing.assert_frame_equal(values(alone.runs()[name]), values(path), check_exact=True)


def test_a_dry_run_imports_no_torch(finished):
    command = finished.command()
    command[1:1] = ["-X", "importtime"]
    command[command.index("--")] = "--dry-run"
    done = subprocess.run(
        command, capture_output=True, text=True, env=finished.environment(), check=True
    )
    assert "fgrad.plan.status" in done.stderr
    assert not re.search(r"\| +(torch|matplotlib|seaborn)$", done.stderr, re.M)


def test_the_report_has_every_figure_and_table(project):
    project.run(options=("--report", str(project.work / "report.html")))
    report = (project.work / "report.html").read_text()
    for name in FIGURES | TABLES:
        assert name.replace("_", " ") in report
    for words in ("Claims", *(section.heading for section in contents.PAPER)):
        assert words in report
    for section in contents.PAPER:
        one: Any
        for one in (*section.figures, *section.tables):
            assert json.dumps(one.caption[:20])[1:-1] in report
