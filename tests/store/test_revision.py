"""The commit a result records: of the code's own checkout, or none with the reason."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fgrad.store import revision

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")


def git(folder: Path, *command: str) -> str:
    done = subprocess.run([*GIT, *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def made(folder: Path) -> Path:
    """A file in a repository that has it in a commit."""
    file = folder / "src/fgrad/a.py"
    file.parent.mkdir(parents=True)
    file.write_text("a = 1\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    return file


@pytest.fixture
def file(tmp_path) -> Path:
    return made(tmp_path / "own")


def head(file: Path) -> str:
    return git(file.parent, "rev-parse", "HEAD")


def test_the_commit_and_whether_the_tree_was_changed(file):
    assert revision.recorded(file) == {"commit": head(file)}
    git(file.parent, "tag", "-a", "v1", "-m", "v1")  # a tag can be moved
    assert revision.recorded(file) == {"commit": head(file)}
    (file.parent / "notes").touch()
    assert revision.recorded(file) == {"commit": head(file)}
    file.write_text("a = 2\n")
    assert revision.recorded(file) == {"commit": f"{head(file)}-dirty"}


def in_a_worktree(file: Path) -> Path:
    git(file.parent, "worktree", "add", "--quiet", "--detach", str(file.parents[3] / "tree"))
    return file.parents[3] / "tree/src/fgrad/a.py"


def in_a_submodule(file: Path) -> Path:
    other = made(file.parents[3] / "other")
    git(other.parents[2], "submodule", "add", "--quiet", str(file.parents[2]), "sub")
    return other.parents[2] / "sub/src/fgrad/a.py"


def without_history(file: Path) -> Path:
    git(file.parents[3], "clone", "--quiet", "--depth=1", f"file://{file.parents[2]}", "shallow")
    return file.parents[3] / "shallow/src/fgrad/a.py"


@pytest.mark.parametrize("place", [in_a_worktree, in_a_submodule, without_history])
def test_checkouts_of_every_kind(place, file):
    assert revision.recorded(place(file)) == {"commit": head(file)}


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"]
)
def test_the_environment_of_another_repository_changes_nothing(name, file, tmp_path, monkeypatch):
    other = made(tmp_path / "other")
    expected = {"commit": head(file)}
    monkeypatch.setenv(name, str(other.parents[2] / ".git"))
    assert revision.recorded(file) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_checkout_of_another_owner(file, monkeypatch, tmp_path):
    commit = head(file)
    for path in (file.parents[2], *file.parents[2].rglob("*")):
        os.chown(path, 65534, 65534)
    monkeypatch.setenv("HOME", str(tmp_path))  # nothing is declared safe there
    assert revision.recorded(file) == {"commit": commit}


def test_nothing_is_written_and_nothing_run(file, tmp_path):
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    hook.chmod(0o755)
    git(file.parent, "config", "core.fsmonitor", str(hook))
    os.utime(file, (1, 1))  # git would write down that this is the same file
    index = file.parents[2] / ".git/index"
    before = index.read_bytes()
    assert revision.recorded(file) == {"commit": head(file)}
    assert index.read_bytes() == before
    assert not (tmp_path / "run").exists()


def an_environment(file: Path) -> Path:
    """Below a checkout of somebody else, ignored there or not."""
    inside = file.parents[2] / ".venv/lib/fgrad/a.py"
    inside.parent.mkdir(parents=True)
    shutil.copy(file, inside)
    return inside


def an_ignored_one(file: Path) -> Path:
    (file.parents[2] / ".gitignore").write_text(".venv\n")
    return an_environment(file)


def an_archive(file: Path) -> Path:
    shutil.rmtree(file.parents[2] / ".git")
    return file


def a_repository_of_nothing(file: Path) -> Path:
    git(an_archive(file).parent, "init", "--quiet")
    git(file.parent, "add", ".")
    return file


def a_damaged_one(file: Path) -> Path:
    (file.parents[2] / ".git/HEAD").write_text("ref: refs/heads/none\n")
    return file


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (an_environment, "the code lies in no checkout of its own"),
        (an_ignored_one, "the code lies in no checkout of its own"),
        (an_archive, "not a git repository"),
        (a_repository_of_nothing, "fatal: "),
        (a_damaged_one, "fatal: "),
    ],
)
def test_none_with_the_reason(place: Callable[[Path], Path], reason, file, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    found = revision.recorded(place(file))
    assert found["commit"] is None
    assert reason in str(found["no_commit"])
    assert len(str(found["no_commit"]).splitlines()) == 1


def test_without_git(file, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision.recorded(file) == {"commit": None, "no_commit": "git is not installed"}


def test_a_git_that_cannot_be_run(file, monkeypatch, tmp_path):
    (tmp_path / "git").write_text("")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = revision.recorded(file)
    assert found["commit"] is None
    assert str(found["no_commit"]).startswith("git: ")
