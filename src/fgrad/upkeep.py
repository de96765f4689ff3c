"""Results that are no longer what is asked for: listed, taken over on purpose, or removed."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.plan.runs import SECTIONS, result_file
from fgrad.plan.status import Status
from fgrad.store import files, identity, lease, log, parquet
from fgrad.store.context import Context
from fgrad.validation import validate

LEFT = re.compile(r"\.(?P<stem>.+)\.(?P<key>[0-9a-f]{16})\.(?P<kind>checkpoint|journal)")
"""What a job leaves beside its output until it has ended."""


def stale(status: Status) -> Iterator[str]:
    """A line for each result that is there but not what is asked for, and for what is missing."""
    missing: dict[str, int] = {}
    for (section, name), differs in status.stale.items():
        if Path(result_file(section, name)).exists():
            yield f"{result_file(section, name)}: {differs}"
        else:
            missing[section] = missing.get(section, 0) + 1
    for section, count in missing.items():
        yield f"{section}: {count} of {len(status.runs.jobs[section])} results are missing"


def versions(status: Status) -> Iterator[str]:
    """A line for each result that is what is asked for but was made with other packages."""
    now = parquet.environment()["versions"]
    for section, name in status.runs.names():
        if (section, name) in status.stale:
            continue
        made = parquet.provenance(result_file(section, name)).get("versions", {})
        other = [f"{key} {made[key]}, now {now[key]}" for key in now if made.get(key) != now[key]]
        if other:
            yield f"{result_file(section, name)}: {'; '.join(other)}"


def accept(status: Status, code: str) -> list[str]:
    """Take the results of older code for results of today's; they stay marked as what they are.

    Args:
        status: of the results.
        code: fingerprint they were made with.

    Returns:
        The files that were taken over.

    Raises:
        ConfigError: if there are none.
    """
    taken = []
    for section, name in status.stale:
        asked = status.asked(section, name)
        if _recorded(asked.path).get("code") != code:
            continue
        older = replace(asked, code=(*asked.code, code))
        if not identity.difference(older):
            parquet.restamp(asked.path, accepted={"code": asked.code[0], "at": log.now()})
            taken.append(asked.path)
    if not taken:
        raise ConfigError(
            f"accept-code = {code!r}: no result differs from what is asked for in this code alone; "
            "fgrad stale lists what there is"
        )
    return taken


def adopt(status: Status, data: Path | None = None) -> Iterator[str]:
    """Take over results that were made before results recorded their code.

    Of each section, and of each code that its runs are computed by, the run that took least time is
    computed again; if every value but times equals its file, that code is recorded in all these
    files.

    Args:
        status: of the results.
        data: folder of the published data sets, for trainings.

    Yields:
        A line for each section and code.

    Raises:
        ConfigError: if a value differs; none of these results is taken over then.
    """
    unrecorded = _unrecorded(status)
    again = {
        key: min(names, key=lambda name: _seconds(result_file(key[0], name)))
        for key, names in unrecorded.items()
    }
    for (section, code), names in unrecorded.items():
        _recompute(section, again[section, code], data)
        for name in names:
            parquet.restamp(result_file(section, name), code=code, adopted=log.now())
        yield (
            f"{section}: {len(names)} results taken over; {again[section, code]}, computed again, "
            "is the same"
        )
    if not unrecorded:
        yield "nothing to take over: every result records the code it was made with"


def unasked(statuses: Iterable[Status]) -> list[Path]:
    """Runs and copies of them, checkpoints and journals that no configuration asks for."""
    wanted: set[Path] = set()
    for status in statuses:
        for section, name in status.runs.names():
            target = Path(result_file(section, name))
            wanted |= {target, files.finished(target)}
            wanted |= _left_by(status, section, name, target)
    there = [path for path in Path("results/runs").rglob("*") if path.is_file()]
    return sorted(path for path in there if path not in wanted and _is_ours(path))


def _is_ours(path: Path) -> bool:
    """Whether a file is a result, or what a job left; of others nothing is removed."""
    if path.suffix == ".parquet" or files.is_finished(path):
        return {"run", "versions"} <= _recorded(str(path)).keys()
    return LEFT.fullmatch(path.name) is not None


@contextmanager
def alone(folder: Path = Path()) -> Iterator[None]:
    """No workflow is at work in a folder, nor starts in the meantime.

    Args:
        folder: the current one, or another.

    Raises:
        ConfigError: if one is, or a job that one has left behind.
    """
    what = "this folder" if folder == Path() else str(folder)
    with lease.held(folder / lease.WORKFLOW, what, say=log.log_line):
        left = [f"{lock}: {owner}" for lock, owner in lease.held_below(folder / "results").items()]
        if left:
            raise ConfigError(f"{what}: jobs are still at work in it: {', '.join(left)}")
        yield


def _left_by(status: Status, section: str, name: str, target: Path) -> set[Path]:
    """What a job that is to be done may have left of an earlier try, and goes on with."""
    if (section, name) not in status.stale:
        return set()
    asked = status.asked(section, name)
    options = status.runs.jobs[section][name].options
    keys = {
        identity.digest(identity.description(options, code, on))
        for code in filter(None, asked.code)
        for on in ("cpu", "cuda")
    }
    beside = [
        (path, match)
        for path in target.parent.glob(f".{target.stem}.*")
        if (match := LEFT.fullmatch(path.name)) and match["stem"] == target.stem
    ]
    own = {path for path, match in beside if match["key"] in keys}
    # checkpoints of a search are of its trials, whose rates only its journal knows
    if any(path.suffix == ".journal" for path in own) or status.runs.jobs[section][name].search:
        own |= {path for path, _ in beside}
    return own


def _unrecorded(status: Status) -> dict[tuple[str, str], list[str]]:
    """Names of results from before there were fingerprints that have the options asked for, by
    section and code of today.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for section, name in status.runs.names():
        asked = status.asked(section, name)
        made = _recorded(asked.path)
        if "run" not in made or "code" in made:  # a code of null is of a job that was disturbed
            continue
        if not identity.difference(replace(asked, code=(None,))):
            found.setdefault((section, str(asked.code[0])), []).append(name)
    return found


def _recorded(path: str) -> dict[str, Any]:
    """What a file records; nothing if it is missing or damaged."""
    try:
        return parquet.provenance(path)
    except ConfigError:
        return {}


def _seconds(path: str) -> float:
    known = parquet.provenance(path)
    begun, ended = (datetime.fromisoformat(known[key]) for key in ("start", "end"))
    return (ended - begun).total_seconds()


def _recompute(section: str, name: str, data: Path | None) -> None:
    """Compute a result again and compare it with its file; raises ConfigError if they differ."""
    path = result_file(section, name)
    run = validate(SECTIONS[section], parquet.provenance(path)["run"], path)
    with TemporaryDirectory() as folder:
        again = Path(folder) / "again.parquet"
        jobs.carry_out(run, again, Context(source=data))
        old, new = parquet.read(path), parquet.read(again)
    for column in new.columns:
        timed = column.endswith("_seconds")
        if not timed and (column not in old or not old[column].equals(new[column])):
            raise ConfigError(
                f"{path}: {column} is not what the code computes today; results of {section} made "
                "by this code are not taken over"
            )
