"""Captions of the figures in documentation pages.

Below the image of a figure its caption is a block quote, written anew from `fgrad.paper.contents`
with what was run, see `fgrad.paper.scale.facts`.
"""

import re
from collections.abc import Mapping
from textwrap import fill, indent

from fgrad.paper.contents import FIGURES, SECTIONS

IMAGE = re.compile(r"^(!\[[^]]*\]\((?:[\w./-]*/)?(\w+)\.png\)\n)(?:\n(?:>.*\n)+)?", re.MULTILINE)


Facts = Mapping[str, Mapping[str, str]]


def caption(figure: str, facts: Facts) -> str:
    """What is said below a figure.

    Args:
        figure: its name.
        facts: section → what was run, see `fgrad.paper.scale.facts`.
    """
    section = next(one for one in SECTIONS.values() if FIGURES[figure] in one.figures)
    return FIGURES[figure].caption_of(facts[section.name])


def captioned(page: str, facts: Facts) -> str:
    r"""A page in Markdown with the caption below each figure.

    >>> facts = {"search_functions": {}}
    >>> print(captioned("![A tangent](figures/found_rates.png)\n", facts), end="")
    ![A tangent](figures/found_rates.png)
    <BLANKLINE>
    > Learning rate found (lines) and published (open markers) over the dimension.
    """

    def below(found: re.Match[str]) -> str:
        image, name = found.groups()
        if name not in FIGURES:
            return found[0]
        lines = fill(caption(name, facts), 108, break_on_hyphens=False)
        return f"{image}\n{indent(lines, '> ')}\n"

    return IMAGE.sub(below, page)
