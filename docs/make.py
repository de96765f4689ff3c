"""Every figure, table and verdict of these pages, from the summaries that are kept beside them.

``make docs`` draws and writes them anew; ``python docs/make.py keep RUN DIRECTORY`` takes the
summaries over from a working directory of the workflow first. A run is a folder here with the
overlays that it was made with:

    docs/RUN/summary/*.parquet   kept
    docs/RUN/claims.md, figures/NAME.png, tables/NAME.md   written, those that a page refers to
    docs/RUN/NAME.csv   written, tables of the learning rates found
    docs/*.md, docs/*/README.md   the captions below their figures
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from textwrap import fill, indent
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fgrad.paper import claims, contents, scale
from fgrad.paper.figures import files, look, style
from fgrad.paper.tables import table
from fgrad.plan import rates, read, runs
from fgrad.store import parquet

HOME = Path(__file__).resolve().parent.parent
DOCS = HOME / "docs"
RUNS: dict[str, tuple[str, ...]] = {
    "paper": (),
    "estimators": ("examples/estimators.yaml",),
    "laptop": ("config/laptop.yaml",),
    "lr_search": (),
    "lr_search/network": ("config/search_mnist5k.yaml",),
    "fashion_mnist/published": ("config/fashion_mnist.yaml", "docs/two_widths.yaml"),
    "fashion_mnist/searched": ("config/fashion_mnist.yaml", "docs/searched.yaml"),
}
"""Folder → overlays of its configuration."""

IMAGE = re.compile(r"^(!\[[^]]*\]\(([^)]*)figures/(\w+)\.png\)\n)(?:\n(?:>.*\n)+)?", re.MULTILINE)
TABLE = re.compile(r"\]\(([^)]*)tables/(\w+)\.md\)")


@dataclass(frozen=True)
class Run:
    """Summaries of a run, and what was run.

    Args:
        name: its folder.
        source: folder of the pages.
    """

    name: str
    source: Path = DOCS

    @cached_property
    def summaries(self) -> dict[str, pd.DataFrame]:
        """The frames that are kept."""
        return {path.stem: parquet.read(path) for path in sorted(self.folder.glob("*.parquet"))}

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self.source / self.name / "summary"

    @cached_property
    def config(self) -> Any:
        """The configuration, checked."""
        layers = [((HOME / one).parent, read.read(HOME / one)) for one in RUNS[self.name]]
        over = read.laid_over(*(layer for _, layer in layers))
        folders = read.folders(layers)
        return runs.load(read.laid_under(HOME, over), HOME / "config", folders)[0]

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        """What captions say of it."""
        return scale.facts(self.config)

    def frames(self, names: tuple[str, ...]) -> list[pd.DataFrame]:
        """Summaries by name."""
        return [self.summaries[name] for name in names]

    def draw(self, name: str, target: Path) -> None:
        """Draw a figure."""
        figure = contents.FIGURES[name]
        look.use(look.Look())
        drawn = resolve_name(figure.draws)(*self.frames(figure.of))
        shown = files.shown([str(self.folder / f"{one}.parquet") for one in figure.of])
        files.save(drawn, [str(target)], "", shown)

    def tabulate(self, name: str, target: Path) -> None:
        """Write a table in Markdown."""
        one = contents.TABLES[name]
        made = resolve_name(one.makes)(*self.frames(one.of))
        section = section_of(one)
        caption = one.caption_of(self.facts[section.name])
        text = f"# {section.heading}\n\n{caption}\n\n{table.for_people(made)}\n"
        target.write_text(text, encoding="utf-8")

    def judge(self, target: Path) -> None:
        """Write the verdicts of every section whose summaries are kept."""
        judged, covered = [], []
        for section in (*contents.PAPER, *contents.SEARCHES):
            if section.claims and set(section.judged_by) <= self.summaries.keys():
                tuned = scale.tuned(self.config, section.name.removeprefix("search_"))
                judged += claims.judge(section.questions, self.summaries, tuned=tuned)
                covered.append(f"{section.number}: {resolve_name(section.covers)(self.config)}")
        target.write_text(claims.markdown(judged, " ".join(covered)), encoding="utf-8")

    def write_rates(self, folder: Path) -> None:
        """Write the learning rates found, as the configuration takes them."""
        for name, frame in self.summaries.items():
            if found := contents.SUMMARIES[name].rates:
                rates.write_table(folder / f"{found}.csv", frame)


def section_of(one: Any) -> contents.Section:
    """The section that a figure or a table belongs to."""
    return next(s for s in contents.SECTIONS.values() if one in (*s.figures, *s.tables))


def wanted(page: Path, pattern: re.Pattern[str], source: Path) -> Iterator[tuple[str, str]]:
    """Run and name of what a page refers to."""
    for found in pattern.finditer(page.read_text(encoding="utf-8")):
        where, name = found.groups()[-2:]
        run = (page.parent / where).resolve().relative_to(source.resolve()).as_posix()
        if run in RUNS:
            yield run, name


def captioned(page: Path, made: dict[str, Run], source: Path) -> str:
    """A page with the caption below each figure, as a block quote."""

    def below(found: re.Match[str]) -> str:
        image, where, name = found.groups()
        run = (page.parent / where).resolve().relative_to(source.resolve()).as_posix()
        if run not in made:
            return found[0]
        figure = contents.FIGURES[name]
        caption = figure.caption_of(made[run].facts[section_of(figure).name])
        return f"{image}\n{indent(fill(caption, 108, break_on_hyphens=False), '> ')}\n"

    return IMAGE.sub(below, page.read_text(encoding="utf-8"))


def make(source: Path = DOCS, target: Path = DOCS) -> None:
    """Make everything.

    Args:
        source: folder of the pages and summaries.
        target: folder to write to; the same, or one to compare with.
    """
    made = {name: Run(name, source) for name in RUNS if any(Run(name, source).folder.glob("*"))}
    pages = [*source.glob("*.md"), *source.glob("**/README.md"), source.parent / "README.md"]
    for page in filter(Path.is_file, pages):
        for pattern, kind, end in ((IMAGE, "figures", "png"), (TABLE, "tables", "md")):
            for run, name in wanted(page, pattern, source):
                path = target / run / kind / f"{name}.{end}"
                path.parent.mkdir(parents=True, exist_ok=True)
                (made[run].draw if kind == "figures" else made[run].tabulate)(name, path)
        if page.parent != source.parent:
            new = target / page.relative_to(source)
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(captioned(page, made, source), encoding="utf-8")
    for run, of in made.items():
        (target / run).mkdir(parents=True, exist_ok=True)
        of.judge(target / run / "claims.md")
        of.write_rates(target / run)


def keep(run: str, directory: Path) -> None:
    """Take over the summaries of a working directory."""
    folder = Run(run).folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((directory / "results/summary").glob("*.parquet")):
        table = pq.read_table(path)
        if path.stem == "curves":  # of the dimensions that are drawn, a third of all
            drawn = pa.array(style.three(table["n"].to_pandas()), table["n"].type)
            table = table.filter(pc.is_in(table["n"], drawn))
        small(table, folder / path.name)


def small(table: pa.Table, path: Path) -> None:
    """Write a table in few bytes: numbers byte by byte, which compress better than one by one."""
    numbers = [one.name for one in table.schema if pa.types.is_floating(one.type)]
    others = [name for name in table.column_names if name not in numbers]
    split = dict.fromkeys(numbers, "BYTE_STREAM_SPLIT")
    how = {"compression": "zstd", "compression_level": 19, "column_encoding": split}
    pq.write_table(table, path, use_dictionary=others, **how)


def main() -> None:
    """Make all, or keep the summaries of a run and make all."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command")
    kept = commands.add_parser("keep", help="take over summaries")
    kept.add_argument("run", choices=RUNS)
    kept.add_argument("directory", type=Path)
    asked = parser.parse_args()
    if asked.command:
        keep(asked.run, asked.directory)
    make()


if __name__ == "__main__":
    main()
