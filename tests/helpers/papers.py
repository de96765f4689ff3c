"""A folder of results as the workflow leaves it, made of small runs in one process, for its page."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.paper import claims, contents, summary
from fgrad.paper.figures import files
from fgrad.paper.page import build
from fgrad.paper.tables import table
from fgrad.store import parquet

SHOWN = ("concepts", "quality", "functions")
"""Sections that are finished."""


def runs_in(folder: Path) -> dict[str, list[str]]:
    """Runs of sections 4.1 and 4.2: three dimensions, one seed that diverges."""

    def path(section: str, name: str) -> str:
        return str(folder / f"runs/{section}/{name}.parquet")

    made: dict[str, list[str]] = {"quality": [], "exact": [], "functions": []}
    for section, run in (
        ("quality", QualityRun(n=(1, 4, 16), k=(1, 4), samples=20)),
        ("exact", QualityRun(n=(4, 10**9), k=(1, 4), samples=20, method="exact", normalized=())),
    ):
        made[section].append(path(section, "all"))
        jobs.carry_out(run, made[section][0])
    for function in ("sphere", "styblinski-tang"):
        for n in (2, 4, 16):
            for gradient, k in (("bp", None), ("fg-mean", 1), ("fg-mean", 2), ("frog", 2)):
                lr = 50.0 if (gradient, n) == ("frog", 16) else 0.01
                own: dict[str, Any] = {"function": function, "n": n, "gradient": gradient, "k": k}
                made["functions"].append(path("functions", f"{function}/n{n}/{gradient}{k}"))
                descent = FunctionRun(**own, lr=lr, seeds=(0, 1), steps=30)
                jobs.carry_out(descent, made["functions"][-1])
    return made


def paper_in(folder: Path) -> Path:
    """The page of these, without sections 4.3 to 4.5; a word in a caption would be a script."""
    runs = runs_in(folder)
    paper = folder / "paper"
    for name in SHOWN:
        _make(contents.SECTIONS[name], runs, paper)
    build.write(str(paper / "index.html"), shown(), runs)
    return paper / "index.html"


def shown() -> list[dict[str, Any]]:
    """The sections, as the rule hands them over."""
    return [
        {
            "name": section.name,
            "heading": section.heading,
            "target": section.target,
            "covers": "Small: </script><script>alert(1)</script>.",
            "lacks": 0 if section.name in SHOWN else 2,
            "of": 3,
            "captions": {
                kind: {
                    one.name: f"One of {kind}: *mean-is-unbiased* & <b>more</b>. Then more."
                    for one in getattr(section, kind)
                }
                for kind in ("figures", "tables")
            },
        }
        for section in contents.PAPER
    ]


def _make(section: contents.Section, runs: dict[str, list[str]], paper: Path) -> None:
    frames = {}
    for one in section.summaries:
        paths = [path for kind in one.runs for path in runs[kind]]
        path = paper.parent / f"summary/{one.name}.parquet"
        summary.write(resolve_name(one.makes)(paths), str(path), {})
        frames[one.name] = parquet.read(path)
    for figure in section.figures:
        drawn = resolve_name(figure.draws)(*(frames[name] for name in figure.of))
        files.save(drawn, [], page=str(paper / f"page/{figure.name}.svg"))
    for shows in section.tables:
        made = resolve_name(shows.makes)(*(frames[name] for name in shows.of))
        csv, markdown, tex, html = (
            str(paper / f"tables/{shows.name}.{kind}") for kind in ("csv", "md", "tex", "html")
        )
        table.write(made, csv, markdown, tex, html, shows.caption)
    if section.claims:
        judged = claims.judge(section.questions, frames, tuned=True)
        people, programs, browsers = (
            str(paper / f"claims/{section.name}.{kind}") for kind in ("md", "json", "html")
        )
        claims.write(judged, people, programs, browsers, "Small.")
