"""One Slurm for all tests of a process; without its packages they are skipped."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm import Cluster, missing


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
