"""Ideas of the user's own, from files outside of the project, in the workflow."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from projects import Project, jobs_of

from fgrad.store import parquet

pytestmark = pytest.mark.workflow

IDEAS = '''
"""Own ideas."""

import helpers
import torch

from fgrad import Function


def halved(tangents, derivatives):
    return helpers.factor() * derivatives / derivatives.shape[-1]


class biased:
    def __init__(self):
        self.last = None

    def __call__(self, size, generator, *, dtype):
        v = torch.randn(size, generator=generator, dtype=dtype)
        return v if self.last is None else v + self.last.to(dtype)

    def update(self, estimate):
        self.last = torch.nn.functional.normalize(estimate, dim=0)


def _value(x):
    return x.square().sum(-1)


bowl = Function(_value, (1, 1), lambda n: 0.0)
'''
OVERLAY = """
learning_rates: missing
gradients:
  halved: {aggregation: "ideas.py:halved", k: [2]}
  biased: {aggregation: projection, sampler: "ideas.py:biased", k: [2]}
functions:
  functions: [sphere, "ideas.py:bowl"]
  steps: {"ideas.py:bowl": 40}
"""
OWN = ("halved_k2", "biased_k2")


class Ideas:
    """A project, and files of the user's own beside an overlay elsewhere."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder

    def run(self, *options: str, ok: bool = True) -> str:
        return self.project.run(
            "functions", options=(*options, "--configfile", *self.overlays()), ok=ok
        )

    def overlays(self) -> list[str]:
        return [str(self.project.home / "tests/tiny.yaml"), str(self.folder / "ideas.yaml")]

    def planned(self) -> dict[str, int]:
        return {
            rule: n for rule, n in jobs_of(self.run("--dry-run")).items() if rule != "functions"
        }

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))


def of(project: Project) -> Ideas:
    return Ideas(project, project.work.parent / "own")


@pytest.fixture(scope="session")
def done(made_once) -> Ideas:
    def make(project: Project) -> None:
        ideas = of(project)
        ideas.folder.mkdir()
        (ideas.folder / "ideas.py").write_text(IDEAS)
        (ideas.folder / "helpers.py").write_text("def factor():\n    return 0.5\n")
        (ideas.folder / "ideas.yaml").write_text(OVERLAY)
        planned = ideas.planned()
        # rates of the tables are used; those that they lack are searched for
        assert (planned["descend_function"], planned["search_function"]) == (12, 8)
        assert planned["try_own"] == 3
        ideas.run()

    return of(made_once("ideas", make))


@pytest.fixture
def ideas(done, tmp_path) -> Ideas:
    shutil.copytree(done.folder, tmp_path / "ideas")
    return Ideas(done.project.copy(tmp_path / "copy"), tmp_path / "ideas")


def test_they_are_in_figures_tables_and_results(done):
    paper = done.project.work / "results/paper"
    rates = pd.read_csv(paper / "tables/learning_rates.csv")
    assert {"halved", "biased", "frog", "bp"} <= set(rates["gradient"])
    assert set(rates["function"]) == {"sphere", "bowl"}
    assert "halved" in (paper / "tables/final_values.md").read_text()
    assert (paper / "figures/final_values.pdf").exists()
    frame = parquet.read(done.project.work / "results/runs/functions/bowl/n2/halved_k2.parquet")
    assert set(frame["function"]) == {"bowl"}
    known = parquet.provenance(
        done.project.work / "results/runs/functions/bowl/n2/halved_k2.parquet"
    )
    assert known["sources"]["ideas.py"] == IDEAS
    assert done.planned() == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "runs"),
    [
        ("ideas.py", '"""Own ideas."""', '"""Ideas of my own."""', set()),
        ("ideas.py", "    return helpers", "    # half\n    return helpers", set()),
        ("helpers.py", "0.5", "0.25", {"sphere/n2/halved_k2", "bowl/n2/halved_k2"}),
        (
            "ideas.py",
            "+ self.last",
            "+ 2 * self.last",
            {"sphere/n2/biased_k2", "bowl/n2/biased_k2"},
        ),
        ("ideas.py", "return x.square()", "return 2 * x.square()", "bowl"),
    ],
    ids=["a docstring", "a comment", "what one imports", "a sampler", "a function"],
)
def test_an_edit_reruns_the_runs_that_use_it(file, old, new, runs, ideas):
    ideas.edit(file, old, new)
    output = ideas.run("--dry-run")
    again = set(re.findall(r"gradient descent, functions/(\S+)", output))
    if runs == "bowl":
        ways = ("bp", "fg-mean_k1", "fg-mean_k2", "frog_k2", *OWN)
        runs = {f"bowl/n2/{way}" for way in ways}
    assert again == runs


@pytest.mark.slow
def test_jobs_need_no_file_once_they_were_handed_out(ideas):
    """As on another machine: what is handed over holds the texts."""
    ideas.edit("helpers.py", "0.5", "0.125")
    gone = ideas.folder / "ideas.py"

    command = ideas.project.command("functions")[:-2]
    command += ["--configfile", *ideas.overlays(), "--", "functions"]
    with subprocess.Popen(
        command, env=ideas.project.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        for line in started.stdout:
            if "Execute" in line and gone.exists():  # the first job starts: all has been read
                gone.unlink()
                (ideas.folder / "helpers.py").unlink()
    assert started.returncode == 0
    made = ideas.project.work / "results/runs/functions/sphere/n2/halved_k2.parquet"
    assert "0.125" in parquet.provenance(made)["sources"]["helpers.py"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("ideas.yaml", "ideas.py:halved", "ideas.py:gone", "config: ideas.py:gone: "),
        ("ideas.yaml", "ideas.py:halved", "none.py:halved", "config: none.py:halved: there is no file"),
        ("ideas.yaml", "ideas.py:halved", "../ideas.py:halved", "must lead to a file below"),
        ("ideas.py", "def halved(tangents, derivatives):", "def halved(tangents, derivatives:", "ideas.py, line 10"),
        ("ideas.yaml", '"ideas.py:bowl"', '"ideas.py:sphere"', "fgrad has a sphere of its own; rename it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_any_job(file, old, new, message, ideas):
    ideas.edit(file, old, new)
    if "sphere" in message:
        ideas.edit("ideas.py", "bowl = Function", "sphere = Function")
    output = ideas.run("--dry-run", ok=False)
    (line,) = [line for line in output.splitlines() if message in line]
    assert "Traceback" not in output
    assert line.startswith("config: ")


@pytest.mark.slow
def test_what_does_not_fit_is_said_before_what_uses_it(ideas):
    ideas.edit("ideas.py", "* derivatives / derivatives.shape[-1]", "* derivatives.sum(-1)")
    output = ideas.run(ok=False)
    assert "ideas.py:halved: gives torch.float32 []" in output
    assert not re.search(r"gradient descent, functions/\S+/halved", output)
