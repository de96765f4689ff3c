"""Which runs a change makes stale, told from a commit."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fgrad.errors import ConfigError
from fgrad.outlook import since
from fgrad.store import fingerprint

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
FORMULA = "src/fgrad/problems/functions.py"
SPHERE = "    return x.square().sum(-1)\n"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def committed(tmp_path_factory) -> Path:
    """A repository whose last commit is the code at work, and the one before has another sphere."""
    home = tmp_path_factory.mktemp("since") / "project"
    git(home.parent, "init", "--quiet", str(home))
    (home / "notes").write_text("before there was any code")
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message", "empty")
    for part in ("src", "config", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / part, home / part, ignore=ignored)
    file = home / FORMULA
    text = file.read_text()
    assert text.count(SPHERE) == 1
    file.write_text(text.replace(SPHERE, SPHERE.replace("x.", "2 * x.")))
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message", "another sphere")
    file.write_text(text)
    config = home / "config/config.yaml"
    config.write_text(config.read_text().replace("patience: 50", "patience: 49"))
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message", "today's")
    return home


def lines(home: Path, commit: str) -> list[str]:
    fingerprint.clear()
    return list(since.lines(home, [TINY], commit))


def test_nothing_is_stale_since_the_code_at_work(committed):
    before = git(committed, "status", "--porcelain")
    assert lines(committed, "HEAD") == ["nothing: every result made at HEAD is what is asked for"]
    assert git(committed, "status", "--porcelain") == before


def test_options_and_code_are_told_apart(committed):
    told = lines(committed, "HEAD~1")
    assert "functions: 8 of 8 stale, by their options" in told
    assert "search_functions: 4 of 8 stale, by their code: sphere/n2/bp, sphere/n2/fg-mean_k1, sphere/n2/fg-mean_k2, sphere/n2/frog_k2" in told  # fmt: skip
    assert not any(line.startswith(("quality", "fc", "sota")) for line in told)


def test_what_cannot_be_told_is_refused_in_a_line(committed, tmp_path):
    for commit, why in [("nix", "no such commit here"), ("HEAD~2", "not laid out as today")]:
        with pytest.raises(ConfigError, match=why):
            lines(committed, commit)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{committed}", "shallow")
    with pytest.raises(ConfigError, match="this clone is shallow"):
        lines(tmp_path / "shallow", git(committed, "rev-parse", "HEAD~1").strip())
    shutil.copytree(committed, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))
    with pytest.raises(ConfigError, match="no git repository"):
        lines(tmp_path / "copy", "HEAD")
