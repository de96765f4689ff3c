"""What is said at the end of a start of the workflow: verdicts, where the page is, what is not."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

VERDICTS = ("holds", "fails", "not decidable")
"""In the order they are counted."""

PLURAL = {"holds": "hold", "fails": "fail"}


def counted(judged: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many claims hold, fail, or cannot be decided.

    >>> counted([{"verdict": "holds"}, {"verdict": "not decidable"}, {"verdict": "holds"}])
    {'holds': 2, 'fails': 0, 'not decidable': 1}
    """
    counts = Counter(one["verdict"] for one in judged)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def number_of(verdict: str, count: int) -> str:
    """A count in words.

    >>> number_of("holds", 2), number_of("fails", 1), number_of("not decidable", 0)
    ('2 hold', '1 fails', '0 not decidable')
    """
    return f"{count:,} {verdict if count == 1 else PLURAL.get(verdict, verdict)}"


def lines(page: str, claims: Iterable[str], shows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines.

    Args:
        page: path of the page.
        claims: paths of the verdicts that are on it.
        shows: the sections, as `fgrad.paper.page.build.write` takes them.
    """
    judged = [one for path in claims for one in json.loads(Path(path).read_text(encoding="utf-8"))]
    counts = ", ".join(number_of(*one) for one in counted(judged).items())
    said = [f"claims: {counts}", f"the page: {Path(page).absolute()}"]
    lacking = [
        f"{one['heading']} ({one['lacks']:,} of {one['of']:,} runs)"
        for one in shows
        if one["lacks"]
    ]
    return [*said, f"not computed: {', '.join(lacking) if lacking else 'nothing'}"]
