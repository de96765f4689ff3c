"""Kinds of values that options share; torch is not imported."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from fgrad.errors import unique
from fgrad.validation import Model

T = TypeVar("T")

LONGEST = 10**4
"""Values of a list at most."""

_ONCE: dict[str, JsonValue] = {"uniqueItems": True}

Several = Annotated[
    tuple[T, ...],
    Field(max_length=LONGEST, strict=False, json_schema_extra=_ONCE),
    AfterValidator(unique),
]
"""A list, perhaps empty."""

Unique = Annotated[
    tuple[T, ...],
    Field(min_length=1, max_length=LONGEST, strict=False, json_schema_extra=_ONCE),
    AfterValidator(unique),
]

Count = Annotated[int, Field(ge=1, le=10**12)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]

LOWEST, HIGHEST = 1e-30, 1e30
"""Rates beyond these are not searched."""

Threads = Annotated[int, Field(ge=1, le=256)]
"""Many more end the process."""

_EXPONENT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+")


def _with_exponent(value: Any) -> Any:
    """1e-6 is a number, though a text to readers of YAML 1.1."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


Number = Annotated[float, BeforeValidator(_with_exponent)]

Rate = Annotated[Number, Field(gt=0, le=HIGHEST)]

Degrees = Annotated[Number, Field(gt=0, lt=180)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=64, title="name")]


def _no_nul(path: str) -> str:
    if "\0" in path:
        raise ValueError("no path: it holds a NUL")
    return path


FilePath = Annotated[str, Field(min_length=1, title="path"), AfterValidator(_no_nul)]

TablePath = Annotated[str, Field(title="path")]

TrueGradient = Literal["ones", "ones-normalized", "random", "random-normalized"]


class JobOptions(Model):
    """The options of one job: all that its numbers depend on."""

    def code(self) -> tuple[str, ...]:
        """The definition that computes the job, and those that names among its options stand for.

        Returns:
            References as ``module:attribute``.
        """
        raise NotImplementedError
