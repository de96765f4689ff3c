"""What ends a job from outside: the run goes on from its checkpoint and ends with the same numbers."""

from pathlib import Path

import pandas as pd
import pytest
from projects import Project, values
from slurm import TARGET, Cluster, halted, wait_for

pytestmark = pytest.mark.slurm


def log_of(project: Project) -> Path:
    return project.work / TARGET.replace("/runs/", "/logs/").replace(".parquet", ".log")


def assert_resumed(project: Project, undisturbed: Project) -> None:
    assert "resumed after epoch" in log_of(project).read_text()
    one, other = values(project.work / TARGET), values(undisturbed.work / TARGET)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not list((project.work / TARGET).parent.glob(".*.checkpoint"))


def since(cluster: Cluster, before: dict[int, str]) -> list[str]:
    """States of the jobs that were submitted after others."""
    return [state for job, state in cluster.jobs().items() if job not in before]


def test_cancelled_and_started_again(project, undisturbed, cluster):
    started = project.start(TARGET, options=("--retries", "0"))
    job = halted(project, cluster)
    cluster.cancel(job)
    project.end(started, ok=False)
    assert cluster.jobs()[job] == "CANCELLED"
    assert not (project.work / TARGET).exists()
    project.run(TARGET)
    assert_resumed(project, undisturbed)


def test_out_of_time(project, undisturbed, cluster):
    """The only checkpoint is the one that is saved when Slurm says so."""
    option = "checkpoint_minutes: Annotated[float, Field(ge=0, le=10**6)] = "
    project.edit("src/fgrad/options/networks.py", f"{option}0", f"{option}60")
    before = cluster.jobs()
    started = project.start(TARGET)
    log = log_of(project)
    wait_for("an epoch", lambda: log.exists() and "epoch 5/60" in log.read_text())
    assert not list((project.work / TARGET).parent.glob(".*.checkpoint"))
    (script,) = cluster.scripts("train_network")
    script.halt()
    job = script.job
    cluster.expire(job)
    project.end(started)
    assert since(cluster, before) == ["TIMEOUT", "COMPLETED"]
    assert_resumed(project, undisturbed)


def test_out_of_memory(project, undisturbed, cluster):
    project.edit("rules/resources.smk", '"fc": [4000, 480]', '"fc": [700, 480]')
    before = cluster.jobs()
    project.run(TARGET)
    assert since(cluster, before) == ["FAILED", "COMPLETED"]
    asked = [cluster.job(job)["MinMemoryNode"] for job in cluster.jobs() if job not in before]
    assert asked == ["700M", "1050M"]
    (log,) = (project.work / ".snakemake/slurm_logs").rglob("*.log")  # of what failed
    assert "Exceeded job memory limit" in log.read_text()
    one, other = values(project.work / TARGET), values(undisturbed.work / TARGET)
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_node_is_lost(project, undisturbed, cluster):
    """Slurm puts its job back into the queue; the attempt is the same."""
    before = cluster.jobs()
    started = project.start(TARGET)
    job = halted(project, cluster)
    node = cluster.job(job)["NodeList"]
    cluster.lose_node(node)
    try:
        wait_for("it is back in the queue", lambda: cluster.jobs()[job] == "PENDING")
        assert cluster.node_states()[node] == "DOWN"
        # Slurm lets two minutes pass before it starts a job again
        cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
        project.end(started)
    finally:
        cluster.start_node(node)
    wait_for("the node is back", lambda: set(cluster.node_states().values()) == {"IDLE"})
    assert since(cluster, before) == ["COMPLETED"]
    assert_resumed(project, undisturbed)
