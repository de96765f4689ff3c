"""What a start would compute, and how long that takes; nothing is started."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgrad.errors import ConfigError
from fgrad.options.base import JobOptions
from fgrad.outlook import measured
from fgrad.outlook.cost import Cost, Costs
from fgrad.outlook.work import work_of
from fgrad.paper import contents
from fgrad.paper.contents import Section
from fgrad.plan.runs import SECTIONS, result_file
from fgrad.plan.status import Status
from fgrad.plugins import is_reference
from fgrad.problems.datasets import FORMAT
from fgrad.problems.registry import DATASETS
from fgrad.store import identity
from fgrad.store.fingerprint import fingerprint

BEGIN, EACH = 6.0, 0.15
"""Seconds until Snakemake starts its first job, and those it takes for each itself."""

ROW = 9
"""Bytes of a row of a result, about."""


@dataclass(frozen=True)
class Step:
    """A job that is to be done.

    Args:
        name: its result.
        cost: what it takes.
        threads: cores it holds.
        gpu: whether it is computed on a GPU.
        after: results it waits for.
        disk: bytes it writes.
    """

    name: str
    cost: Cost
    threads: int = 1
    gpu: bool = False
    after: tuple[str, ...] = ()
    disk: float = 0.0


@dataclass
class Part:
    """A section of runs, or all that is made of runs: how many there are, and what is to be done.

    Args:
        name: of the section.
        total: jobs in all.
        stale: of results that are there and not what is asked for.
        missing: of results that are not there.
        steps: what is to be done.
    """

    name: str
    total: int = 0
    stale: int = 0
    missing: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Results that are what is asked for."""
        return self.total - self.stale - self.missing


def costs(status: Status) -> Costs:
    """What jobs take, by the shipped table and by what has ended in the current folder."""
    rows, starts = measured.shipped()
    results = [
        (Path(result_file(*key)), SECTIONS[key[0]])
        for key in status.runs.names()
        if Path(result_file(*key)).exists()
    ]
    known: dict[str, list[measured.Start]] = {}
    for path in Path("results/benchmarks").rglob("*.tsv"):
        kind = measured.made_by(path.relative_to("results/benchmarks"))
        if kind:
            try:
                known.setdefault(kind, []).append(measured.Start(*measured.benchmark(path)))
            except (OSError, ValueError, LookupError):
                continue
    return Costs(rows, starts, measured.ended(results), measured.medians(known))


def targets() -> dict[str, tuple[Section, ...]]:
    """What may be asked for → its sections of the list of contents."""
    searches = tuple(one for one in contents.SECTIONS.values() if one.search)
    each = {one.target: (one,) for one in contents.SECTIONS.values() if one.target}
    return {**each, "lr_search": searches}


def parts(status: Status, known: Costs, target: str | None = None, gpus: int = 0) -> list[Part]:
    """What is there and what is to be done, section by section.

    Args:
        status: of the results in the current folder.
        known: what jobs take.
        target: what is asked for; none for the whole paper.
        gpus: whether trainings and searches of networks are computed on GPUs.

    Raises:
        ConfigError: if there is no such target.
    """
    named = targets()
    if target is not None and target not in named:
        raise ConfigError(f"unknown section {target}; allowed: {', '.join(named)}")
    wanted = contents.PAPER if target is None else named[target]
    found = [_runs(status, known, name, gpus) for name in _sections(status, wanted)]
    todo = {step.name for part in found for step in part.steps}
    data = _data(status, known, found)
    made = _paper(status, known, wanted, todo)
    return [part for part in (*data, *found, made) if part.total]


def _sections(status: Status, wanted: Sequence[Section]) -> list[str]:
    """Sections of the runs that some of the paper shows, those that they wait for first."""
    shown = dict.fromkeys(
        name for section in wanted for one in section.summaries for name in one.runs
    )
    jobs = [job for name in shown for job in status.runs.jobs[name].values()]
    before = dict.fromkeys(job.search.partition("/")[0] for job in jobs if job.search)
    return list({**before, **shown})


