# What to run: configuration and tables, read once, checked before any job; and what is stale.

import atexit
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

from fgrad import orphans
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plan import handed
from fgrad.plan import runs as settings
from fgrad.plan.status import Status
from fgrad.problems.datasets import FORMAT
from fgrad.store import files, identity, lease, shared
from fgrad.store.fingerprint import fingerprint
from fgrad.store.log import log_line

HOME = Path(str(workflow.current_basedir.join("..")))

warnings.formatwarning = lambda message, *_: f"fgrad: {message}\n"

# A job elsewhere runs what it was handed when it was submitted; whether that is stale has been told.
HANDED = config.get(handed.KEY)

try:
    if HANDED:
        CONFIG, RUNS = handed.take(HANDED)
    else:
        CONFIG, RUNS = settings.load(config, HOME / "config")
        files.check_writable(Path("results"))
    STATUS = Status(RUNS, HOME / "workflow/scripts")
    if not HANDED:
        STATUS.stale  # told now, so that what cannot be told ends the start in one line
except ConfigError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    section="[a-z_]+",


# A lease that a dead owner loses: after a kill the same command goes on, and two runs in one folder
# are still refused, on whichever nodes they are. Snakemake's own lock, which outlives a kill, is off.
AT_WORK = ExitStack()
atexit.register(AT_WORK.close)


def on_cluster():
    """Whether jobs go to Slurm's queue."""
    return workflow.executor_plugin.name == "slurm"


def shared_folders():
    """What the nodes of a cluster must see, by what it is for."""
    return {
        "working folder": Path.cwd(),
        "workflow": HOME,
        "Python": Path(sys.prefix),
        "data_dir": Path(CONFIG.networks.data_dir),
    }


onstart:
    try:
        AT_WORK.enter_context(lease.held(lease.WORKFLOW, "this folder"))
        orphans.settle(CONFIG.orphans, on_cluster(), log_line)
        if is_forced():
            forced = [
                path for job in workflow.dag.needrun_jobs() for path in job.output
            ]
            files.drop_finished(forced)
        if not workflow.local_exec:
            shared.check(shared_folders(), log_line)
            name = handed.hand(CONFIG, RUNS)
            workflow.config_settings.config_args.append(f"{handed.KEY}={name}")
            handed.drop_others(name)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


onerror:
    try:
        orphans.end(on_cluster(), log_line)
    except ConfigError as error:
        log_line(f"fgrad: {error}")


def sections_of(kind):
    """Pattern of the sections whose jobs are of a kind."""
    return "|".join(settings.sections_of(kind))


def runs_of(section):
    """Result files of a section's runs."""
    return [settings.result_file(section, name) for name in RUNS.jobs[section]]


def asked_of(sections):
    """What is asked of the results of sections, as plain values."""
    return [
        STATUS.asked(section, name).plain()
        for section in sections
        for name in RUNS.jobs[section]
    ]


def job_of(wildcards):
    if wildcards.name not in RUNS.jobs[wildcards.section]:
        raise WorkflowError(
            f"the configuration has no run {wildcards.section}/{wildcards.name}"
        )
    return RUNS.jobs[wildcards.section][wildcards.name]


# Whether a run is stale is told from its file, so that Snakemake has nothing to compare: params
# that take the output are not recorded by it, and a run that is what it should be has no input.


def run_of(wildcards, output):
    """The options a job is handed: a dict of plain values."""
    return job_of(wildcards).options


def is_forced():
    """Whether jobs are to run that are not stale."""
    told = workflow.dag_settings
    return told.forceall or told.forcerun or told.forcetargets


def needed(wildcards, *paths):
    """Input of a run that must run: what it reads, and a stamp that is newer than its output."""
    key = wildcards.section, wildcards.name
    if HANDED:
        return paths
    if key in STATUS.stale:
        return [*paths, stamp_for(settings.result_file(*key))]
    return [ancient(path) for path in paths] if is_forced() else []


def stamp_for(path):
    """A file that is newer than a stale result."""
    try:
        return STATUS.stamp_for(path)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def stamp_of_summary(path, *of):
    """Input of a summary that is not of these results, made by this code; nothing if it is."""
    return [] if HANDED or identity.is_made_of(path, *of) else [stamp_for(path)]


def search_of(wildcards):
    """The search a run takes its rate from; nothing for a run that has its rate."""
    search = job_of(wildcards).search
    return [f"results/runs/{search}.parquet"] if search else []


def data_of(wildcards):
    """The data set of a training or of a search for its rate."""
    return f"results/data/{job_of(wildcards).options['dataset']}-{FORMAT}.pt"
