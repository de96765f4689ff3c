"""Kinds of values that options share; torch is not imported."""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from fgrad.errors import Model, unique

T = TypeVar("T")

Unique = Annotated[tuple[T, ...], Field(min_length=1), AfterValidator(unique)]

Count = Annotated[int, Field(ge=1, le=10**12, strict=True)]

Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]

LOWEST, HIGHEST = 1e-30, 1e30
"""Rates beyond these are not searched."""

Rate = Annotated[float, Field(gt=0, le=HIGHEST)]

Degrees = Annotated[float, Field(gt=0, lt=180, strict=True)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")]

TrueGradient = Literal["ones", "ones-normalized", "random", "random-normalized"]


class JobOptions(Model):
    """The options of one job: all that its numbers depend on."""

    def code(self) -> tuple[str, ...]:
        """The definition that computes the job, and those that names among its options stand for.

        Returns:
            References as ``module:attribute``.
        """
        raise NotImplementedError
