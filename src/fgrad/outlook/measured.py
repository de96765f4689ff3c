"""What jobs took that have ended: read from a folder of results, and from the shipped table."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from fgrad.errors import ConfigError
from fgrad.options.base import JobOptions
from fgrad.outlook.work import SIZES, Work, work_of
from fgrad.store import parquet

SHIPPED = Path(__file__).with_name("measured.csv")
"""Made by ``python benchmarks/costs.py FOLDER …``; GPU: one NVIDIA H100, CPU: one core."""

FIELDS = ("kind", "what", "how", "gpu", *SIZES, "seconds", "share", "memory_mb")

PAPER = {
    "summary": "summarize",
    "lr_search": "summarize",
    "figures": "figure",
    "tables": "table",
    "claims": "claims",
    "claims.tsv": "collect_claims",
    "page.tsv": "page",
    "data": "prepare_data",
    "own": "try_own",
}
"""Folder of benchmarks → kind of jobs that have no options, so that a start is all they take."""

BRIEF = 2.0
"""Seconds of work below which what a job took is what its start took."""

LAST = 0.5
"""Seconds at the end of a process that Snakemake's benchmark of CPU time does not see."""


@dataclass(frozen=True)
class Measured:
    """What a job took.

    Args:
        work: of the job.
        seconds: of a unit on one core that does nothing else, or on a GPU.
        share: of the units that were done before it stopped.
        memory_mb: at most.
        gpu: whether it was computed on a GPU.
    """

    work: Work
    seconds: float
    share: float = 1.0
    memory_mb: float = 0.0
    gpu: bool = False


@dataclass(frozen=True)
class Start:
    """What a job of a kind takes however little it does: seconds, and MB of memory."""

    seconds: float
    memory_mb: float


USUAL = Start(2.0, 600.0)
"""Of a kind that has not been measured."""


@dataclass(frozen=True)
class Ended:
    """A job that has ended: its work, seconds in all, units done, memory, where it ran."""

    work: Work
    seconds: float
    done: float
    memory_mb: float
    gpu: bool


def shipped() -> tuple[list[Measured], dict[str, Start]]:
    """The table that comes with the package: jobs, and starts by kind."""
    rows, starts = [], {}
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            seconds, memory = float(row["seconds"]), float(row["memory_mb"] or 0)
            if not row["what"]:
                starts[row["kind"]] = Start(seconds, memory)
                continue
            sizes = {name: float(row[name]) for name in SIZES if row[name]}
            work = Work(row["kind"], row["what"], row["how"], sizes)
            share = float(row["share"] or 1)
            rows.append(Measured(work, seconds, share, memory, row["gpu"] == "1"))
    return rows, starts


def ended(results: Iterable[tuple[Path, type[JobOptions]]]) -> Iterator[Ended]:
    """What finished results record of the jobs that made them; damaged ones are left out.

    Args:
        results: below ``results/runs``, each with the kind of its options.
    """
    for path, kind in results:
        try:
            yield _ended(path, kind)
        except (ConfigError, OSError, LookupError, TypeError, ValueError):
            continue


def _ended(path: Path, kind: type[JobOptions]) -> Ended:
    known = parquet.provenance(path)
    run = known["run"]
    work = work_of(kind, run)
    gpu = str(known.get("device", "cpu")) != "cpu"
    done, own = _done(path, work, known)
    seconds, memory = benchmark(benchmark_of(path), gpu)
    # of one that was resumed, Snakemake knows the end alone
    return Ended(work, max(seconds, own), max(done, 1.0), memory, gpu)


