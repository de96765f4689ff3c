# What happens when jobs start, and when they end too early.

import atexit
import logging
import shlex
import sys
import threading
from contextlib import ExitStack
from functools import wraps

from snakemake.logging import logger
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import SharedFSUsage

from fgrad import orphans
from fgrad.errors import ConfigError
from fgrad.outlook import state
from fgrad.plan import devices, handed
from fgrad.store import interrupts, lease, shared
from fgrad.store.log import log_line

# Snakemake puts the path of Python into commands of a shell as it is; once is enough where several
# workflows are modules of one.
if Path(sys.executable).exists():
    sys.executable = shlex.quote(sys.executable)

# A lease that a dead owner loses: after a kill the same command goes on, and two runs in one folder
# are still refused, on whichever nodes they are. Snakemake's own lock, which outlives a kill, is off.
AT_WORK = ExitStack()
atexit.register(AT_WORK.close)


def interrupted():
    """What is said at Ctrl-C; not what Snakemake says of each job that ends with it."""
    global INTERRUPTED
    INTERRUPTED = True
    logger.setLevel(logging.CRITICAL + 1)
    log_line("fgrad: interrupted; the same command goes on from what is finished")


INTERRUPTED = False
if ALONE:
    interrupts.end_at_ctrl_c(interrupted)


def look_again(scheduler, delay):
    """Let the scheduler look at what is ready after a while, once.

    Snakemake's own starts a timer whenever it has looked, and each timer makes it look: after 300
    jobs it looks 300 times a second, for as long as it runs.
    """
    if not any(one.name == "look again" for one in threading.enumerate()):
        timer = threading.Timer(delay, scheduler._open_jobs.release)
        timer.name, timer.daemon = "look again", True
        timer.start()


JobScheduler._schedule_reevalutation = look_again


def on_cluster():
    """Whether jobs go to Slurm's queue."""
    return workflow.executor_plugin.name == "slurm"


def shared_folders():
    """What the nodes of a cluster must see, by what it is for."""
    return {
        "working folder": Path.cwd(),
        "workflow": HOME,
        "environment": Path(sys.prefix),
        "data_dir": data_dir(),
    }


def devices_asked():
    """Devices of the trainings and searches that are to run."""
    runs = {
        settings.result_file(*key): RUNS.jobs[key[0]][key[1]] for key in RUNS.names()
    }
    paths = [path for job in workflow.dag.needrun_jobs() for path in job.output]
    options = [runs[path].options for path in paths if path in runs]
    return [one["device"] for one in options if "device" in one]


PAGE_RULE = workflow.modifier.modify_rulename("page")


def to_be_done():
    """What `fgrad status` looks for."""
    for job in workflow.dag.needrun_jobs():
        if job.output:
            yield state.Job(
                job.rule.name,
                job.message or job.rule.name.replace("_", " "),
                [str(path) for path in job.output],
                str(next(iter(job.log), "")),
                str(job.benchmark or ""),
            )


def at_work():
    """From here on nobody else is at work in this folder."""
    AT_WORK.enter_context(lease.held(lease.WORKFLOW, "this folder", say=log_line))


def done_alone(method):
    """What Snakemake does without starting a job, and so without `onstart`."""

    @wraps(method)
    def held(*args, **options):
        if not options.get("dryrun"):
            try:
                at_work()
                orphans.settle(CONFIG.orphans, False, log_line)
            except ConfigError as error:
                raise WorkflowError(str(error)) from None
        return method(*args, **options)

    return held


for _name in ("delete_output", "cleanup_metadata"):
    _method = getattr(workflow, _name)
    if not hasattr(_method, "__wrapped__"):  # once, of however many modules
        setattr(workflow, _name, done_alone(_method))


onstart:
    if ALONE:  # Ctrl-C is for us to tell the jobs of
        shell.prefix("set -euo pipefail; trap '' INT; ")
    try:
        at_work()
        if workflow.local_exec and not workflow.touch:
            devices.refuse_absent(devices_asked())
        orphans.settle(CONFIG.orphans, on_cluster(), log_line)
        if is_forced() and not workflow.touch:
            dag = workflow.dag
            forced = [job for job in dag.needrun_jobs() if dag.reason(job).forced]
            files.drop_finished(path for job in forced for path in job.output)
        asked = [] if workflow.touch else list(to_be_done())
        # after the page alone what was done before stays in sight
        if {job.rule for job in asked} - {PAGE_RULE}:
            cores = workflow.local_exec and workflow.resource_settings.cores
            state.begun(asked, cores or 1)
        # where sources are not shared, jobs get a copy of them, configuration included
        usage = workflow.storage_settings.shared_fs_usage
        if not workflow.local_exec and SharedFSUsage.SOURCES in usage:
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
    if INTERRUPTED:
        raise SystemExit(interrupts.INTERRUPTED)
    try:
        state.failed()
    except ConfigError as error:
        log_line(f"fgrad: {error}")
