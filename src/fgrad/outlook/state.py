"""What a run has done, does and has failed at, from what lies in its folder; nothing is written.

A start of the workflow leaves a list of the jobs that it is to do (`begun`). What became of them is
told from their outputs, leases and logs, so that it can be asked from another shell or another
machine, by somebody else, while jobs run or after.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from fgrad.errors import ConfigError, printable
from fgrad.outlook import measured
from fgrad.outlook.ahead import duration
from fgrad.store import files, lease

STARTED = Path(".snakemake/fgrad.started")
"""What the last start was to do; its age is that of the start."""

FAILED = Path(".snakemake/fgrad.failed")
"""Written by a start that ends because jobs have failed."""

TAIL = 20_000
"""Bytes of the end of a log that are read."""

SHOWN = 20
"""Jobs of a state that are listed; of more, only the number is said."""

FEW = 3
"""Jobs that have ended, before which it is not said when all will have."""

EPOCH = re.compile(r" (epoch \d+/\d+): (.*); [\d.]+ s, (at most .* left)$")
TRIAL = re.compile(r" trial \d+: lr (\S+), validation loss (\S+),")
COUNT = re.compile(r"^(\S+) (\d+)/(\d+)$")
ENDED = " told to end; "
"""In the last line of a job that was ended by a signal, see `fgrad.store.log`."""

State = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class Job:
    """A job that a start is to do.

    Args:
        rule: its kind.
        name: what it does, in words.
        outputs: files that it makes.
        log: where it says what it does.
        benchmark: where Snakemake writes what it took.
    """

    rule: str
    name: str
    outputs: list[str]
    log: str = ""
    benchmark: str = ""


@dataclass(frozen=True)
class Seen:
    """What is seen of a job: its state, and what it says of itself."""

    job: Job
    state: State
    says: str = ""


@dataclass(frozen=True)
class Look:
    """What is seen of a run at a moment.

    Args:
        begun: seconds since 1970.
        owner: the process that starts the jobs, if it is at work.
        cores: for the jobs of its machine.
        seen: every job.
    """

    begun: float
    owner: lease.Owner | None
    cores: int = 1
    seen: list[Seen] = field(default_factory=list)

    def of(self, state: State) -> list[Seen]:
        """Those in a state."""
        return [one for one in self.seen if one.state == state]

    @property
    def over(self) -> bool:
        """Whether nothing is at work any more."""
        return self.owner is None and not self.of("running")


def begun(jobs: Iterable[Job], cores: int = 1) -> None:
    """Leave a list of what is to be done.

    Args:
        jobs: that are to be done.
        cores: for the jobs of this machine.

    Raises:
        ConfigError: if it cannot be written.
    """
    with files.atomic(STARTED) as temporary:
        told = {"cores": cores, "jobs": [vars(job) for job in jobs]}
        temporary.write_text(json.dumps(told), encoding="utf-8")


def failed() -> None:
    """Leave word that the start has ended, and not all of its jobs with it.

    Raises:
        ConfigError: if it cannot be written.
    """
    with files.atomic(FAILED) as temporary:
        temporary.touch()


def look(folder: Path) -> Look:
    """Look at the last run in a folder.

    Raises:
        ConfigError: if none was started there, or what it left cannot be read.
    """
    listed = folder / STARTED
    try:
        at = listed.stat().st_mtime
        told = json.loads(listed.read_text(encoding="utf-8"))
        cores, jobs = int(told["cores"]), [Job(**one) for one in told["jobs"]]
    except FileNotFoundError:
        raise ConfigError(
            f"{folder}: no run was started here; name the folder it writes to by --directory"
        ) from None
    except OSError as error:
        raise ConfigError(f"{listed}: cannot be read: {files.reason(error)}") from None
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{listed}: no list of jobs") from None
    owner = lease.seen(folder / lease.WORKFLOW)
    waits = (
        owner is None and _age(folder / FAILED) < at
    )  # what is not there was not begun, or ended
    seen = [_seen(folder, job, at, owner is not None, waits) for job in jobs]
    return Look(at, owner, cores, seen)


def _seen(folder: Path, job: Job, at: float, goes_on: bool, waits: bool) -> Seen:
    if all(_age(folder / one) >= at for one in job.outputs):
        return Seen(job, "done")
    if not job.log or _age(folder / job.log) < at:
        return Seen(job, "waiting")
    lines = _tail(folder / job.log)
    lock = lease.lease_of(folder / job.outputs[0])
    if lease.seen(lock) is not None:
        return Seen(job, "running", _progress(lines))
    error = _error(lines)
    if not error and (waits or any(ENDED in line for line in lines[-1:])):
        return Seen(job, "waiting")
    if not error and (lock.exists() or not goes_on):  # of a process that is no more
        error = f"ended without a word after: {_progress(lines) or 'nothing'}"
    return Seen(job, "failed", error) if error else Seen(job, "running", _progress(lines))


def _age(path: Path) -> float:
    """When a file was written; −1 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return -1.0


