"""Finished runs that workflow tests look at or copy, made once for all workers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from projects import Project

Make = Callable[[Project], object]
MadeOnce = Callable[[str, Make], Project]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> MadeOnce:
    """Projects by name, which the first worker makes and the others find.

    In the folder FGRAD_MADE later runs of the same tree find them as well.
    """
    base = tmp_path_factory.getbasetemp()
    # the folder above that of a worker is the run's own, above that of a lone process it is not
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    base = Path(os.environ.get("FGRAD_MADE", base))

    def made(name: str, make: Make) -> Project:
        home = base / name
        with FileLock(f"{home}.lock"):
            project = Project(home)
            if not (home / "made").exists():
                make(project)
                (home / "made").touch()
        return project

    return made


@pytest.fixture(scope="session")
def finished(made_once) -> Project:
    """A finished run; tests that change it copy it first."""
    return made_once("finished", lambda project: project.run())


@pytest.fixture(scope="session")
def searched(finished, made_once) -> Project:
    """A finished run that searched for its learning rates: from search to figures in one go."""

    def make(project: Project) -> None:
        shutil.copytree(finished.work, project.work, symlinks=True, dirs_exist_ok=True)
        project.search()
        project.run()

    return made_once("searched", make)


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A finished run that may be changed, in another place."""
    return finished.copy(tmp_path / "copy")


@pytest.fixture
def searched_project(searched, tmp_path) -> Project:
    """A finished run with searched rates that may be changed, in another place."""
    return searched.copy(tmp_path / "copy")
