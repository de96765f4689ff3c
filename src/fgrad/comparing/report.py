"""A comparison in words: a summary for the terminal, a report in Markdown and in HTML."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fgrad.comparing import chance, columns
from fgrad.comparing.comparison import Comparison
from fgrad.comparing.verdict import ALIKE, DIFFERENT, VERDICTS, Effect, Judged, size
from fgrad.errors import SHOWN
from fgrad.paper.evidence.check import LEVEL
from fgrad.store.files import atomic

TEMPLATES = Path(__file__).parent
REPORTS = {"report.md": "report.md.j2", "report.html": "report.html.j2"}
"""File of a report → its template."""

WAYS = ("lower in B", "higher in B")


def summary(found: Comparison) -> list[str]:
    """What the terminal is told, a line each."""
    lines = [f"A: {found.names[0]}", f"B: {found.names[1]}"]
    lines += [f"  {one.what}: {one.a} | {one.b} ({one.runs})" for one in found.differences]
    lines += [f"runs: {counted(found.runs.values())}"]
    lines += [f"rows: {counted(row.verdict for row in found.rows)}"]
    lines += _few([f"  unreadable: {line}" for line in found.unread])
    worst = [row for row in found.rows if row.verdict not in ALIKE]
    for name in reversed(VERDICTS):
        own = [row for row in worst if row.verdict == name]
        lines += _few([f"  {name}: {row.section}: {row.name}{_why(row)}" for row in own])
    lacking = [row for row in found.lacking if row.verdict in ALIKE]
    lines += _few([f"  incomplete in {row.lacking}: {row.section}: {row.name}" for row in lacking])
    tables = [row for row in found.tables if row.verdict not in ALIKE]
    lines += [f"rows of tables that are not alike: {len(tables)}"] if tables else []
    lines += _few(
        [f"  {row.table}: {row.name}: {row.verdict}{_change(row.change)}" for row in tables]
    )
    if found.judged:
        lines += [f"claims: {len(found.claims)} of {found.judged} with another verdict"]
        lines += _few([f"  {one.name}: {one.a} → {one.b}" for one in found.claims])
    return [*lines, conclusion(found)]


def conclusion(found: Comparison) -> str:
    """The last line: the same, or why not."""
    if not found.reasons:
        return "the same"
    return f"not the same: {', '.join(found.reasons)}"


def write(found: Comparison, folder: Path) -> list[Path]:
    """Write the report in Markdown and in HTML.

    Args:
        found: what is reported.
        folder: where to; it is made.

    Returns:
        The files.

    Raises:
        ConfigError: if they cannot be written.
    """
    from fgrad.comparing import figure

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: "html" in (name or ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    values: dict[str, Any] = {
        "found": found,
        "conclusion": conclusion(found),
        "counted": counted,
        "rows": sorted(
            (row for row in found.rows if row.verdict not in ALIKE[:2] or row.lacking),
            key=lambda row: -VERDICTS.index(row.verdict),
        ),
        "sections": _sections(found),
        "effect": described,
        "tolerances": columns.TOLERANCES,
        "units": columns.UNITS,
        "other": columns.OTHER,
        "level": f"{1 - LEVEL:.0%}",
        "figure": figure.svg(found.rows),
    }
    written = []
    for name, template in REPORTS.items():
        text = environment.get_template(template).render(values)
        with atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def counted(names: Iterable[str]) -> str:
    """How many there are of each verdict, best first.

    >>> counted(["different", "identical", "identical"])
    '2 identical, 1 different'
    """
    counts = Counter(names)
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])


def described(effect: Effect) -> str:
    """A difference with its interval and test, in words."""
    unit, test = effect.metric.unit, effect.test
    text = f"{effect.metric.text} {size(test.difference, unit, WAYS)}"
    if effect.half > 0:
        ends = [test.difference + sign * effect.half for sign in (-1, 1)]
        text += f" (from {size(ends[0], unit, WAYS)} to {size(ends[1], unit, WAYS)})"
    if test.by in ("", chance.ONE):
        return text
    return f"{text}; {test.by}, p = {test.p:.2g}"


def _sections(found: Comparison) -> list[tuple[str, str]]:
    names = dict.fromkeys(row.section for row in found.rows)
    return [
        (name, counted(row.verdict for row in found.rows if row.section == name)) for name in names
    ]


def _why(row: Judged) -> str:
    """What a verdict rests on, and the effects of what is different."""
    said = [row.why] if row.why else []
    if row.verdict == DIFFERENT:
        said += [
            f"{one.metric.text} {size(one.test.difference, one.metric.unit, WAYS)}, "
            f"p = {one.test.p:.2g}"
            for one in row.effects
        ]
    return f" ({'; '.join(said)})" if said else ""


def _change(text: str) -> str:
    return f", {text}" if text else ""


def _few(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - SHOWN
    return [*lines] if more < 2 else [*lines[:SHOWN], f"  and {more} more"]


def _cell(text: object) -> str:
    """Text as it is in a cell of a Markdown table."""
    plain = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", plain)
