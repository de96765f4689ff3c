"""Rows of the paper's tables and its claims, as both sides have them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fgrad.comparing import columns
from fgrad.comparing.pairs import EQUAL, IDENTICAL, ONLY_A, ONLY_B
from fgrad.comparing.verdict import DIFFERENT, VERDICTS, Judged
from fgrad.errors import ConfigError
from fgrad.paper.contents import CLAIMS, SUMMARIES, TABLES

SAME_NUMBER = 1e-9
"""Relative difference of numbers that are made of the same runs."""

NEITHER = ("published_",)
"""How names of columns begin that no run makes."""


@dataclass(frozen=True)
class TableRow:
    """A row of a table that is not the same.

    Args:
        table: name of it.
        name: of the row, in words.
        verdict: the worst of the rows of runs that it shows.
        change: of the number that has changed most, in words.
        stale: whether its numbers differ although its runs are the same.
    """

    table: str
    name: str
    verdict: str
    change: str
    stale: bool = False


@dataclass(frozen=True)
class ChangedClaim:
    """A claim whose verdict is not the same.

    Args:
        name: of it.
        section: of the paper.
        a: verdict on one side; ``missing`` without one.
        b: on the other.
    """

    name: str
    section: str
    a: str
    b: str

    @property
    def reversed(self) -> bool:
        """Whether it holds on one side and fails on the other."""
        return {self.a, self.b} == {"holds", "fails"}


def tables(judged: Sequence[Judged], a: Path, b: Path) -> list[TableRow]:
    """Rows of tables that are not identical or equal.

    Args:
        judged: rows of runs.
        a: folder of the paper's tables and claims on one side.
        b: on the other.

    Raises:
        ConfigError: if a table cannot be read.
    """
    found = []
    for name, table in TABLES.items():
        sections = {run for summary in table.of for run in SUMMARIES[summary].runs}
        own = [row for row in judged if row.section in sections]
        sides = [_table(folder / "tables" / f"{name}.csv") for folder in (a, b)]
        if own and all(side is not None for side in sides):
            found += _compared(name, own, *(side for side in sides if side is not None))
    return found


def claims(a: Path, b: Path, only: Sequence[str] = ()) -> tuple[list[ChangedClaim], int]:
    """Claims whose verdict is another, and how many both sides have.

    Args:
        a: folder of the paper's tables and claims on one side.
        b: on the other.
        only: sections of runs, of which one must be behind a claim; all if none is named.
    """
    x, y = _claims(a), _claims(b)
    if only:
        x, y = ({n: c for n, c in side.items() if _of(n, only)} for side in (x, y))
    if not x or not y:  # made of one side alone
        return [], 0
    changed = []
    for name in {**x, **y}:
        verdicts = [str(side.get(name, {}).get("verdict", "missing")) for side in (x, y)]
        if verdicts[0] != verdicts[1]:
            section = str((x.get(name) or y[name]).get("section", ""))
            changed.append(ChangedClaim(name, section, *verdicts))
    return changed, len(x.keys() & y.keys())


def _of(claim: str, sections: Sequence[str]) -> bool:
    known = CLAIMS.get(claim)
    runs = {run for summary in known.of for run in SUMMARIES[summary].runs} if known else set()
    return not runs.isdisjoint(sections)


def _claims(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Claims by name: of all sections' files, or of the one that has all."""
    paths = sorted((folder / "claims").glob("[!.]*.json")) or [folder / "claims.json"]
    found: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found |= {str(one["name"]): one for one in content}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError):
            raise ConfigError(f"{path}: no claims of fgrad; make them again") from None
    return found


def _table(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        said = (str(error).splitlines() or ["unreadable"])[0]
        raise ConfigError(f"{path}: no table of fgrad ({said}); make it again") from None


def _compared(
    table: str, judged: Iterable[Judged], a: pd.DataFrame, b: pd.DataFrame
) -> list[TableRow]:
    keys = [name for name in columns.ROW if name in a and name in b]
    worst: dict[tuple[Any, ...], Judged] = {}
    for row in judged:
        key = _key(dict(row.row), keys)
        if key not in worst or _badness(row) > _badness(worst[key]):
            worst[key] = row
    x, y = ({_key(one, keys): one for one in side.to_dict("records")} for side in (a, b))
    numbers = [
        name
        for name in a.columns
        if name in b
        and name not in keys
        and not columns.is_time(name.rsplit("_", 1)[0])
        and not name.startswith(NEITHER)
    ]
    found = []
    for key in {**x, **y}:
        behind = worst.get(key)
        if behind is None:
            continue
        if key not in x or key not in y:
            found.append(TableRow(table, behind.name, ONLY_A if key in x else ONLY_B, ""))
            continue
        changed = [name for name in numbers if not _same(x[key][name], y[key][name])]
        change = _change(x[key], y[key], changed)
        stale = bool(changed) and behind.verdict == IDENTICAL and not behind.lacking
        if stale or behind.verdict not in (IDENTICAL, EQUAL):
            verdict = DIFFERENT if stale else behind.verdict
            found.append(TableRow(table, behind.name, verdict, change, stale))
    return found


def _badness(row: Judged) -> int:
    return VERDICTS.index(row.verdict)


def _key(row: Mapping[Any, Any], keys: Sequence[str]) -> tuple[Any, ...]:
    """What names a row, whole numbers as such however they were read."""
    found = (row.get(name) for name in keys)
    return tuple(None if pd.isna(v) else v if isinstance(v, str) else float(v) for v in found)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    return bool(np.isclose(a, b, rtol=SAME_NUMBER, atol=0, equal_nan=True))


def _change(a: Mapping[Any, Any], b: Mapping[Any, Any], changed: Sequence[str]) -> str:
    """The number that has changed most, in words."""

    def part(name: str) -> float:
        if isinstance(a[name], str) or isinstance(b[name], str):
            return np.inf
        size = max(abs(a[name]), abs(b[name]))
        return float(np.nan_to_num(abs(a[name] - b[name]) / size, nan=np.inf)) if size else 0.0

    if not changed:
        return ""
    name = max(changed, key=part)
    return f"{name} {_text(a[name])} → {_text(b[name])}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
