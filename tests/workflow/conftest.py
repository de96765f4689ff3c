"""Finished runs that workflow tests look at or copy, made once for all workers."""

import os
from collections.abc import Callable

import pytest
from filelock import FileLock
from projects import Project


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Project], object]
) -> Project:
    """A project that the first worker makes and the others find."""
    base = tmp_path_factory.getbasetemp()
    # the folder above that of a worker is the run's own, above that of a lone process it is not
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{home}.lock"):
        project = Project(home)
        if not (home / "made").exists():
            make(project)
            (home / "made").touch()
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A finished run; tests that change it copy it first."""
    return made_once(tmp_path_factory, "finished", lambda project: project.run())


@pytest.fixture(scope="session")
def searched(tmp_path_factory) -> Project:
    """A finished run that searched for its learning rates: from search to figures in one go."""

    def make(project: Project) -> None:
        project.search()
        project.run()

    return made_once(tmp_path_factory, "searched", make)


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A finished run that may be changed, in another place."""
    return finished.copy(tmp_path / "copy")


@pytest.fixture
def searched_project(searched, tmp_path) -> Project:
    """A finished run with searched rates that may be changed, in another place."""
    return searched.copy(tmp_path / "copy")
