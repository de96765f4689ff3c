"""What a section of the paper consists of: plain frozen values, so that rules can loop over them.

Functions are named as ``module:attribute`` and imported by whoever calls them, never here. Captions
are text that means the same in reStructuredText (report), Markdown (docs) and, converted, LaTeX:
plain words, ``*emphasis*`` and double backquotes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def filled(caption: str, facts: Mapping[str, str]) -> str:
    """A caption with what was run, beginning with a capital.

    >>> filled("{mean} of them", {"mean": "mean over 5 seeds"})
    'Mean over 5 seeds of them'
    """
    text = caption.format_map(facts)
    return text[:1].upper() + text[1:]


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
        caption: what it shows, in words, with ``{fields}`` for what was run, see
            `fgrad.paper.scale.facts`.
        values: what it shows of its summaries: described over seeds or samples, or plain columns.
    """

    name: str
    draws: str
    of: tuple[str, ...]
    caption: str
    values: tuple[str, ...] = ()

    def caption_of(self, facts: Mapping[str, str]) -> str:
        """The caption with what was run filled in; its first letter is a capital."""
        return filled(self.caption, facts)


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: of ``results/paper/tables/NAME.csv``.
        makes: frames → `fgrad.paper.tables.table.Table`.
        of: summaries it shows, in the order ``makes`` takes their frames.
        caption: what it shows, in words; ``{…}`` is one of `fgrad.paper.scale.facts`.
        metrics: of which it shows what the paper reports, which ``makes`` takes as ``published``.
    """

    name: str
    makes: str
    of: tuple[str, ...]
    caption: str
    metrics: tuple[str, ...] = ()

    def caption_of(self, facts: Mapping[str, str]) -> str:
        """The caption with what was run filled in; its first letter is a capital."""
        return filled(self.caption, facts)


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
        beside_published: the claim that is made as soon as somebody has entered what the paper
            reports of it.
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
    beside_published: Claim | None = None

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}"

    @property
    def judged_by(self) -> tuple[str, ...]:
        """Summaries that its claims need, each once."""
        claims = (*self.claims, *([self.beside_published] if self.beside_published else []))
        return tuple(dict.fromkeys(name for claim in claims for name in claim.of))

    @property
    def questions(self) -> list[dict[str, Any]]:
        """Its claims as plain values, which a job can be handed."""
        return self._asked(self.claims)

    def question_beside(self, rows: list[dict[str, Any]], unlike: str) -> list[dict[str, Any]]:
        """The claim about what the paper reports, if there is any.

        Args:
            rows: what is reported, as plain values.
            unlike: how the run differs from the paper's, in words.
        """
        if not rows or self.beside_published is None:
            return []
        given = {"published": rows, "unlike": unlike}
        return [one | {"given": given} for one in self._asked((self.beside_published,))]

    def _asked(self, claims: tuple[Claim, ...]) -> list[dict[str, Any]]:
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
            for claim in claims
        ]


def beside_published(name: str, *of: str) -> Claim:
    """The claim that a run reaches what the paper reports."""
    return Claim(
        f"{name}-within-the-published-spread",
        statement="The means of this run are within the spread of the published ones.",
        check="fgrad.paper.claims.published:within_spread",
        of=of,
    )
