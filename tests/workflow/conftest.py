"""Finished runs that workflow tests look at or copy."""

from collections.abc import Iterator

import pytest
from support.project import Project, changeable


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A finished run; tests that change it copy it first."""
    project = Project(tmp_path_factory.mktemp("finished"))
    project.run()
    return project


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Project:
    """A finished run that searched for its learning rates: from search to figures in one go."""
    project = Project(tmp_path_factory.mktemp("searched"))
    project.search()
    project.run()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Iterator[Project]:
    """A finished run that may be changed."""
    yield from changeable(finished, tmp_path)


@pytest.fixture
def searched_project(searched, tmp_path) -> Iterator[Project]:
    """A finished run with searched rates that may be changed."""
    yield from changeable(searched, tmp_path)
