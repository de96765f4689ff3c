"""What a user's mistake raises: a line for each, with what is allowed, and few lines in all."""

import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


class ConfigError(Exception):
    """Wrong input, in words for the one who wrote it.

    Examples:
        >>> import fgrad
        >>> fgrad.load("nowhere")
        Traceback (most recent call last):
        fgrad.errors.ConfigError: nowhere: no results; a folder with Parquet files is needed
    """


SHOWN = 8
"""Lines of a refusal; of further mistakes only the number is said."""

SHORT = reprlib.Repr()
SHORT.maxlevel = 3
SHORT.maxlist = SHORT.maxtuple = 12
SHORT.maxstring = SHORT.maxlong = SHORT.maxother = 80


def few(lines: Sequence[str], where: object) -> str:
    """The first lines, and how many more there are.

    Args:
        lines: one for each mistake.
        where: the file or the part of the input that they are all in.
    """
    more = len(lines) - SHOWN
    if more < 2:
        return "\n".join(lines)
    return "\n".join([*lines[:SHOWN], f"{where}: and {more} more"])


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, each of them once; raises ValueError otherwise."""
    counts = Counter(values)
    if twice := sorted(value for value, count in counts.items() if count > 1)[:SHOWN]:
        raise ValueError(f"{', '.join(map(str, twice))} listed twice; list each value once")
    return values


def row_name(row: Mapping[str, Any]) -> str:
    """A table row in words, for messages: its columns that are not empty."""
    shown = ((name, f"{v:g}" if isinstance(v, float) else v) for name, v in row.items())
    return ", ".join(f"{name} {value}" for name, value in shown if value is not None)


def printable(text: str) -> str:
    r"""A text from elsewhere in one line that moves no cursor.

    Examples:
        >>> printable("a\n\x1b[2Jü")
        'a\\n\\x1b[2Jü'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """A value in short, after an equals sign."""
    try:
        return f" = {SHORT.repr(value)}"
    except ValueError:  # which Python does not write
        return " = a number of more than 4,300 digits"
