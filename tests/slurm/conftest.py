"""One Slurm for all tests of a process; without its packages they are skipped."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from slurm import TARGET, Cluster, Submitted, lengthen, missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if lacking := missing():
        pytest.skip(f"no {', '.join(lacking)}: apt-get install slurm-wlm munge")
    # not below pytest's folder: the path of a socket has 107 characters at most
    folder = Path(tempfile.mkdtemp(prefix="fgrad-slurm-"))
    cluster = Cluster(folder)
    try:
        try:
            cluster.start()
        except BaseException:
            print(cluster.logs())
            raise
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Project:
    """The run on this machine alone."""
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    lengthen(project)
    project.run(TARGET)
    return project


@pytest.fixture
def project(undisturbed, tmp_path, cluster) -> Submitted:
    """To be run by Slurm; its data is there."""
    project = Submitted(tmp_path, cluster)
    lengthen(project)
    shutil.copytree(undisturbed.work / "results/data", project.work / "results/data")
    return project
