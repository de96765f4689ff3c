"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from projects import ROOT, jobs_of

from fgrad.store import parquet

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARTS = (
    "Snakefile", "Makefile", "rules", "workflow", "config", "profiles", "src", "tests", "docs",
    "examples", "benchmarks",
)  # fmt: skip
FILES = ("README.md", "CONTRIBUTING.md", "pyproject.toml", "requirements.lock", "environment.yml")
BLOCK = re.compile(r"(?:^(In|New file) `([^`]+)`[^\n]*:\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


@dataclass
class Recipe:
    """What a recipe says: edits of files, in order, and commands that try them."""

    edits: list[tuple[str, str, str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def follow(self, home: Path) -> None:
        """Make the edits; whatever they say is there has to be there, once."""
        for kind, file, text in self.edits:
            path = home / file
            if kind == "New file":
                assert not path.exists(), file
                path.write_text(text, encoding="utf-8")
                continue
            for hunk in text.split("@@\n"):
                lines = hunk.splitlines(keepends=True)
                assert {line[0] for line in lines} <= {" ", "+", "-"}, hunk
                before, after = (
                    "".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +")
                )
                old = path.read_text(encoding="utf-8")
                assert old.count(before) == 1, f"{file}:\n{before}"
                path.write_text(old.replace(before, after), encoding="utf-8")


def recipes() -> dict[str, Recipe]:
    """Each by the last word of its heading."""
    part = TEXT.partition("\n## Recipes\n")[2].partition("\n## ")[0]
    found = {}
    for section in part.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        recipe = found[heading.split()[-1]] = Recipe()
        for kind, file, language, text in BLOCK.findall(body):
            if language == "sh":
                recipe.commands += text.splitlines()
            else:
                assert (kind, language) in (("In", "diff"), ("New file", "python")), file
                recipe.edits.append((kind, file, text))
    return found


RECIPES = recipes()


@pytest.fixture
def home(tmp_path) -> Path:
    """A copy of the project that has been set up."""
    for part in PARTS:
        source, target = ROOT / part, tmp_path / part
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(source, target)
    for file in FILES:
        shutil.copy2(ROOT / file, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.ready").touch()
    return tmp_path


def run(command: str, home: Path) -> str:
    """A line of a recipe, in the copy, with this Python and its commands."""
    words = shlex.split(command)
    if words[0] == "make":
        words += ["RUN="]
    if words[0] == "pytest":
        words += ["-n0", "-p", "no:cacheprovider", "--strict-config"]
    own = {"PYTHONPATH": str(home / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=home, env=os.environ | own, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}\n{output}"
    return output


def followed(name: str, home: Path) -> list[str]:
    """A recipe followed; what its commands said."""
    recipe = RECIPES[name]
    assert recipe.edits
    assert recipe.commands
    recipe.follow(home)
    return [run(command, home) for command in recipe.commands]


def test_every_recipe_is_tried_here():
    assert {*RECIPES} == {"gradient", "function", "model", "set", "figure", "claim", "section"}


@pytest.mark.slow
def test_a_gradient(home):
    followed("gradient", home)
    frame = parquet.read(home / "signed.parquet")
    cosine = frame.groupby(["aggregation", "k"])["cosine"].mean()
    assert cosine["signed", 16] > cosine["signed", 4] > 0
    assert cosine["projection", 16] > cosine["signed", 16]


@pytest.mark.slow
def test_a_function(home):
    followed("function", home)
    value = parquet.read(home / "quartic.parquet")["value"]
    assert value.iloc[0] == 8
    assert value.iloc[-1] < 1


@pytest.mark.slow
def test_a_model(home):
    followed("model", home)
    frame = parquet.read(home / "shallow.parquet")
    assert frame["val_loss"].iloc[-1] < frame["val_loss"].iloc[0]


@pytest.mark.slow
def test_a_data_set(home):
    followed("set", home)
    assert parquet.read(home / "stripes.parquet")["val_accuracy"].iloc[-1] > 0.8


@pytest.mark.slow
def test_a_figure(home):
    followed("figure", home)
    assert (home / "docs/paper/figures/steps.png").read_bytes().startswith(b"\x89PNG")
    page = (home / "docs/paper/README.md").read_text(encoding="utf-8")
    assert "> Steps until the descents of section 4.2 stop, mean over 5 seeds.\n" in page


@pytest.mark.slow
def test_a_claim(home):
    followed("claim", home)
    page = (home / "docs/paper/claims.md").read_text(encoding="utf-8")
    assert "## enough-tangents-give-the-gradient: holds\n" in page


@pytest.mark.slow
@pytest.mark.workflow
def test_a_section(home):
    dry, _ = followed("section", home)
    expected = {"measure_quality": 1, "summarize": 1, "table_directions": 1, "directions": 1}
    assert jobs_of(dry) == expected


@pytest.mark.slow
def test_all_of_them_beside_each_other_pass_the_linters(home):
    if (ROOT / ".mypy_cache").exists():  # of the files that no recipe changes
        shutil.copytree(ROOT / ".mypy_cache", home / ".mypy_cache")
    for recipe in RECIPES.values():
        recipe.follow(home)
    for command in ("ruff format --check .", "ruff check .", "lint-imports", "mypy"):
        run(command, home)
