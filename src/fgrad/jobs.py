"""One job: options in, a Parquet file out that is there whole or not at all and says what it is."""

import gc
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.options.base import JobOptions
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.store import files, identity, interrupts, lease, log, parquet, schemas
from fgrad.store.context import ALONE, Context, Result
from fgrad.store.fingerprint import Watch

SCHEMAS: Mapping[type[JobOptions], schemas.Schema] = {
    QualityRun: schemas.QUALITY,
    FunctionRun: schemas.FUNCTIONS,
    FunctionComparison: schemas.COMPARISON,
    TrainRun: schemas.NETWORKS,
    FunctionSearch: schemas.FUNCTION_ROW | schemas.SEARCH,
    NetworkSearch: schemas.NETWORK_ROW | schemas.SEARCH,
}
"""Columns of the results of each kind of job."""


def carry_out(
    run: JobOptions, path: Path | str, context: Context = ALONE, script: Path | None = None
) -> Result:
    """Compute a job and write its result, with the options and the code it was made with.

    What a killed job left beside the output is taken up again by the same call. Under a workflow a
    finished copy stays there until it is summarised, so that a failure that is reported after the
    output was written costs no more than writing it again.

    Args:
        run: options; one of the kinds in `SCHEMAS`.
        path: Parquet file.
        context: what is told of it, and where its data is.
        script: that hands the job over, if one does; its code counts as the job's.

    Returns:
        What was written.

    Raises:
        ConfigError: if the job cannot be done as asked, the file cannot be written, or another
            process is at work on it.
    """
    target = files.output(Path(path))
    sources = plugins.follow(run.model_dump(mode="json"))
    watch = Watch(*run.code(), *([script] if script else []))
    with lease.alone(target, context.workflow, context.say) as check, interrupts.noticed():
        finished = files.finished(target)
        outputs = (finished, target) if context.workflow else (target,)
        if context.workflow:
            files.check_regular(finished)
        if getattr(run, "profile", False):
            files.check_regular(target.with_suffix(".trace.json"))
        plain = run.model_dump(mode="json")
        if not context.overwrite and target.exists():
            _refuse_other(target, run, watch.code)
            context.say(f"{target}: computed before, nothing to do; --overwrite computes it again")
            return _read(target)
        if context.workflow:
            if identity.is_of(finished, plain, watch.code):
                context.say(f"computed before and not summarised yet: taken from {finished}")
                files.patiently(lambda: files.copy(finished, target), context.say)
                return _read(target)
            if identity.is_of(target, plain, watch.code):
                context.say("computed by another process, while this one waited for it")
                return _read(target)

        def progress(step: int, steps: int) -> None:
            check()
            context.progress(step, steps)

        own = replace(context, target=target, code=watch.code, progress=progress)
        result = _compute(run, own, watch)
        if sources:
            result = replace(result, facts=result.facts | {"sources": sources})
        check()
        for output in outputs:
            files.patiently(partial(_write, output, run, result), context.say)
        for kind in ("journal", "checkpoint"):
            files.forget(target, kind)
    return result


def _refuse_other(path: Path, run: JobOptions, code: str) -> None:
    """Refuse a file that is not this job's result, as it would be lost."""
    kind = f"{type(run).__module__}:{type(run).__qualname__}"
    plain = identity.defining(run.model_dump(mode="json"))
    differs = identity.difference(identity.Asked(str(path), kind, plain, (code,)))
    if differs:
        differs = differs.replace(parquet.ADVICE, "")  # it may be anybody's
        raise ConfigError(
            f"{path}: is there, and another file: {differs}; name another, or --overwrite it"
        )


def _compute(run: JobOptions, context: Context, watch: Watch) -> Result:
    """The numbers of a job, with all that is recorded of how they came about among the facts."""
    start = log.now()
    compute = _imported(run.code()[0])
    with warnings.catch_warnings():  # torch's forward mode compiles formulas of its own
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        result: Result = compute(run, context)
    edited = watch.edited()
    if edited:
        context.say("the code was edited while the job was at work: it will be repeated")
    made = {"code": None if edited else watch.code, "start": start, "end": log.now()}
    return replace(result, facts=result.facts | made)


def _imported(reference: str) -> Any:
    """What computes a job, with torch. What is imported stays, and is not looked through for what
    could be thrown away: that is an eighth of the start of a job, and most of its end.
    """
    gc.disable()
    try:
        return resolve_name(reference)
    finally:
        gc.freeze()
        gc.enable()


def _write(path: Path, run: JobOptions, result: Result) -> None:
    schema = SCHEMAS[type(run)]
    if "gradient_norm" in result.columns:
        schema = schema | schemas.STATISTICS
    plain = run.model_dump(mode="json")
    parquet.write(path, schema, result.columns, run=plain, **result.facts)


def _read(path: Path) -> Result:
    """A result as it was when it was written."""
    frame = parquet.read(path)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    return Result(columns, parquet.provenance(path))


def with_rate(run: Mapping[str, Any], searches: Sequence[str]) -> dict[str, Any]:
    """A run with the learning rate that its search found, if it has one to wait for.

    Args:
        run: options of a run.
        searches: the Parquet file of its search, or nothing.

    Raises:
        ConfigError: if the file is no search.
    """
    return dict(run) | ({"lr": identity.found_rate(searches[0])} if searches else {})
