"""Which jobs an edit reruns: the edit, then exactly these; undone, nothing."""

import os
import re

import pytest
from edits import BY_GIT, NOTHING, SOME

pytestmark = pytest.mark.workflow


def test_what_changes_no_number_reruns_nothing(project, finished, tmp_path):
    """All at once; if anything reruns, one by one."""
    names = sorted(NOTHING.keys() - BY_GIT)
    for name in names:
        NOTHING[name](project)
    if project.planned():
        wrong = {}
        for name in names:
            alone = finished.copy(tmp_path / name)
            NOTHING[name](alone)
            wrong[name] = alone.planned()
        raise AssertionError(wrong)


@pytest.mark.parametrize("name", sorted(BY_GIT))
def test_what_git_does_reruns_nothing(name, project):
    NOTHING[name](project)
    assert project.planned() == {}


@pytest.mark.parametrize("name", SOME)
def test_what_changes_numbers_reruns_just_that(name, project, finished):
    edit, jobs = SOME[name]
    before = {path: path.read_bytes() for path in project.home.rglob("*") if path.is_file()}
    edit(project)
    assert project.planned() == jobs
    for path, content in before.items():
        path.write_bytes(content)
    assert project.planned() == {}, "undone, it is as if it had never been"


def test_one_row_is_that_row(project):
    SOME["a learning rate"][0](project)
    rows = re.findall(r"gradient descent, (\S+)", project.run(options=("--dry-run",)))
    assert rows == ["functions/rosenbrock/n2/frog_k2"]


def test_a_foreign_umask_and_clock(project):
    """Files that are younger or older than results, and records that are of other files."""
    for path in (project.work / "results/runs").rglob("*.parquet"):
        os.utime(path, (0, 0))
    assert project.planned() == {}
