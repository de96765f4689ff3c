"""The list of contents: every section, summary, figure, table, claim and caption, once.

Rules, targets, report, LaTeX, documentation pages and tests loop over it. It imports nothing but
itself, so that reading it costs nothing: functions are named, not imported.

A new figure is a module in `fgrad.paper.figures` and an entry in its section here.
"""

from fgrad.paper.contents.functions import ANGLES, FUNCTIONS
from fgrad.paper.contents.kinds import Claim, Figure, Section, Summary, Table
from fgrad.paper.contents.networks import FC, SOTA
from fgrad.paper.contents.quality import CONCEPTS, QUALITY
from fgrad.paper.contents.searches import (
    SEARCH_ANGLES,
    SEARCH_FC,
    SEARCH_FUNCTIONS,
    SEARCH_NETWORKS,
    SEARCH_SOTA,
)

__all__ = [
    "CLAIMS",
    "FIGURES",
    "PAPER",
    "SEARCHES",
    "SECTIONS",
    "SUMMARIES",
    "TABLES",
    "VERDICTS",
    "Claim",
    "Figure",
    "Section",
    "Summary",
    "Table",
]

PAPER = (CONCEPTS, QUALITY, FUNCTIONS, ANGLES, FC, SOTA)
"""Sections of the paper, in its order."""

SEARCHES = (SEARCH_FUNCTIONS, SEARCH_ANGLES, SEARCH_FC, SEARCH_SOTA, SEARCH_NETWORKS)
"""Searches for their learning rates, made by targets of their own."""

SECTIONS = {section.name: section for section in (*PAPER, *SEARCHES)}
SUMMARIES = {one.name: one for section in SECTIONS.values() for one in section.summaries}
FIGURES = {one.name: one for section in SECTIONS.values() for one in section.figures}
TABLES = {one.name: one for section in SECTIONS.values() for one in section.tables}
CLAIMS = {one.name: one for section in SECTIONS.values() for one in section.claims}

VERDICTS = (
    "Each statement of the paper's sections 4.1 to 4.5 as a check, with its evidence, what was "
    "tolerated, and the verdict: holds, fails, or not decidable at this scale."
)
"""Caption of the verdicts on a section's claims."""
