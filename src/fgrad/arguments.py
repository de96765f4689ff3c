"""What a command line says, read as strictly as a configuration."""

import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from functools import partial, wraps
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from fgrad.errors import ConfigError

Verb = Callable[..., Any]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)", re.I)

PLAIN = ConstructorRegistry()
"""Numbers as they look: Python would take ``0.1_0`` for one."""


@PLAIN.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    kind = info.type
    if kind not in (int, float):
        return None

    def read(given: list[str]) -> Any:
        if not _NUMBER.fullmatch(given[0]):
            raise ValueError(f"{given[0]!r} is no plain number")
        return kind(given[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=read,
        is_instance=lambda value: type(value) is kind,
        str_from_instance=lambda value: [str(value)],
    )


RENAMED = {"quality": "measure", "optimize": "descend", "--tangents": "--sampler"}
"""Commands of the release before; and tangents, which are named by their sampler."""


def renamed(arguments: list[str]) -> None:
    """Take what is given by its old name, and say so."""
    for place, argument in enumerate(arguments[1:], 1):
        name, equals, value = argument.partition("=")
        command = not name.startswith("--")
        if name in RENAMED and (place == 1 or not command):
            new = RENAMED[name]
            if (value or [*arguments, ""][place + 1]) in ("auto", "exact", "explicit"):
                new = "--sampling"
            arguments[place] = f"{new}{equals}{value}"
            if command or new == "--sampling":
                print(f"fgrad: {name} is now called {new}", file=sys.stderr)


def later(verb: Verb) -> Verb:
    """A verb that is bound to what it is given, and done when it is called once more."""

    @wraps(verb)
    def bound(*args: Any, **options: Any) -> Verb:
        return partial(verb, *args, **options)

    return bound


def choose(verbs: Mapping[str, Verb], arguments: Sequence[str], description: str) -> Verb:
    """The verb that a command line names, bound to its options.

    Args:
        verbs: by name.
        arguments: of the command line.
        description: of all of them, for the help.

    Raises:
        ConfigError: in a line, if that is no command line of theirs.
    """
    _check(arguments)
    with redirect_stderr(io.StringIO()) as said:
        try:
            chosen: Verb = tyro.extras.subcommand_cli_from_dict(
                {name: later(verb) for name, verb in verbs.items()},
                prog="fgrad",
                args=arguments,
                description=description,
                registry=PLAIN,
                config=(
                    tyro.conf.AvoidSubcommands,
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.OmitSubcommandPrefixes,
                ),
            )
        except SystemExit as end:
            if not end.code:
                raise
            raise ConfigError(_in_a_line(said.getvalue())) from None
    with suppress(OSError):  # a warning that cannot be printed stops nothing
        print(said.getvalue(), end="", file=sys.stderr)
    return chosen


def _check(arguments: Sequence[str]) -> None:
    """Refuse empty values, which a parser would take: of a path for the current folder."""
    before = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not argument or (equals and not value):
            raise ConfigError(f"{name if equals else before or 'the first argument'}: empty")
        before = argument


def _in_a_line(box: str) -> str:
    """What the parser says in a box, drawn or of dashes, without title and help of options."""
    _, *lines = [line for line in box.splitlines() if line.strip()] or [""]
    parts = [""]
    for line in lines:
        text = line.strip("│╭╮╰╯ ")
        if text.startswith("For full helptext"):
            break
        if not text.strip("─-"):
            parts.append("")
        elif not line[2:10].isspace():
            parts[-1] += f" {text}"
    return "; ".join(part.strip() for part in parts if part) + "; see fgrad --help"
