# What to run: configuration and tables, read once, checked before any job.

from pathlib import Path

from filelock import FileLock, Timeout

from fgrad.plan import runs as settings
from fgrad.errors import ConfigError
from fgrad.store.files import check_writable
from fgrad.store.source import fingerprint

try:
    CONFIG, RUNS = settings.load(config, Path(workflow.basedir) / "config")
    check_writable(Path("results"))
except ConfigError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    section="[a-z_]+",


# Released by the operating system when the process ends, however it ends: after a kill the same
# command goes on, and two runs in one folder are still refused. Snakemake's own lock is off.
LOCK = FileLock(".snakemake/fgrad.lock")


onstart:
    try:
        LOCK.acquire(timeout=0)
    except Timeout:
        raise WorkflowError(
            "another run is at work in this folder; wait for it to end"
        ) from None


def runs_of(section):
    """Result files of a section's runs."""
    return expand(
        "results/runs/{section}/{name}.parquet",
        section=section,
        name=getattr(RUNS, section),
    )


def run_of(wildcards):
    """The run a job is handed: a dict of plain values."""
    runs = getattr(RUNS, wildcards.section)
    if wildcards.name not in runs:
        raise WorkflowError(
            f"the configuration has no run {wildcards.section}/{wildcards.name}"
        )
    return runs[wildcards.name]


def search_of(wildcards):
    """The search a run takes its rate from; nothing for a run that has its rate."""
    search = RUNS.rate_of.get(f"{wildcards.section}/{wildcards.name}")
    return [f"results/runs/{search}.parquet"] if search else []
