"""Templates, and the words that fill them; whatever comes from elsewhere is escaped."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from fgrad.paper.page.ending import number_of
from fgrad.store import identity

TEMPLATES = Path(__file__).with_name("templates")

_MARKED = re.compile(r"``(.+?)``|(?<![\w*])\*([^*]+?)\*(?![\w*])")


def digest() -> str:
    """Of all templates: what is made with others is made anew."""
    files = sorted(path for path in TEMPLATES.iterdir() if path.is_file())
    return identity.digest([[path.name, path.read_text(encoding="utf-8")] for path in files])


def words(text: str, claims: Collection[str] = ()) -> Markup:
    """A caption as HTML: its two kinds of marks, and links to the claims it names.

    Args:
        text: with the markup of `fgrad.paper.contents`.
        claims: names of those that are on the page.

    Examples:
        >>> print(words("``a<b`` & *so*; see *this-holds*", ["this-holds"]))
        <code>a&lt;b</code> &amp; <em>so</em>; see <a href="#claim-this-holds">this-holds</a>
    """

    def marked(found: re.Match[str]) -> Markup:
        code, emphasis = found.groups()
        if code:
            return Markup("<code>{}</code>").format(code)
        if emphasis in claims:
            return Markup('<a href="#claim-{0}">{0}</a>').format(emphasis)
        return Markup("<em>{}</em>").format(emphasis)

    parts, at = [], 0
    for found in _MARKED.finditer(text):
        parts += [escape(text[at : found.start()]), marked(found)]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def title(name: str) -> str:
    """The name of a figure or table in words.

    >>> title("angle_final_values")
    'Angle final values'
    """
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def render(template: str, **values: Any) -> str:
    """A template with values, among them none that is missing.

    Args:
        template: name of its file.
        values: by name.
    """
    text: str = _environment().get_template(template).render(**values)
    return text


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"words": words, "title": title, "groups": _groups, "rows": _rows}
    made.filters["number_of"] = number_of
    made.globals["source"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    return made


def _groups(columns: Sequence[Any]) -> list[tuple[str, int]]:
    """What stands above neighbouring columns of a table, and how many these are."""
    return [(under, len(list(run))) for under, run in groupby(columns, lambda one: one.under)]


def _rows(columns: Sequence[Any]) -> Iterator[list[tuple[Any, str]]]:
    """Each row of a table: its columns with what they say there."""
    for cells in zip(*(one.cells for one in columns), strict=True):
        yield list(zip(columns, cells, strict=True))
