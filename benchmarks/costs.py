"""The table of what jobs take that `fgrad plan` begins with, from folders of finished results.

Networks of the paper's scale are taken from docs/benchmarks.md, which `benchmarks/hours.py`
measured. Of what is measured only that is kept which the rest of the table does not tell.

Usage: python benchmarks/costs.py FOLDER … [--against FOLDER …]
       python benchmarks/costs.py --more KIND FOLDER …

FOLDER holds results/; with --against nothing is written, and what the table of the first folders
says of the jobs of the others is compared with what they took. With --more the shipped table is
kept, and gets rows of jobs of a kind that it tells more than twice, or less than half.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import yaml

from fgrad.outlook import measured
from fgrad.outlook.cost import Costs
from fgrad.outlook.measured import Ended, Measured, Start
from fgrad.outlook.work import SIZES, work_of
from fgrad.plan import runs
from fgrad.plugins import is_reference

ROOT = Path(__file__).parent.parent
LIKE, LEAST = 0.3, 1.0
"""Of its time, and seconds, by which a job may be misjudged before it gets a row of its own."""

TWICE = 2.0
"""Likewise, as a factor, of what is added later, perhaps measured beside other programs."""

HOURS = re.compile(r"^\| (\S+) \| (\S+) \| [\d,.]+ \| [\d,.]+ \| ([\d,.]+) \|.*\| ([\d,.]+) \|$")


def jobs_in(folder: Path) -> list[Ended]:
    """Every job that has ended in a folder."""
    base = folder / "results/runs"
    each = [
        (path, runs.SECTIONS[path.relative_to(base).parts[0]])
        for path in sorted(base.rglob("*.parquet"))
    ]
    return list(measured.ended(each))


def papers(folder: Path) -> Iterator[tuple[str, Start]]:
    """What summaries, figures and the like took, by their rules' names."""
    for path in (folder / "results/benchmarks").rglob("*.tsv"):
        kind = measured.made_by(path.relative_to(folder / "results/benchmarks"))
        if kind:
            yield kind, Start(*measured.benchmark(path))


def trained() -> list[Measured]:
    """An epoch of each network of the paper, on a core and on an H100: docs/benchmarks.md."""
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    jobs = runs.load(paper, ROOT / "config")[1].jobs
    hours = {}
    for line in (ROOT / "docs/benchmarks.md").read_text().splitlines():
        if found := HOURS.match(line):
            network, data, cpu, gpu = found.groups()
            hours[network, data] = [float(one.replace(",", "")) for one in (cpu, gpu)]
    rows = []
    for (network, data), each in hours.items():
        model, _, width = network.partition("-")
        options = [
            job.options
            for section in ("fc", "sota")
            for job in jobs[section].values()
            if (job.options["model"], job.options["dataset"]) == (model, data)
            and width in ("", str(job.options["width"]))
        ]
        epochs = sum(one["epochs"] for one in options)
        frog = next(one for one in options if (one["gradient"], one["k"]) == ("frog", 16))
        work = work_of(runs.SECTIONS["fc"], frog)
        for gpu, total in enumerate(each):
            rows.append(Measured(work, 3600 * total / epochs, 1.0, 0.0, bool(gpu)))
    return rows


def pruned(jobs: Sequence[Ended], rows: list[Measured], starts: dict[str, Start]) -> list[Measured]:
    """Rows that are needed, beside those there are, to tell what every job took."""
    ours = sorted(measured.rows_of(jobs, starts), key=lambda row: -row.seconds * row.work.units)
    kept = list(rows)
    for row in ours:
        if is_reference(row.work.how):  # nobody else's
            continue
        took = row.seconds * row.work.units * row.share
        told = Costs(kept, starts).of(row.work, row.gpu)
        wrong = abs(told.seconds - starts.get(row.work.kind, measured.USUAL).seconds - took)
        if wrong > max(LEAST, LIKE * took):
            kept.append(row)
    return kept


def added(jobs: Sequence[Ended], rows: list[Measured], starts: dict[str, Start]) -> list[Measured]:
    """The rows there are, and those of jobs that they tell by a factor of `TWICE` wrongly."""
    kept = list(rows)
    for row in sorted(
        measured.rows_of(jobs, starts), key=lambda row: -row.seconds * row.work.units
    ):
        took = row.seconds * row.work.units * row.share
        told = Costs(kept, starts).of(row.work, row.gpu).seconds - starts[row.work.kind].seconds
        off = max(told, took) > TWICE * min(told, took)
        if off and abs(told - took) > LEAST and not is_reference(row.work.how):
            kept.append(row)
    return kept


def compare(costs: Costs, jobs: Iterable[Ended]) -> None:
    """Print how what is told of jobs is related to what they took."""
    by: dict[str, list[tuple[float, float, float]]] = {}
    for one in jobs:
        told = costs.of(one.work, one.gpu)
        by.setdefault(one.work.kind, []).append((told.seconds, told.at_most, one.seconds))
    print("| jobs | number | told / took, median | nine of ten | told, s | at most, s | took, s |")
    print("|---|---|---|---|---|---|---|")
    for kind, each in by.items():
        ratios = sorted(told / took for told, _, took in each)
        low, high = ratios[len(ratios) // 20], ratios[-1 - len(ratios) // 20]
        sums = " | ".join(f"{sum(column):,.0f}" for column in zip(*each, strict=True))
        middle = f"{median(ratios):.2f} | {low:.2f} to {high:.2f}"
        print(f"| {kind} | {len(each)} | {middle} | {sums} |")


def write(rows: Iterable[Measured], starts: dict[str, Start]) -> None:
    """Write the table."""
    with measured.SHIPPED.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, measured.FIELDS, restval="", lineterminator="\n")
        table.writeheader()
        for kind, start in sorted(starts.items()):
            known = {"seconds": f"{start.seconds:.3g}", "memory_mb": f"{start.memory_mb:.0f}"}
            table.writerow({"kind": kind} | known)
        for row in rows:
            work = row.work
            known = {
                "kind": work.kind,
                "what": work.what,
                "how": work.how,
                "gpu": str(int(row.gpu)),
            }
            known |= {name: f"{work.sizes[name]:g}" for name in SIZES if name in work.sizes}
            known |= {"seconds": f"{row.seconds:.3g}", "share": f"{row.share:.2g}"}
            table.writerow(known | {"memory_mb": f"{row.memory_mb:.0f}"})


def main() -> None:
    """Write the table, or compare what it would tell with what was taken."""
    if sys.argv[1] == "--more":
        each = [job for folder in sys.argv[3:] for job in jobs_in(Path(folder))]
        jobs = [job for job in each if job.work.kind == sys.argv[2]]
        rows, starts = measured.shipped()
        compare(Costs(rows, starts), jobs)
        rows = added(jobs, rows, starts)
        write(rows, starts)
        compare(Costs(rows, starts), jobs)
        return
    first, *rest = " ".join(sys.argv[1:]).split("--against")
    folders = [Path(one) for one in first.split()]
    jobs = [job for folder in folders for job in jobs_in(folder)]
    others: dict[str, list[Start]] = {}
    for folder in folders:
        for kind, start in papers(folder):
            others.setdefault(kind, []).append(start)
    starts = measured.starts_of(jobs) | measured.medians(others)
    rows = pruned(jobs, trained(), starts)
    if rest:
        held = [job for folder in rest[0].split() for job in jobs_in(Path(folder))]
        compare(Costs(rows, starts), held)
    else:
        write(rows, starts)
        compare(Costs(rows, starts), jobs)


if __name__ == "__main__":
    main()