def _tail(path: Path) -> list[str]:
    """The last lines of a log, which may be written just now."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return [*map(printable, file.read().decode(errors="replace").splitlines())]
    except OSError:
        return []


def _error(lines: Sequence[str]) -> str:
    """What the error says that a log ends with, in a line; empty if there is none."""
    begins = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call")]
    if not begins:
        return ""
    after = (line for line in lines[begins[-1] + 1 :] if line and not line.startswith(" "))
    said = next(after, "Traceback")
    return re.sub(r"^[\w.]*\bConfigError: ", "", said)


def _progress(lines: Sequence[str]) -> str:
    """How far a job is by its log."""
    for line in reversed(lines):
        if found := EPOCH.search(line):
            epoch, losses, left = found.groups()
            return f"{epoch}, {re.sub(r' [(][^)]*[)]', '', losses)}; {left}"
    counts = [found.groups() for line in lines if (found := COUNT.match(line))]
    trial = next((found for line in reversed(lines) if (found := TRIAL.search(line))), None)
    if not counts:
        return ""
    done, total = map(int, counts[-1][1:])
    said = f"{done} of {total}" + (f", lr {trial[1]}: loss {trial[2]}" if trial else "")
    return said + _left(counts, done, total)


def _left(counts: Sequence[tuple[str, ...]], done: int, total: int) -> str:
    """Time that is left at the pace so far, if two lines tell a pace."""
    try:
        first, last = (datetime.fromisoformat(counts[end][0]) for end in (0, -1))
    except ValueError:
        return ""
    before = int(counts[0][1])
    if done <= before or last <= first:
        return ""
    each = (last - first) / (done - before)
    return f"; about {timedelta(seconds=round((each * (total - done)).total_seconds()))} left"


def left(folder: Path, now: Look) -> float | None:
    """Seconds until all is done, by what jobs of a kind took; nothing if too few have ended."""
    took: dict[str, list[float]] = {}
    for one in now.of("done"):
        try:
            seconds = measured.benchmark(folder / one.job.benchmark, gpu=True)[0]
        except (OSError, ValueError, LookupError):
            continue
        took.setdefault(one.job.rule, []).append(seconds)
    every = [seconds for each in took.values() for seconds in each]
    if len(every) < FEW or now.over:
        return None
    mean = {rule: sum(each) / len(each) for rule, each in took.items()}
    usual = sum(every) / len(every)
    waiting = sum(mean.get(one.job.rule, usual) for one in now.of("waiting"))
    running = sum(mean.get(one.job.rule, usual) / 2 for one in now.of("running"))
    at_once = min(now.cores, len(now.of("waiting")) + len(now.of("running")))
    return (waiting + running) / max(1, at_once, len(now.of("running")))


def lines(folder: Path, now: Look) -> Iterator[str]:
    """What is seen, in words."""
    since = datetime.fromtimestamp(now.begun).isoformat(" ", "seconds")
    by = f"{now.owner} is at work" if now.owner else "nobody is at work any more"
    yield f"{folder}: started {since}; {by}"
    counts = Counter(one.state for one in now.seen)
    rest = left(folder, now)
    more = "" if rest is None else f", about {duration(rest)} left"
    yield f"done     {counts['done']} of {len(now.seen)}{more}"
    for state in ("running", "failed"):
        each = now.of(state)
        for one in each[:SHOWN]:
            said = f": {one.says}" if one.says else ""
            log = f" ({one.job.log})" if state == "failed" else ""
            yield f"{state:8} {one.job.name}{said}{log}"
        if len(each) > SHOWN:
            yield f"{state:8} and {len(each) - SHOWN} more"
    if counts["waiting"]:
        yield f"waiting  {counts['waiting']}" + (
            "" if now.owner else "; the same command goes on from what is finished"
        )
