"""Values that are checked by pydantic, and its refusals in words: a line for each mistake."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from fgrad import plugins
from fgrad.errors import SHORT, ConfigError, few, shown


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


@dataclass(frozen=True)
class Told(AfterValidator):
    """A validator that also says, in JSON Schema, what it lets through."""

    schema: Mapping[str, Any] = field(compare=False, default_factory=dict)

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        return dict(self.schema)


def one_of(kind: str, names: Iterable[str], own: bool = False) -> AfterValidator:
    """A validator that refuses any other name, and says which are allowed.

    Args:
        kind: what is named, in words.
        names: those that are known.
        own: whether it may be a reference to a file of the user's own, see `fgrad.plugins`; in a
            table it is the name alone, one of ``own`` in the context of the validation.
    """
    allowed = (*names, *(["file.py:name"] if own else []))

    def check(value: str, info: ValidationInfo) -> str:
        if own and value in (info.context or {}).get("own", ()):
            return value
        if own and plugins.is_reference(value):
            try:
                plugins.parts(value)
            except ConfigError as error:
                raise ValueError(str(error).partition(": ")[2]) from None
        elif value not in allowed[: -1 if own else None]:
            raise ValueError(f"unknown {kind}; allowed: {', '.join(allowed)}")
        return value

    ways: list[Any] = [{"enum": list(names)}]
    if own:
        ways.append({"pattern": plugins.PATTERN, "examples": ["file.py:name"]})
    return Told(check, {"type": "string", "title": kind, "anyOf": ways})


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Mapping[str, Any], where: str, own: Iterable[str] = ()) -> M:
    """The model with these values.

    Args:
        model: what to build.
        values: its fields.
        where: named in front of every message.
        own: names of the user's own that may stand in them.

    Raises:
        ConfigError: a line for each of the first wrong values.
    """
    try:
        return model.model_validate(values, context={"own": tuple(own)})
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
    given = (
        "" if isinstance(value, dict | BaseModel) or error["type"] == "missing" else shown(value)
    )
    text = error["msg"].removeprefix("Value error, ")
    hint = {
        "extra_forbidden": "unknown key; see config/README.md",
        "missing": "required",
        "model_type": "keys with values are needed; see config/README.md",
    }
    parts = (where, key + given, hint.get(error["type"], text))
    return ": ".join(part for part in parts if part)


def _plain(part: int | str) -> str:
    """A part of a key, on one line however it is written."""
    text = str(part)
    return text if text.isprintable() and len(text) <= 80 else SHORT.repr(text)
