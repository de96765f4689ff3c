"""What a section of the paper consists of: plain frozen values, so that rules can loop over them.

Functions are named as ``module:attribute`` and imported by whoever calls them, never here. Captions
are text that means the same in reStructuredText (report), Markdown (docs) and, converted, LaTeX:
plain words, ``*emphasis*`` and double backquotes.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """One small table made from runs.

    Args:
        name: of ``results/summary/NAME.parquet``.
        runs: sections of runs it is made of (`fgrad.plan.runs.Runs`).
        makes: paths of the runs → frame; of searches: their paths and published rates → frame.
        rates: for searches, the name of their table of rates, ``results/lr_search/RATES.csv``.
    """

    name: str
    runs: tuple[str, ...]
    makes: str
    rates: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure.

    Args:
        name: of ``results/paper/figures/NAME.png``.
        draws: frames → matplotlib figure.
        of: summaries it shows, in the order ``draws`` takes their frames.
        caption: what it shows, in words.
    """

    name: str
    draws: str
    of: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: of ``results/paper/tables/NAME.csv``.
        makes: frames → the table as a frame.
        of: summaries it shows, in the order ``makes`` takes their frames.
        caption: what it shows, in words.
    """

    name: str
    makes: str
    of: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Claim:
    """A statement that could fail.

    Args:
        name: in words, with hyphens.
        statement: what is claimed.
        check: frames → `fgrad.paper.evidence.check.Verdict`.
        of: summaries it is judged by, in the order ``check`` takes their frames.
        also: number of a further section that makes the same statement.
        paper: whether the paper says so; else it is what a referee would ask.
    """

    name: str
    statement: str
    check: str
    of: tuple[str, ...]
    also: str = ""
    paper: bool = True


@dataclass(frozen=True)
class Section:
    """A section of the paper, or the search for its learning rates, with all that belongs to it.

    Args:
        name: of its claims' files.
        number: in the paper.
        title: in the paper.
        target: that makes it; empty where it has none of its own.
        search: whether it is not of the paper itself but searches for a section's rates.
        covers: configuration → what its runs cover, in words; empty without claims.
    """

    name: str
    number: str
    title: str
    target: str = ""
    search: bool = False
    covers: str = ""
    summaries: tuple[Summary, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}"

    @property
    def judged_by(self) -> tuple[str, ...]:
        """Summaries that its claims need, each once."""
        return tuple(dict.fromkeys(name for claim in self.claims for name in claim.of))

    @property
    def questions(self) -> list[dict[str, Any]]:
        """Its claims as plain values, which a job can be handed."""
        own = f"{self.number} search" if self.search else self.number
        return [
            {
                "name": claim.name,
                "section": (f"{claim.also}, {own}" if claim.also else own)
                + ("" if claim.paper else ", beyond the paper"),
                "statement": claim.statement,
                "check": claim.check,
                "of": list(claim.of),
            }
            for claim in self.claims
        ]
