"""What a short row costs on a cluster: a Slurm on this machine, and the same rows without it.

python benchmarks/cluster.py; the packages slurm-wlm and munge must be installed.
"""

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

from projects import Project
from slurm import Cluster, Submitted

ROWS = """
functions:
  functions: [sphere]
  n: [4, 16, 64, 256]
  steps: {sphere: 40, rosenbrock: 40, styblinski-tang: 40}
"""
TARGET = "results/summary/functions.parquet"


def seconds_of_rows(project: Project) -> list[float]:
    """Seconds that each row's script took."""
    tables = (project.work / "results/benchmarks/functions").rglob("*.tsv")
    return [float(path.read_text().splitlines()[1].split("\t")[0]) for path in tables]


def submitted(cluster: Cluster) -> tuple[list[float], list[float]]:
    """Seconds that each submission waited, and was at work."""
    waited, worked = [], []
    for number in cluster.jobs():
        job = cluster.job(number)
        asked, begun, ended = (
            datetime.fromisoformat(job[key]) for key in ("SubmitTime", "StartTime", "EndTime")
        )
        waited.append((begun - asked).total_seconds())
        worked.append((ended - begun).total_seconds())
    return waited, worked


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory(prefix="fgrad-") as folder:
        home = Path(folder)
        (home / "slurm").mkdir()
        cluster = Cluster(home / "slurm")
        try:
            cluster.start()
            project = Submitted(home / "cluster", cluster)
            (project.home / "tests/tiny.yaml").write_text(ROWS)
            local = project.local(home / "local")
            project.end(project.start(TARGET), seconds=900)
            waited, worked = submitted(cluster)
        finally:
            cluster.stop()
        rows = seconds_of_rows(project)
        beside = (worked[0] - sum(rows)) / len(rows)
        print(f"{len(waited)} submissions; in the queue for {', '.join(map(str, waited))} s")
        print(f"{len(rows)} rows in one of {worked[0]:.0f} s: {sum(rows):.0f} s of rows,")
        print(f"{beside:.2f} s for each row beside its work")
        begun = time.monotonic()
        local.run(TARGET, cores=1)
        wall, rows = time.monotonic() - begun, seconds_of_rows(local)
        print(f"on this machine alone {wall:.0f} s: {sum(rows):.0f} s of rows")


if __name__ == "__main__":
    main()
