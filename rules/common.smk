# What to run: configuration and tables, read once, checked before any job; and what is stale.

import warnings
from pathlib import Path

from snakemake.io import get_flag_value
from snakemake.settings.types import RerunTrigger, SharedFSUsage

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plan import handed, own, read
from fgrad.plan import runs as settings
from fgrad.plan.status import Status
from fgrad.problems.datasets import FORMAT
from fgrad.store import files, identity
from fgrad.store.fingerprint import fingerprint

HOME = Path(str(workflow.current_basedir.join("..")))


def layers():
    """What is laid over our own configuration: the folder and the values of each layer."""
    told = workflow.config_settings
    files = [(path.absolute().parent, read.read(path)) for path in told.configfiles]
    return [*files, (Path.cwd(), read.given(told.config_args))]


def own_folders():
    """What references to files of the user's own are relative to."""
    if ALONE and all(path.is_file() for path in workflow.config_settings.configfiles):
        return read.folders(layers())
    return {one: Path.cwd() for one in plugins.references(config)}


def configured():
    """The configuration; of one that is shared by `include`, keys of others are theirs.

    Our own files and what is laid over them are read once more: Snakemake takes the last of two
    equal keys, 0.1_0 for a number, and the numbers of --config functions='{"n": [2]}' for texts.
    """
    told = workflow.config_settings
    overlays = told.configfiles
    if ALONE and all(path.is_file() for path in overlays):
        over = read.laid_over(*(layer for _, layer in layers()))
        return over if told.replace_workflow_config else read.laid_under(HOME, over)
    given = read.anchored(config, Path.cwd())
    if ALONE:
        return given  # of what can be read only once
    return read.laid_under(HOME, read.own(given) if INCLUDED else given)


def data_dir():
    """The folder of the published data sets."""
    return Path(CONFIG.networks.data_dir)


def refuse_prefix():
    """What is stale is told from files by name, which a module's prefix would put elsewhere."""
    modifier = workflow.modifier.path_modifier
    while modifier is not None:
        if modifier.prefix or modifier.modifies_prefixes:
            raise ConfigError(
                "prefix and replace_prefix: results are looked for below results/ of the working "
                "folder; leave both out, or run fgrad in a folder of its own"
            )
        modifier = modifier.inner_modifier


def refuse_storage():
    """The same of a default storage, unless it is this folder, or keeps copies where we look."""
    told = workflow.storage_settings
    if told.default_storage_provider is None:
        return
    stored = get_flag_value(workflow.modifier.modify_path("results"), "storage_object")
    copies = Path(stored.local_path())
    places = [Path(stored.query), *([copies] if told.keep_storage_local else [])]
    if Path("results").resolve() not in [place.resolve() for place in places]:
        raise ConfigError(
            f"default storage {stored.query}: results are looked for below results/ of the working "
            "folder; leave it out, or see docs/cloud.md: --keep-storage-local-copies, and results a "
            f"link to {copies}"
        )


# A job elsewhere runs what it was handed when it was submitted; whether that is stale has been told.
HANDED = workflow.config_settings.overwrite_config.get(handed.KEY)

_theirs = warnings.formatwarning
warnings.formatwarning = lambda message, *_: f"fgrad: {message}\n"
try:
    refuse_prefix()
    refuse_storage()
    if HANDED is not None:
        CONFIG, RUNS = handed.take(HANDED)
    else:
        CONFIG, RUNS = settings.load(configured(), HOME / "config", own_folders())
        files.check_writable(Path("results"))
        files.refuse_file(data_dir(), "networks.data_dir")
    STATUS = Status(RUNS, HOME / "workflow/scripts")
    if HANDED is None:
        STATUS.stale  # told now, so that what cannot be told ends the start in one line
except ConfigError as error:
    raise WorkflowError(str(error)) from None
finally:
    warnings.formatwarning = _theirs


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


def own_of(wildcards):
    """What a trial is of: its first job's."""
    for section, name in RUNS.names():
        job = RUNS.jobs[section][name]
        for one in own.used(job.options):
            if one.name == wildcards.own:
                return vars(one), job.sources
    raise WorkflowError(f"the configuration refers to no {wildcards.own}")


def sources_of(wildcards, output):
    """Texts of the files of the user's own that its options refer to."""
    return job_of(wildcards).sources


def tries_of(wildcards):
    """What of the user's own is tried before a job that uses it."""
    options = job_of(wildcards).options
    return [f"results/own/{one.name}.txt" for one in own.used(options)]


def needed(wildcards, *paths):
    """Input of a run that must run: what it reads, and a stamp that is newer than its output."""
    key = wildcards.section, wildcards.name
    if HANDED is not None:
        return paths
    if key in STATUS.stale:
        return [*paths, *tries_of(wildcards), stamp_for(settings.result_file(*key))]
    paths = [ancient(path) for path in paths] if is_forced() or compared() else []
    return [*paths, *stamp_for_none()]


def compared():
    """Whether sets of input files are compared with the recorded ones, which our profile switches
    off; then a run that is what it should be has the set it was made with.
    """
    return RerunTrigger.INPUT in workflow.rerun_triggers


def stamp_for(path):
    """A file that is newer than a stale result."""
    try:
        stamp = STATUS.stamp_for(path)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
    # put into no storage, unless jobs without a shared file system get it from there
    told = workflow.storage_settings
    shared = SharedFSUsage.INPUT_OUTPUT in told.shared_fs_usage
    return local(stamp) if told.default_storage_provider and shared else stamp


def stamp_for_none():
    """The same file as an input of what is not stale, where sets of input files are compared."""
    return [ancient(stamp_for(None))] if compared() else []


def stamp_of_summary(path, *of):
    """Input of a summary that is not of these results, made by this code; nothing if it is."""
    if HANDED is not None:
        return []
    return stamp_for_none() if identity.is_made_of(path, *of) else [stamp_for(path)]


def search_of(wildcards):
    """The search a run takes its rate from; nothing for a run that has its rate."""
    search = job_of(wildcards).search
    return [f"results/runs/{search}.parquet"] if search else []


def data_of(wildcards):
    """The data set of a training or of a search for its rate; one of the user's own reads itself."""
    name = job_of(wildcards).options["dataset"]
    return [] if plugins.is_reference(name) else [f"results/data/{name}-{FORMAT}.pt"]


def data_from(wildcards):
    """What the data of a job is read from."""
    return (data_of(wildcards) or [str(data_dir())])[0]
