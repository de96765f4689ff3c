"""The project through ``profiles/slurm`` on a real Slurm: the same values, and no GPU twice."""

import time

import pytest
from slurm import Cluster, Submitted, assert_same_values

pytestmark = pytest.mark.slurm

TARGETS = ("results/summary/functions.parquet", "results/summary/fc.parquet")


@pytest.fixture
def project(tmp_path, cluster) -> Submitted:
    project = Submitted(tmp_path / "cluster", cluster)
    tiny = project.home / "tests/tiny.yaml"
    tiny.write_text(tiny.read_text().replace("epochs: 1\n", "epochs: 40\n"))
    return project


def test_the_same_values_on_distinct_gpus(project: Submitted, cluster: Cluster, tmp_path):
    local = project.local(tmp_path / "local")
    started = project.start(*TARGETS)
    seen = set()
    while started.poll() is None:
        seen.add(frozenset(cluster.scripts("train_network")))
        time.sleep(0.2)
    project.end(started)
    for at_once in seen:
        assert len({(script.node, script.gpu) for script in at_once}) == len(at_once)
    assert max(map(len, seen)) == 4  # of four GPUs
    assert None not in {script.gpu for at_once in seen for script in at_once}
    local.run(*TARGETS)
    assert_same_values(project, local)
