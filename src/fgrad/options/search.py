"""How a learning rate is searched for, whichever the section; torch is not imported."""

from typing import Annotated

from pydantic import AfterValidator, Field

from fgrad.options.base import LOWEST, Number, Rate, Seed
from fgrad.validation import Model

FRESH = 5
"""Seeds by which a found rate is compared with the published one."""


def six_digits(rate: float) -> float:
    """A rate as the tables have it."""
    return float(f"{rate:.6g}")


def rising(bounds: tuple[float, float]) -> tuple[float, float]:
    """A range to six digits that is not empty; raises ValueError otherwise."""
    low, high = map(six_digits, bounds)
    if low < LOWEST:
        raise ValueError(f"the first bound must be {LOWEST:g} or more")
    if not low < high:
        raise ValueError("the first bound must be below the second, to six digits")
    return low, high


class SearchOptions(Model):
    """How a learning rate is searched for, whichever the section."""

    range: Annotated[tuple[Rate, Rate], Field(strict=False), AfterValidator(rising)] = (1e-6, 1.0)
    """Half of the rates cover it log-uniformly, as a scrambled Halton sequence; a quarter zooms in
    between the rates tried next to those within the margin of the best, and another quarter does so
    again. Where the best of the first half lies at an edge, a hundredfold beyond it is searched
    too, once; where the best still does in the end, the row is flagged. The first bound is 10⁻³⁰ or
    more, and below the second to six digits."""
    evaluations: Annotated[int, Field(ge=1, le=10**4)] = 100
    """Rates that are tried, from 4 on with a zoom; more where the range has to be widened."""
    seed: Seed = 0
    """Of the rates and of everything they are tried with."""
    margin: Annotated[Number, Field(ge=0, le=1)] = 0.05
    """Decides where to zoom and what is taken: rates are as good as the best if their loss is at
    most this part above the best's, of what that is above the minimum or has gained on the start,
    whichever is less. Of them the one closest to their mean on the log scale is taken; rates above
    one that diverged are left out."""
