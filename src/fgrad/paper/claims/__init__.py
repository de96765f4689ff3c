"""The paper's statements, each as a check that could fail.

A claim is a function from the summaries to a `Verdict`, registered by
`fgrad.paper.claims.check.claim`.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from fgrad.paper.claims import functions, networks, quality, search
from fgrad.paper.claims.check import CLAIMS, Summaries
from fgrad.store.files import atomic

MODULES = (quality, functions, networks, search)
"""Their claims, in the paper's order."""


def judge(summaries: Summaries, section: str) -> list[dict[str, str]]:
    """Every claim of a section with its verdict, in the paper's order.

    Args:
        summaries: those of the section, by name.
        section: its number; a claim that also belongs to section 3 is among those of 4.1.
    """
    judged = []
    for one in CLAIMS:
        if one.section.endswith(section):
            entry = {"name": one.name, "section": one.section, "statement": one.statement}
            judged.append(entry | asdict(one.check(summaries)))
    return judged


def write(judged: list[dict[str, str]], markdown: str, as_json: str, scale: str) -> None:
    """Write the verdicts for people and for programs.

    Args:
        judged: from `judge`.
        markdown: path.
        as_json: path.
        scale: what the run covered, in words.
    """
    counts = pd.Series([one["verdict"] for one in judged]).value_counts()
    lines = ["# Claims", "", scale, ""]
    lines += [", ".join(f"{verdict}: {count}" for verdict, count in counts.items()) + ".", ""]
    for one in judged:
        lines += [
            f"## {one['name']}: {one['verdict']}",
            "",
            f"Section {one['section']}. {one['statement']}",
            "",
        ]
        lines += [f"- Evidence: {one['evidence']}", f"- Tolerance: {one['tolerance']}", ""]
    content = {
        markdown: "\n".join(lines),
        as_json: json.dumps(judged, indent=2, ensure_ascii=False) + "\n",
    }
    for path, text in content.items():
        with atomic(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")
