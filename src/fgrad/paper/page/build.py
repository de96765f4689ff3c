"""Everything that the page shows, collected as plain data, and put into its template."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fgrad import __version__
from fgrad.paper import claims, contents
from fgrad.paper.page import ending, rows
from fgrad.paper.page.drawings import Drawing, faces
from fgrad.paper.page.render import render, title
from fgrad.store import parquet
from fgrad.store.files import atomic

Shows = Sequence[Mapping[str, Any]]
"""The sections as plain values: ``name``, ``heading``, ``covers`` (in words), ``target``, how many
runs it ``lacks`` and consists ``of``, and ``captions`` of ``figures`` and ``tables``, by name."""


def write(path: str, shows: Shows, runs: Mapping[str, Sequence[str]]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML.
        shows: what is on it; nothing is read of a section that lacks runs.
        runs: section of runs → their files, of those that are shown.
    """
    page = collect(shows, runs, Path(path).parent)
    text = render("page.html.j2", **page)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def collect(shows: Shows, runs: Mapping[str, Sequence[str]], paper: Path) -> dict[str, Any]:
    """What the template is filled with.

    Args:
        shows: see `write`.
        runs: see `write`.
        paper: folder of figures, tables and claims; summaries lie beside it.
    """
    sections = [_section(one, paper) for one in shows]
    figures = [figure for one in sections for figure in one["figures"]]
    verdicts = [verdict for one in sections for verdict in one["verdicts"]]
    made: list[list[str]] = []
    behind = {name: rows.of_runs(paths, made) for name, paths in runs.items()}
    summaries = _summaries(figures, paper)
    data: dict[str, Any] = {"summaries": summaries, "runs": behind, "made": made}
    data["runs_of"] = {name: contents.SUMMARIES[name].runs for name in summaries}
    return {
        "sections": sections,
        "verdicts": verdicts,
        "claims": [one["name"] for one in verdicts],
        "counts": ending.counted(verdicts),
        "headings": list(claims.HEADINGS.items()),
        "count": sum(map(len, behind.values())),
        "seconds": sum(run["seconds"] for part in behind.values() for run in part),
        "commits": sorted({commit for _, commit, _ in made}),
        "version": __version__,
        "faces": Markup(faces(figure["drawing"] for figure in figures)),
        "data": _embedded(data),
    }


def _section(one: Mapping[str, Any], paper: Path) -> dict[str, Any]:
    section, captions = contents.SECTIONS[one["name"]], one["captions"]
    found: dict[str, Any] = {**one, "figures": [], "tables": [], "verdicts": []}
    if one["lacks"]:
        return found
    for figure in section.figures:
        caption = captions["figures"][figure.name]
        label = f"Figure, {title(figure.name)}: {caption.partition('. ')[0].rstrip('.')}."
        text = (paper / f"page/{figure.name}.svg").read_text(encoding="utf-8")
        drawing = Drawing(text, figure.name, label.replace("*", ""))
        own = {"name": figure.name, "caption": caption, "of": figure.of, "values": figure.values}
        found["figures"].append(own | {"drawing": drawing, "svg": Markup(drawing.svg)})
    for table in section.tables:
        text = (paper / f"tables/{table.name}.html").read_text(encoding="utf-8")
        found["tables"].append(
            {"name": table.name, "caption": captions["tables"][table.name], "html": _main(text)}
        )
    if section.claims:
        judged = (paper / f"claims/{section.name}.json").read_text(encoding="utf-8")
        found["verdicts"] = json.loads(judged)
    return found


def _main(text: str) -> Markup:
    """What stands between the marks of a page that we have written."""
    return Markup(text.partition("<!-- begin -->")[2].partition("<!-- end -->")[0].strip())


def _summaries(figures: Sequence[Mapping[str, Any]], paper: Path) -> dict[str, Any]:
    """The rows of each summary that a figure is drawn of, with what any of them shows of it."""
    values: dict[str, list[str]] = {}
    for figure in figures:
        for summary in figure["of"]:
            own = values.setdefault(summary, [])
            own += [value for value in figure["values"] if value not in own]
    folder = paper.parent / "summary"
    return {
        name: rows.of_summary(parquet.read(folder / f"{name}.parquet"), shown)
        for name, shown in values.items()
    }


def _embedded(data: Any) -> Markup:
    """JSON that ends no script."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))
