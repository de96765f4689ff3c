"""What a user's mistake raises: a line for each, with what is allowed, and few lines in all."""

import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails


class ConfigError(Exception):
    """Wrong input, in words for the one who wrote it."""


SHOWN = 8
"""Lines of a refusal; of further mistakes only the number is said."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxlist = _SHORT.maxtuple = 12
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80


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


class Model(BaseModel):
    """Unknown keys forbidden, values frozen and taken as they are: no text for a number, no number
    for a truth. Keys of the release before are accepted with a warning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of the release before → what they are called now."""

    @model_validator(mode="before")
    @classmethod
    def _by_new_names(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        found = dict(values)
        for old, new in cls.renamed.items():
            if old in found and new not in found:
                warnings.warn(f"{old} is now called {new}", FutureWarning, stacklevel=2)
                found[new] = found.pop(old)
        return found


def one_of(kind: str, names: Iterable[str]) -> AfterValidator:
    """A validator that refuses any other name, and says which are allowed."""
    allowed = tuple(names)

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"unknown {kind}; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


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


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """The model with these values.

    Args:
        model: what to build.
        values: its fields.
        where: named in front of every message.

    Raises:
        ConfigError: a line for each of the first wrong values.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe(where, error)) from None


def describe(where: str, error: ValidationError) -> str:
    """A line for each of the first mistakes: where, key, value and what is allowed."""
    mistakes = error.errors(include_url=False)
    # a list whose entries were refused one by one is also called too short
    real = [one for one in mistakes if one["type"] != "too_short" or not one["input"]]
    return few([_message(where, one) for one in real or mistakes], where)


def _message(where: str, error: ErrorDetails) -> str:
    key = ".".join(map(_plain, error["loc"]))
    value = error["input"]
    shown = (
        "" if isinstance(value, dict | BaseModel) or error["type"] == "missing" else _shown(value)
    )
    text = error["msg"].removeprefix("Value error, ")
    hint = {
        "extra_forbidden": "unknown key; see config/README.md",
        "missing": "required",
        "model_type": "keys with values are needed; see config/README.md",
    }
    parts = (where, key + shown, hint.get(error["type"], text))
    return ": ".join(part for part in parts if part)


def _plain(part: int | str) -> str:
    """A part of a key, on one line however it is written."""
    text = str(part)
    return text if text.isprintable() and len(text) <= 80 else _SHORT.repr(text)


def _shown(value: object) -> str:
    try:
        return f" = {_SHORT.repr(value)}"
    except ValueError:  # which Python does not write
        return " = a number of more than 4,300 digits"
