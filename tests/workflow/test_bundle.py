"""Results go into a bundle, and out of it in a clone that computes nothing again."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project, values

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUNS = {
    "compare_rates", "descend_function", "measure_quality", "prepare_data", "search_function",
    "search_network", "train_network",
}  # fmt: skip
PAPER = ("figures", "tables", "claims")
RATE = ("config/learning_rates/functions.csv", "sphere,2,frog,2,")


def unpacked(project: Project, home: Path) -> Project:
    """A clone without results or records, that a bundle was unpacked in."""
    other = project.copy(home, results=False)
    bundle = project.work / "results/bundle.zip"
    command = [sys.executable, "-m", "fgrad", "unpack", str(bundle), "--directory", str(other.work)]
    subprocess.run(command, check=True, env=project.environment(), timeout=100)
    return other


def compared(project: Project, a: Path, b: Path) -> str:
    """What a comparison of two sides without a difference says."""
    command = [sys.executable, "-m", "fgrad", "compare", str(a), str(b)]
    done = subprocess.run(command, capture_output=True, text=True, env=project.environment(), timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def runs_of(jobs: dict[str, int]) -> dict[str, int]:
    return {rule: count for rule, count in jobs.items() if rule in RUNS}


def test_a_round_trip(project, tmp_path):
    assert project.planned("bundle") == {"bundle": 1}
    project.run("bundle")
    other = unpacked(project, tmp_path / "other")
    planned = other.planned(*PAPER)
    assert planned["summarize"]
    assert runs_of(planned) == {}
    other.run(*PAPER)
    for name, path in project.runs().items():
        assert other.runs()[name].read_bytes() == path.read_bytes()
    for path in (project.work / "results/summary").glob("*.parquet"):
        assert values(path).equals(values(other.work / "results/summary" / path.name)), path.name
    paper = project.work / "results/paper"
    beside = next((other.work / "results/bundles").iterdir()) / "results/paper"
    packed = {path.relative_to(beside) for path in beside.rglob("*.*")}
    made = [*paper.glob("tables/*.csv"), *paper.glob("claims/*.json")]
    assert packed == {path.relative_to(paper) for path in made}
    files = [path for path in paper.rglob("*") if path.suffix in (".png", ".csv", ".md", ".json")]
    assert len(files) > 40
    for path in files:
        there = other.work / "results/paper" / path.relative_to(paper)
        assert there.read_bytes() == path.read_bytes(), path

    said = compared(project, project.work, project.work / "results/bundle.zip")
    assert re.search(r"^claims: 0 of (19|2\d) with another verdict$", said, re.M), said

    table = other.home / RATE[0]
    row = next(line for line in table.read_text().splitlines() if line.startswith(RATE[1]))
    other.edit(RATE[0], row, f"{RATE[1]}0.0123")
    assert runs_of(other.planned(*PAPER)) == {"descend_function": 1}


def test_partial_and_searched(searched_project, tmp_path):
    """Half of the results: the rest is computed as ever, rates are not searched for again."""
    project = searched_project
    training = next(path for name, path in project.runs().items() if name.startswith("fc/"))
    project.run("results/lr_search/angles.csv")
    training.unlink()
    shutil.rmtree(project.work / "results/runs/functions")
    project.run("bundle")
    other = unpacked(project, tmp_path / "other")
    planned = runs_of(other.planned("functions", "fc"))
    assert planned == {"descend_function": 8, "train_network": 1, "prepare_data": 1}
    (beside,) = (other.work / "results/bundles").iterdir()
    known = json.loads((beside / "bundle.json").read_text())
    assert known["sections"]["functions"] == {"asked": 8, "finished": 0}
    assert [path.name for path in (beside / "results/lr_search").iterdir()] == ["angles.csv"]
