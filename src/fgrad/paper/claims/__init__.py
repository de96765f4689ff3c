"""The paper's statements, each as a check that could fail.

A check is a function from frames to a `fgrad.paper.evidence.check.Verdict`; which statement it
decides, and from which summaries, is said in `fgrad.paper.contents`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pandas as pd

from fgrad.paper.page.ending import counted
from fgrad.paper.page.render import render
from fgrad.store.files import atomic

HEADINGS = {
    "evidence": "Evidence",
    "tolerance": "Test",
    "null": "Null hypothesis",
    "power": "Power",
    "note": "Note",
}
"""What is said of a verdict, in this order."""


def judge(
    claims: Sequence[Mapping[str, Any]],
    frames: Mapping[str, pd.DataFrame],
    note: str = "",
    tuned: bool = False,
) -> list[dict[str, str]]:
    """Every claim with its verdict.

    Args:
        claims: plain values, as `fgrad.paper.contents.Section.questions` gives them.
        frames: the summaries they are judged by, by name.
        note: said of the evidence of each.
        tuned: whether the learning rates are of these runs' own steps and epochs; the published
            ones are of the paper's.
    """
    frames = {name: frame.assign(tuned=tuned) for name, frame in frames.items()}
    judged = []
    for claim in claims:
        verdict = resolve_name(claim["check"])(
            *(frames[name] for name in claim["of"]), **claim.get("given", {})
        )
        judged.append({key: claim[key] for key in ("name", "section", "statement")})
        judged[-1] |= asdict(verdict) | ({"note": note} if note else {})
    return judged


def markdown(judged: list[dict[str, str]], scale: str) -> str:
    """The verdicts for people.

    Args:
        judged: from `judge`.
        scale: what the run covered, in words.
    """
    counts = pd.Series([one["verdict"] for one in judged]).value_counts()
    lines = ["# Claims", "", scale, ""]
    lines += [", ".join(f"{verdict}: {count}" for verdict, count in counts.items()) + ".", ""]
    lines += ["| claim | section | verdict |", "|---|---|---|"]
    for one in judged:
        anchor = f"{one['name']}-{one['verdict']}".replace(" ", "-")
        lines.append(f"| [{one['name']}](#{anchor}) | {one['section']} | {one['verdict']} |")
    for one in judged:
        lines += ["", f"## {one['name']}: {one['verdict']}", ""]
        lines += [f"Section {one['section']}. {one['statement']}", ""]
        for name, heading in HEADINGS.items():
            if one.get(name):
                lines.append(f"- {heading}: {one[name]}")
    return "\n".join(lines) + "\n"


def write(
    judged: list[dict[str, str]], people: str, programs: str, browsers: str, scale: str
) -> None:
    """Write the verdicts for people, programs and browsers.

    Args:
        judged: from `judge`.
        people: path of the Markdown.
        programs: path of the JSON.
        browsers: path of the HTML.
        scale: what the run covered, in words.
    """
    content = {
        people: markdown(judged, scale),
        programs: json.dumps(judged, indent=2, ensure_ascii=False) + "\n",
        browsers: render(
            "claims.html.j2",
            judged=judged,
            counts=counted(judged),
            scale=scale,
            headings=list(HEADINGS.items()),
        ),
    }
    for path, text in content.items():
        with atomic(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")
