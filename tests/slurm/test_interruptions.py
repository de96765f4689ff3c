"""What happens to the main process, the configuration and the disk while jobs are in the queue."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from projects import Project, values
from slurm import RUN, TARGET, Cluster, halted, wait_for

from fgrad.store import files, lease, parquet

pytestmark = pytest.mark.slurm

ENDED = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"}


def go_on(cluster: Cluster) -> None:
    for script in cluster.scripts("train_network"):
        os.kill(script.pid, signal.SIGCONT)


def log(project: Project) -> str:
    return (project.work / f"results/logs/{RUN}.log").read_text()


def assert_same(project: Project, undisturbed: Project) -> None:
    found, wanted = values(project.work / TARGET), values(undisturbed.work / TARGET)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def since(cluster: Cluster, before: dict[int, str]) -> dict[int, str]:
    return {job: state for job, state in cluster.jobs().items() if job not in before}


def test_reported_late(project, undisturbed, cluster):
    """The file was written, then the time was up: the next attempt takes the finished copy."""
    script = project.home / "workflow/scripts/train_network.py"
    script.write_text(
        f"import time\nfrom pathlib import Path\n{script.read_text()}"
        "    if not Path('late').exists():\n"
        "        Path('late').touch()\n"
        "        time.sleep(600)\n"
    )
    before = cluster.jobs()
    started = project.start(TARGET)
    wait_for("the file is written", (project.work / "late").exists)
    assert (project.work / TARGET).exists()
    (job,) = since(cluster, before)
    cluster.expire(job)
    project.end(started)
    assert list(since(cluster, before).values()) == ["TIMEOUT", "COMPLETED"]
    assert "computed before and not summarised yet" in log(project)
    assert "epoch" not in log(project)
    assert_same(project, undisturbed)


@pytest.fixture
def killed(project, cluster) -> Iterator[int]:
    """A training of a main process that was killed."""
    started = project.start(TARGET)
    job = halted(project, cluster)
    started.kill()
    started.wait()
    yield job
    go_on(cluster)
    if cluster.jobs().get(job) not in ENDED:
        cluster.cancel(job)


def test_the_main_process_is_killed_and_its_jobs_are_waited_for(
    project, undisturbed, cluster, killed
):
    before = cluster.jobs()
    output = project.run(TARGET, ok=False)
    assert f"Slurm job {killed} (rule_train_network), running" in output
    assert f"{lease.lease_of(Path(TARGET))}: process" in output
    assert "start again with --config orphans=wait, or orphans=cancel" in output
    started = project.start(TARGET, options=("--config", "orphans=wait"))
    out = project.work / "out"
    wait_for("it waits", lambda: "waiting for them to end" in out.read_text())
    go_on(cluster)
    project.end(started)
    assert list(since(cluster, before).values()) == ["COMPLETED"]
    assert cluster.jobs()[killed] == "COMPLETED"
    assert "computed before and not summarised yet" in log(project)
    assert_same(project, undisturbed)


def test_the_main_process_is_killed_and_its_jobs_are_cancelled(
    project, undisturbed, cluster, killed
):
    project.run(TARGET, options=("--config", "orphans=cancel"))
    assert cluster.jobs()[killed] == "CANCELLED"
    assert "resumed after epoch" in log(project)
    assert_same(project, undisturbed)


def test_interrupted_by_hand(project, undisturbed, cluster):
    """Ctrl-C cancels what was submitted; the same command goes on."""
    started = project.start(TARGET)
    job = halted(project, cluster)
    started.send_signal(signal.SIGINT)
    project.end(started, ok=False)
    wait_for("it is cancelled", lambda: cluster.jobs()[job] == "CANCELLED", 60)
    project.run(TARGET)
    assert "resumed after epoch" in log(project)
    assert_same(project, undisturbed)


def test_requeued(project, undisturbed, cluster):
    """As by preemption: the same job starts again and goes on."""
    started = project.start(TARGET)
    job = halted(project, cluster)
    before = cluster.jobs()
    cluster.ask("scontrol", "requeue", str(job))
    wait_for("it is back in the queue", lambda: cluster.jobs()[job] == "PENDING", 60)
    # Slurm lets two minutes pass before it starts a job again
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    project.end(started)
    assert not since(cluster, before)
    assert "resumed after epoch" in log(project)
    assert_same(project, undisturbed)


def test_the_configuration_is_edited_while_a_job_is_queued(project, cluster):
    """The job runs what it was handed; the next start makes what is asked for now."""
    table = "config/learning_rates/networks.csv"
    row = next(
        line
        for line in (project.home / table).read_text().splitlines()
        if line.startswith("fc,fc,256,mnist,frog,2,")
    )
    for node in ("n1", "n2"):
        cluster.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    before = cluster.jobs()
    started = project.start("results/summary/fc.parquet")
    wait_for("jobs are queued", lambda: since(cluster, before))
    wait_for("all of them", lambda: len(since(cluster, before)) >= 4)
    project.edit(table, row, f"{row.rsplit(',', 1)[0]},0.0123")
    for node in ("n1", "n2"):
        cluster.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    project.end(started)
    asked_for_then = parquet.provenance(project.work / TARGET)["run"]["lr"]
    assert asked_for_then == float(row.rsplit(",", 1)[1])
    planned = project.planned("results/summary/fc.parquet")
    assert planned == {"train_network": 1, "summarize": 1}
    project.run("results/summary/fc.parquet")
    assert parquet.provenance(project.work / TARGET)["run"]["lr"] == 0.0123


@pytest.fixture
def disk(project) -> Iterator[Path]:
    """A small file system of their own for the runs, that can be filled and made read-only."""
    runs = project.work / "results/runs"
    runs.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "fgrad-test", runs],
        check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("may not mount a file system here")
    yield runs
    subprocess.run(["umount", "--lazy", runs], check=True)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_disk_is_full_or_read_only_for_some_seconds(project, undisturbed, cluster, disk, fault):
    """Checkpoints are left out meanwhile, and the result is written when it can be."""
    before = cluster.jobs()
    started = project.start(TARGET)
    halted(project, cluster)
    filler = disk / "filler"
    if fault == "full":
        with filler.open("wb") as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(2**16))
                file.flush()
    else:
        mount("--bind", disk, disk)  # over itself, as files are open
        mount("-o", "remount,bind,ro", disk)
    go_on(cluster)
    wait_for("the result cannot be written", lambda: "trying again in" in log(project))
    assert "going on without this checkpoint" in log(project)
    time.sleep(3)
    if fault == "full":
        filler.unlink()
    else:
        subprocess.run(["umount", disk], check=True)
    project.end(started)
    assert list(since(cluster, before).values()) == ["COMPLETED"]
    assert files.finished(project.work / TARGET).exists()
    assert_same(project, undisturbed)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)