def _done(path: Path, work: Work, known: Mapping[str, Any]) -> tuple[float, float]:
    """Units that a job did, and the seconds it counted itself."""
    begun, end = (datetime.fromisoformat(known[key]) for key in ("start", "end"))
    took = max(0.0, (end - begun).total_seconds() - 1)  # each to the second
    if work.kind == "descend_function":
        last: dict[str, int] = {}
        for one in known["stop"]:
            key = json.dumps([one.get("angle_deg"), one.get("source")])
            last[key] = max(last.get(key, 0), one["steps"])
        return sum(last.values()), 0.0
    if work.kind == "train_network":
        columns = parquet.table(path, ["train_seconds", "eval_seconds"])
        spent = [sum(filter(None, column.to_pylist())) for column in columns.columns]
        return len(columns) - 1, sum(spent) if took < sum(spent) else 0.0
    return work.units, 0.0


def benchmark_of(result: Path) -> Path:
    """Where Snakemake wrote down what a result took."""
    below = result.parts[result.parts.index("runs") + 1 :]
    return Path(*result.parts[: result.parts.index("runs")], "benchmarks", *below).with_suffix(
        ".tsv"
    )


def benchmark(path: Path, gpu: bool = False) -> tuple[float, float]:
    """Seconds and MB of a job; on a core that it had to share, those it would have taken alone.

    Raises:
        OSError: if Snakemake has written nothing down.
        ValueError: if that is not whole.
    """
    with path.open(encoding="utf-8") as file:
        *_, row = csv.DictReader(file, delimiter="\t")
    wall, cpu = float(row["s"]), _number(row["cpu_time"])
    alone = wall if gpu or not cpu else min(wall, cpu + LAST)
    return alone, _number(row["max_rss"])


def _number(text: str | None) -> float:
    """A number of a benchmark, which has none for what ended before it was looked at."""
    return 0.0 if text in (None, "", "NA", "-") else float(text)


def starts_of(jobs: Iterable[Ended]) -> dict[str, Start]:
    """What starting a job of each kind takes, from those that did little."""
    found: dict[str, list[Ended]] = {}
    for one in jobs:
        if not one.gpu and one.done * one.work.nominal < BRIEF:
            found.setdefault(one.work.kind, []).append(one)
    starts = {}
    for kind, each in found.items():
        if len(each) >= 3:
            left = [max(0.3, one.seconds - one.done * one.work.nominal) for one in each]
            starts[kind] = Start(quantiles(left, n=4)[0], median(one.memory_mb for one in each))
    return starts


def rows_of(jobs: Iterable[Ended], starts: Mapping[str, Start]) -> list[Measured]:
    """What a unit took, of those that did more than start; one row for the same work."""
    same: dict[tuple[Any, ...], list[Measured]] = {}
    for one in jobs:
        start = starts.get(one.work.kind, USUAL).seconds
        each = max(one.seconds - start, 0.0) / one.done
        if one.done * one.work.nominal < BRIEF / 4 and one.seconds - start < BRIEF / 4:
            each = one.work.nominal  # what is left of so little is chance
        share = min(1.0, one.done / one.work.units)
        row = Measured(one.work, each, share, one.memory_mb, one.gpu)
        key = one.work.kind, one.work.what, one.work.how, *one.work.sizes.values(), one.gpu
        same.setdefault(key, []).append(row)
    return [
        Measured(
            rows[0].work,
            sum(row.seconds * row.share for row in rows) / sum(row.share for row in rows),
            sum(row.share for row in rows) / len(rows),
            max(row.memory_mb for row in rows),
            rows[0].gpu,
        )
        for rows in same.values()
    ]


def made_by(benchmark: Path) -> str:
    """The kind of job, of those without options, that wrote a benchmark; empty for another.

    Args:
        benchmark: below ``results/benchmarks``.
    """
    return PAPER.get(benchmark.parts[0], "")


def medians(jobs: Mapping[str, Iterable[Start]]) -> dict[str, Start]:
    """What a job of each kind takes in the middle, and its memory at most."""
    return {
        kind: Start(median(one.seconds for one in each), max(one.memory_mb for one in each))
        for kind, each in ((kind, list(some)) for kind, some in jobs.items())
    }
