"""Two folders of results against each other: compare."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from fgrad.store import files


def compare(
    a: Annotated[Path, tyro.conf.Positional],
    b: Annotated[Path, tyro.conf.Positional],
    only: tuple[str, ...] = (),
    gradient: tuple[str, ...] = (),
    output: Path | None = None,
) -> None:
    """What differs between two folders of results; exit status 1 if they are not the same.

    Run by run identical, equal but for rounding, of the same distribution, undecided or different.

    Args:
        a: folder of results, or a bundle.
        b: another.
        only: sections, such as functions, fc, search_sota; all of them without it.
        gradient: gradients, such as frog, and aggregations of section 4.1.
        output: folder that report.md and report.html are written to.
    """
    if output is not None:
        files.check_writable(output)
    from fgrad.comparing import report, sides
    from fgrad.comparing.comparison import compare as compared

    with sides.opened(a) as one, sides.opened(b) as other:
        found = compared(one, other, only, gradient)
    written = [] if output is None else report.write(found, output)
    print("\n".join(report.summary(found)))
    for path in written:
        print(f"{path} written")
    if found.reasons:
        sys.exit(1)
