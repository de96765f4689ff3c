"""Captions of the figures in documentation pages: ``python -m fgrad.paper.captions docs/*/*.md``.

Below the image of a figure its caption is a block quote, written anew from `fgrad.paper.contents`.
"""

import re
import sys
from pathlib import Path
from textwrap import fill, indent

from fgrad.paper.contents import FIGURES

IMAGE = re.compile(r"^(!\[[^]]*\]\((?:[\w./-]*/)?(\w+)\.png\)\n)(?:\n(?:>.*\n)+)?", re.MULTILINE)


def captioned(page: str) -> str:
    r"""A page in Markdown with the caption below each figure.

    >>> print(captioned("![A tangent](figures/found_rates.png)\n"), end="")
    ![A tangent](figures/found_rates.png)
    <BLANKLINE>
    > Learning rate found (lines) and published (open markers) over the dimension.
    """

    def below(found: re.Match[str]) -> str:
        image, name = found.groups()
        if name not in FIGURES:
            return found[0]
        lines = fill(FIGURES[name].caption, 108, break_on_hyphens=False)
        return f"{image}\n{indent(lines, '> ')}\n"

    return IMAGE.sub(below, page)


def main() -> None:
    """Write the captions into the pages that the command line names."""
    for path in map(Path, sys.argv[1:]):
        path.write_text(captioned(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
