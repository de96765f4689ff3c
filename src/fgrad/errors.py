"""What a user's mistake raises: a line for each, with what is allowed."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails


class ConfigError(Exception):
    """Wrong input, in words for the one who wrote it."""


class Model(BaseModel):
    """Unknown keys forbidden, values frozen, keys of the release before accepted with a warning."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
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
        ConfigError: one line for each wrong value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe(where, error)) from None


def describe(where: str, error: ValidationError) -> str:
    """A line for each mistake: where, key, value and what is allowed."""
    mistakes = error.errors()
    # a list whose entries were refused one by one is also called too short
    real = [one for one in mistakes if one["type"] != "too_short" or not one["input"]]
    return "\n".join(_message(where, one) for one in real or mistakes)


def _message(where: str, error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    value = error["input"]
    shown = (
        "" if isinstance(value, dict | BaseModel) or error["type"] == "missing" else f" = {value!r}"
    )
    text = error["msg"].removeprefix("Value error, ")
    hint = {
        "extra_forbidden": "unknown key; see config/README.md",
        "missing": "required",
        "model_type": "keys with values are needed; see config/README.md",
    }
    parts = (where, key + shown, hint.get(error["type"], text))
    return ": ".join(part for part in parts if part)