def _runs(status: Status, known: Costs, section: str, gpus: int) -> Part:
    part = Part(section)
    for name, job in status.runs.jobs[section].items():
        part.total += 1
        if (section, name) not in status.stale:
            continue
        file = result_file(section, name)
        if Path(file).exists():
            part.stale += 1
        else:
            part.missing += 1
        kind, options = SECTIONS[section], job.options
        gpu = gpus > 0 and options.get("device", "cpu") != "cpu"
        work = work_of(kind, options)
        threads = 1 if gpu else options.get("threads", 1)
        after = [f"results/runs/{job.search}.parquet"] if job.search else []
        data = options.get("dataset")
        after += [] if data is None or is_reference(data) else [_prepared(data)]
        cost = known.of(work, gpu)
        step = Step(file, cost, threads, gpu, tuple(after), _bytes(kind, options))
        part.steps.append(step)
    return part


def _prepared(dataset: str) -> str:
    return f"results/data/{dataset}-{FORMAT}.pt"


def _bytes(kind: type[JobOptions], run: Mapping[str, Any]) -> float:
    """Bytes of a result, at most, about."""
    sizes = work_of(kind, run).sizes
    rows = sizes["units"] * sizes.get("seeds", 1)
    if kind is SECTIONS["quality"]:
        ways = len(run.get("aggregations", ())) + len(run.get("normalized", ()))
        rows = sizes["units"] * len(run["n"]) * len(run["k"]) * max(1, ways)
    if "search" in kind.__name__.lower():
        rows = 100
    return 10_000 + ROW * rows


def _data(status: Status, known: Costs, found: Iterable[Part]) -> list[Part]:
    """Data sets that jobs read and that are still to be prepared."""
    needed = {one for part in found for step in part.steps for one in step.after}
    part = Part("data")
    for name in DATASETS:
        path = _prepared(name)
        if path not in needed:
            continue
        part.total += 1
        if not Path(path).exists():
            facts, start = DATASETS[name], known.start("prepare_data")
            images = facts.train + facts.val + facts.test
            size = images * facts.channels * facts.size**2
            part.missing += 1
            part.steps.append(Step(path, _started(start), disk=size))
    return [part]


def _started(start: measured.Start) -> Cost:
    return Cost(start.seconds, start.seconds, start.memory_mb)


def _paper(status: Status, known: Costs, wanted: Iterable[Section], todo: set[str]) -> Part:
    """Summaries, figures, tables and claims."""
    part, fresh = Part("summaries, figures, tables, claims"), set(todo)

    def add(kind: str, path: str, of: Sequence[str], current: bool) -> None:
        part.total += 1
        there = Path(path).exists()
        if there and current and not fresh.intersection(of):
            return
        if there:
            part.stale += 1
        else:
            part.missing += 1
        fresh.add(path)
        part.steps.append(Step(path, _started(known.start(kind)), after=tuple(of), disk=50_000))

    claims = []
    for section in wanted:
        for one in section.summaries:
            keys = [(name, run) for name in one.runs for run in status.runs.jobs[name]]
            of = [result_file(*key) for key in keys]
            current = bool(one.rates) or bool(fresh.intersection(of)) or _is_made(status, one, keys)
            add("summarize", _summary(one.name), of, current)
        for figure in section.figures:
            first = f"results/paper/figures/{figure.name}"
            path = next((str(p) for p in Path().glob(f"{first}.*")), f"{first}.png")
            add("figure", path, [_summary(name) for name in figure.of], True)
        for table in section.tables:
            of = [_summary(name) for name in table.of]
            add("table", f"results/paper/tables/{table.name}.md", of, True)
        if section.claims:
            claims.append(f"results/paper/claims/{section.name}.json")
            add("claims", claims[-1], [_summary(name) for name in section.judged_by], True)
    if len(claims) > 1:
        add("collect_claims", "results/paper/claims.md", claims, True)
        add("page", "results/paper/index.html", claims, True)
    return part


def _summary(name: str) -> str:
    return f"results/summary/{name}.parquet"


