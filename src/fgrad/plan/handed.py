"""What a start of the workflow hands to its jobs, so that they run what was asked for then.

A job on another machine reads the workflow's files again when it starts, hours later perhaps, when
the configuration has been edited. So it is told the name of a file that holds what it was submitted
with, and reads that instead.
"""

import json
from pathlib import Path

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.plan.job import Job
from fgrad.plan.runs import Runs
from fgrad.plan.sections import Config
from fgrad.store import files, identity

FOLDER = Path(".snakemake/fgrad")

KEY = "handed"
"""Of the configuration of a job that was handed its runs."""


def hand(config: Config, runs: Runs) -> str:
    """Write what jobs are to run; the name by which they find it.

    Raises:
        ConfigError: if it cannot be written.
    """
    jobs = {
        section: {name: vars(job) for name, job in own.items()}
        for section, own in runs.jobs.items()
    }
    content = {"config": config.model_dump(mode="json"), "jobs": jobs, "published": runs.published}
    content |= {"reported": runs.reported, "sources": plugins.in_use()}
    text = json.dumps(content)
    name = f"h{identity.digest(text)}"  # Snakemake reads digits with an e among them as a number
    if not _file(name).exists():
        with files.atomic(_file(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return name


def take(name: str) -> tuple[Config, Runs]:
    """What was handed over under a name.

    Raises:
        ConfigError: if it is not there, or not whole.
    """
    try:
        content = json.loads(_file(name).read_text(encoding="utf-8"))
        jobs = {
            section: {
                job: Job(one["options"], tuple(one["code"]), one["search"], one["sources"])
                for job, one in own.items()
            }
            for section, own in content["jobs"].items()
        }
        plugins.use(content["sources"])  # also of what no job refers to
        return Config(**content["config"]), Runs(jobs, content["published"], content["reported"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{_file(name).absolute()}: what this job was handed cannot be read here "
            f"({str(error).splitlines()[0]}); "
            "the working folder must lie on a file system that all nodes share"
        ) from None


def drop_others(name: str) -> None:
    """Remove what earlier starts handed over; none of their jobs is at work any more."""
    for left in FOLDER.glob("*.json"):
        if left != _file(name):
            left.unlink(missing_ok=True)


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"
