"""Changelog, steps of a release, the map and the doors of the repository: they are what they say."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import fgrad
from fgrad.cli import outlook

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASE = (ROOT / "RELEASE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def versions(text: str) -> list[str]:
    """Versions of a changelog, newest first; it has the form of Keep a Changelog 1.1.0."""
    assert text.startswith("# Changelog\n")
    first, *released = text.split("\n## ")[1:]
    assert first.startswith("[Unreleased]\n")
    found = []
    for part in released:
        heading = re.match(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d\n", part)
        assert heading, part.splitlines()[0]
        found.append(heading[1])
    assert found == sorted(found, key=lambda v: [int(n) for n in v.split(".")], reverse=True)
    for part in (first, *released):
        kinds = re.findall(r"^### (.*)$", part, re.M)
        assert kinds == [kind for kind in KINDS if kind in kinds], kinds
        for section in part.split("\n### ")[1:]:
            _, *lines = section.strip().splitlines()
            assert any(line.startswith("- ") for line in lines)
            assert all(re.match(r"- \S|  \S|$", line) for line in lines)
    return found


def test_the_changelog_has_the_form_and_the_version():
    assert versions(CHANGELOG)[0] == fgrad.__version__


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## [Unreleased]", "## Unreleased"),
        ("### Added", "### New"),
        ("### Changed", "### Fixed"),
        ("[0.1.0] - ", "[0.1.0] "),
        ("\n- One public face", "\nOne public face"),
    ],
)
def test_another_form_is_noticed(old, new):
    assert old in CHANGELOG
    with pytest.raises(AssertionError):
        versions(CHANGELOG.replace(old, new, 1))


def steps() -> list[str]:
    """Commands of a release, in their order."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", RELEASE, re.M | re.S)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_the_steps_of_a_release_are_there():
    text = "\n".join(steps())
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    asked = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert asked == {"quick", "dist"}
    assert asked <= TARGETS
    files = {
        word for word in text.split() if re.fullmatch(r"[\w./-]*\w\.(py|cff|md)|\.ci/\w+", word)
    }
    written = {word for word in files if word.startswith("dist/")}
    assert files - written == {"src/fgrad/__init__.py", "CITATION.cff", "CHANGELOG.md", ".ci/run"}
    assert all((ROOT / file).is_file() for file in files - written)


def test_a_release_writes_one_version_everywhere(tmp_path):
    """The steps that edit, on copies."""
    edits = [line for line in steps() if line.startswith(("export VERSION", "sed "))]
    assert len(edits) == 6
    for file in ("src/fgrad/__init__.py", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "dist").mkdir()
    command = ["bash", "-euc", "\n".join(edits)]
    subprocess.run(command, cwd=tmp_path, check=True)
    version = edits[0].partition("=")[2]
    init = (tmp_path / "src/fgrad/__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"\n' in init
    citation = yaml.safe_load((tmp_path / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["doi"]) == (version, "10.5281/zenodo.NUMBER")
    changed = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert versions(changed) == [version, *versions(CHANGELOG)]
    notes = (tmp_path / "dist/notes.md").read_text(encoding="utf-8")
    assert notes.strip().startswith("### Added\n")
    assert notes.strip() in CHANGELOG


def test_the_map_has_the_layers_in_their_order():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    rows = re.findall(r"^\| (`.*`) \| .* \|$", CONTRIBUTING, re.M)
    shown = [row.replace("`", "").split(", ") for row in rows]
    assert shown == [layer.replace("fgrad.", "").split(" | ") for layer in layers]


def test_ci_runs_what_can_be_run_anywhere():
    """Targets of the Makefile and .ci/run, nothing of its own."""
    jobs = yaml.safe_load(WORKFLOW)["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert len(commands) == len(jobs)
    for command in commands:
        target = re.match(r"make ([a-z-]+)", command)
        assert target[1] in TARGETS if target else command.endswith(" .ci/run")
    assert set(re.findall(r"^make ([a-z-]+)$", (ROOT / ".ci/run").read_text(), re.M)) <= TARGETS


def test_what_the_pages_ask_to_make_can_be_made():
    for text in (CONTRIBUTING, (ROOT / ".github/pull_request_template.md").read_text()):
        assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b(?=[` ]*$|`)", text, re.M)) <= TARGETS


ABSENT = "import os, signal, psutil; del os.getuid, os.sysconf, os.fork, signal.SIGHUP"
"""As on Windows; psutil, which is there, finds them here."""


def test_a_system_that_does_not_tell_which_cores_are_ours(monkeypatch):
    """As macOS."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert outlook._cores() == os.cpu_count()


@pytest.mark.long
def test_the_mathematics_needs_nothing_of_posix(tmp_path):
    """And a job does: the second half is what CONTRIBUTING.md says of Windows."""
    code = (
        f"{ABSENT}\nimport fgrad, torch\nfrom torch import nn\n"
        "g = torch.Generator().manual_seed(0)\n"
        "f = fgrad.FUNCTIONS['sphere'].value\n"
        "assert fgrad.forward_gradient(f, torch.ones(8), 8, g, 'frog').isfinite().all()\n"
        "net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))\n"
        "fgrad.Perturbation(net, 'frog', 2, g)(torch.ones(3, 4), torch.tensor([0, 1, 0]))\n"
        "from fgrad import jobs\nfrom fgrad.options.functions import FunctionRun\n"
        "run = FunctionRun(function='sphere', n=2, gradient='bp', lr=0.1, steps=2)\n"
        "jobs.carry_out(run, 'descent.parquet')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "AttributeError: module 'signal' has no attribute 'SIGHUP'" in done.stderr