def _is_made(status: Status, one: contents.Summary, keys: Iterable[tuple[str, str]]) -> bool:
    """Whether a summary is of the results that are there, by today's code."""
    asked = [status.asked(*key).plain() for key in keys]
    return identity.is_made_of(
        _summary(one.name), asked, fingerprint(one.makes, status.scripts / "summarize.py")
    )


def wall(steps: Sequence[Step], cores: int, gpus: int = 0) -> float:
    """Seconds until everything is done: the longest job that is ready goes first.

    Args:
        steps: in an order in which each stands behind what it waits for.
        cores: in all.
        gpus: in all.
    """
    if not steps:
        return 0.0
    names = {step.name for step in steps}
    waits = {step.name: {one for one in step.after if one in names} for step in steps}
    ready: list[tuple[float, int]] = []
    waiting = dict(enumerate(steps))
    running: list[tuple[float, int]] = []
    now, free, devices = BEGIN, cores, gpus
    ended: set[str] = set()
    while waiting or ready or running:
        for number in [n for n, step in waiting.items() if waits[step.name] <= ended]:
            heapq.heappush(ready, (-waiting.pop(number).cost.seconds, number))
        later = []
        while ready:
            entry = heapq.heappop(ready)
            step = steps[entry[1]]
            threads = min(step.threads, cores)
            if threads > free or (step.gpu and not devices):
                later.append(entry)
                continue
            free, devices = free - threads, devices - step.gpu
            heapq.heappush(running, (now + step.cost.seconds + EACH, entry[1]))
        for entry in later:
            heapq.heappush(ready, entry)
        if not running:  # pragma: no cover - every job fits an empty machine
            break
        now, number = heapq.heappop(running)
        step = steps[number]
        free, devices = free + min(step.threads, cores), devices + step.gpu
        ended.add(step.name)
    return now


def at_once(steps: Iterable[Step], count: int) -> tuple[float, float]:
    """MB of the largest job, and of the largest ``count`` together."""
    largest = heapq.nlargest(max(1, count), (step.cost.memory_mb for step in steps))
    return (largest[0], sum(largest)) if largest else (0.0, 0.0)


def lines(found: Sequence[Part], cores: int, gpus: int) -> Iterator[str]:
    """The plan in words."""
    yield f"{'section':36}{'jobs':>6}{'done':>6}{'stale':>6}{'missing':>8}  expected"
    for part in found:
        cpu = [step.cost for step in part.steps if not step.gpu]
        gpu = [step.cost for step in part.steps if step.gpu]
        takes = [_takes(cpu, "core"), _takes(gpu, "GPU")]
        counts = f"{part.total:6,}{part.done:6,}{part.stale:6,}{part.missing:8,}"
        yield f"{part.name:36}{counts}  {', '.join(filter(None, takes)) or 'nothing to do'}"
    steps = [step for part in found for step in part.steps]
    if not steps:
        return
    on = f"{cores} core{'s' * (cores > 1)}" + (f" and {gpus} GPU{'s' * (gpus > 1)}" if gpus else "")
    one, all_ = at_once(steps, cores)
    disk = sum(step.disk for step in steps) / 1e6
    memory = f"memory {one / 1e3:.1f} GB a job, {all_ / 1e3:.1f} GB at once"
    lasts = duration(wall(steps, cores, gpus))
    yield f"{len(steps):,} jobs, {lasts} on {on}; {memory}; disk {disk:,.0f} MB at most"


def _takes(some: Sequence[Cost], of: str) -> str:
    if not some:
        return ""
    expected, most = sum(one.seconds for one in some), sum(one.at_most for one in some)
    more = f", at most {duration(most, of)}" if most > 1.1 * expected else ""
    return duration(expected, of) + more


def duration(seconds: float, of: str = "") -> str:
    """So many seconds, in the unit that fits.

    >>> duration(200), duration(10_800, "core")
    ('3.3 minutes', '3 core-hours')
    """
    number, unit = seconds, "seconds"
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            number, unit = seconds / size, name
            break
    shown = f"{number:,.0f}" if number >= 99.5 else f"{number:.2g}"
    return f"{shown} {of}-{unit}" if of else f"{shown} {unit}"
