"""The project through ``profiles/slurm`` on a real Slurm: the same values, and no GPU twice."""

import shutil
import time

import pytest
from slurm import Cluster, Submitted, assert_same_values

pytestmark = pytest.mark.slurm

TARGETS = ("results/summary/functions.parquet", "results/summary/fc.parquet")


@pytest.fixture
def project(tmp_path, cluster) -> Submitted:
    project = Submitted(tmp_path / "cluster", cluster)
    tiny = project.home / "tests/tiny.yaml"
    text = tiny.read_text().replace("epochs: 1\n", "epochs: 10\n")
    tiny.write_text(text.replace("functions: [sphere, rosenbrock]", "functions: [sphere]"))
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
    assert project.planned(*TARGETS) == {}
    local.run(*TARGETS)
    assert_same_values(project, local)


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ((), "--gpus=1"),
        (("gpu_model=a100",), "--gpus=a100:1"),
        (("gpu=0", "gres=gpu:a100:1"), "--gres=gpu:a100:1"),
    ],
)
def test_ways_to_ask_for_a_gpu(project: Submitted, resources, asked):
    """Each is taken by sbatch, which is told only to say whether it would."""
    project.programs.mkdir()
    sbatch = project.programs / "sbatch"
    real = shutil.which("sbatch")
    sbatch.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {project.work}/asked\n'
        f'{real} --test-only "$@" > {project.work}/answer 2>&1 && echo accepted >> {project.work}/answer\n'
        "exit 1\n"
    )
    sbatch.chmod(0o755)
    own = [f"train_network:{resource}" for resource in resources]
    options = ("--retries", "0", *(("--set-resources", *own) if own else ()))
    project.run("results/runs/fc/fc_w256/mnist5k/bp/seed0.parquet", options=options, ok=False)
    words = (project.work / "asked").read_text().splitlines()
    assert [word for word in words if word.startswith(("--gpus", "--gres"))] == [asked]
    assert (project.work / "answer").read_text().endswith("accepted\n")
