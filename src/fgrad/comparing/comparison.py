"""All that is found of two sides: runs, rows, tables, claims, and how they were made."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fgrad.comparing import made, metrics, paper, verdict
from fgrad.comparing.pairs import EQUAL, IDENTICAL, ONLY_A, ONLY_B, Part, Row, alone, compared
from fgrad.comparing.sides import Result, Side, read, section
from fgrad.comparing.verdict import VERDICTS, Judged
from fgrad.errors import ConfigError


@dataclass
class Comparison:
    """What was found.

    Args:
        names: of both sides.
        rows: of all sections, with their verdicts.
        runs: verdict of each run, by its path below that of all runs.
        unread: a line for each file that could not be read.
        differences: of how they were made.
        tables: rows of the paper's tables.
        claims: those whose verdict is another.
        judged: how many claims both sides have.
    """

    names: tuple[str, str]
    rows: list[Judged] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    differences: list[made.Difference] = field(default_factory=list)
    tables: list[paper.TableRow] = field(default_factory=list)
    claims: list[paper.ChangedClaim] = field(default_factory=list)
    judged: int = 0

    @property
    def lacking(self) -> list[Judged]:
        """Rows of which one side has seeds or runs that the other lacks without a substitute."""
        return [row for row in self.rows if row.lacking]

    @property
    def reasons(self) -> list[str]:
        """Why both sides are not the same, in words; empty if they are."""
        counts = Counter(row.verdict for row in self.rows)
        said = (
            (counts[verdict.DIFFERENT], "row", "different"),
            (counts[verdict.UNDECIDED], "row", "undecided"),
            (len(self.lacking), "row", "incomplete"),
            (len(self.unread), "file", "unreadable"),
            (sum(row.stale for row in self.tables), "row", "of tables of the same runs different"),
            (sum(claim.reversed for claim in self.claims), "claim", "reversed"),
        )
        return [f"{count} {what}{'s' * (count > 1)} {how}" for count, what, how in said if count]


def compare(
    a: Side, b: Side, only: Sequence[str] = (), gradients: Sequence[str] = ()
) -> Comparison:
    """Compare two sides.

    Args:
        a: a side.
        b: the other.
        only: sections that are looked at; all if none is named.
        gradients: gradients, and aggregations of section 4.1, likewise.

    Raises:
        ConfigError: if one of the names is not there, or nothing is on both sides.
    """
    runs = sorted({*a.paths, *b.paths})
    _known("only", only, [section(run) for run in runs])
    chosen = [run for run in runs if not only or section(run) in only]
    common = {section(run) for run in a.paths} & {section(run) for run in b.paths}
    found = Comparison((a.name, b.name))
    parts: list[Part] = []
    facts = made.Facts()
    seen: set[str] = set()
    for run in chosen:
        own = []
        for side in (a, b):
            result = _read(run, side, found.unread)
            own.append(result and _of(result, gradients, seen))
        x, y = own
        if section(run) in common:
            facts.add(x, y)
        if x and y:
            parts += compared(x, y)
        else:
            parts += [*(alone(x, ONLY_A) if x else ()), *(alone(y, ONLY_B) if y else ())]
    _known("gradient", gradients, seen)
    found.rows = verdict.rows(parts)
    if all(row.verdict in (ONLY_A, ONLY_B) for row in found.rows):
        first, more = found.unread[:1], len(found.unread) - 1
        why = "".join(f"; not read: {one}" for one in first) + f" and {more} more" * (more > 0)
        raise ConfigError(
            f"{a.name}, {b.name}: no run of one is comparable with one of the other{why}"
        )
    _test(found, (a, b))
    verdict.settle(found.rows)
    found.runs = _runs(found, chosen, a.paths.keys() & b.paths.keys())
    found.differences = facts.differences()
    found.tables = paper.tables(found.rows, a.paper, b.paper)
    found.claims, found.judged = paper.claims(a.paper, b.paper, only)
    return found


def _known(what: str, named: Sequence[str], there: Sequence[str] | set[str]) -> None:
    if unknown := [name for name in named if name not in there]:
        known = ", ".join(sorted(set(there))) or "none"
        raise ConfigError(f"{what} = {unknown[0]}: no run of it on either side; there are {known}")


def _read(run: str, side: Side, unread: list[str]) -> Result | None:
    """A run of a side; none if there is none or it cannot be read, which is noted."""
    if run not in side.paths:
        return None
    try:
        return read(run, side.paths[run])
    except ConfigError as error:
        unread.append(str(error).splitlines()[0])
        return None


def _of(result: Result, gradients: Sequence[str], seen: set[str]) -> Result | None:
    """A result's rows of some gradients, if there are any."""
    name = "gradient" if "gradient" in result.frame else "aggregation"
    seen.update(result.frame[name].unique())
    if not gradients:
        return result
    kept = result.frame[result.frame[name].isin(gradients)].reset_index(drop=True)
    return None if kept.empty else Result(result.run, result.path, kept, result.known)


def _test(found: Comparison, sides: Sequence[Side]) -> None:
    """Test the rows that are neither identical nor equal nor of one side alone."""
    values: dict[Path, dict[Row, pd.DataFrame]] = {}
    for row in found.rows:
        if row.verdict:
            continue
        frames: list[list[pd.DataFrame]] = []
        for side, absent in zip(sides, (ONLY_B, ONLY_A), strict=True):
            runs = dict.fromkeys(part.run for part in row.parts if part.found != absent)
            for run in runs:
                path = side.paths[run]
                if path not in values:
                    values[path] = _metrics(run, path, found.unread)
            own = [values[side.paths[run]] for run in runs]
            frames.append([one[row.row] for one in own if row.row in one])
        if all(frames):
            verdict.test(row, *frames)


def _metrics(run: str, path: Path, unread: list[str]) -> dict[Row, pd.DataFrame]:
    """Metrics of a run by row; none if they cannot be had, which is noted."""
    try:
        return metrics.by_row(read(run, path))
    except ConfigError as error:
        unread.append(str(error).splitlines()[0])
        return {}


def _runs(found: Comparison, runs: Sequence[str], both: Set[str]) -> dict[str, str]:
    """Verdict of each run: the worst of its parts, where they are not alike that of the row."""
    worst: dict[str, int] = {}
    for row in found.rows:
        for part in row.parts:
            alike = part.found in (IDENTICAL, EQUAL) or part.run not in both
            one = part.found if alike else row.verdict
            worst[part.run] = max(worst.get(part.run, 0), VERDICTS.index(one))
    return {run: VERDICTS[worst[run]] for run in runs if run in worst}
