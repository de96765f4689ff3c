"""The options of descents on closed-form functions (4.2, 4.3) and of their search."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fgrad.gradients.approach import bounded
from fgrad.gradients.registry import FACTORS, SAMPLERS
from fgrad.options.base import Count, Degrees, JobOptions, Rate, Seed, Several, Unique
from fgrad.options.gradient import GradientTask
from fgrad.options.search import SearchOptions
from fgrad.plugins import is_reference
from fgrad.problems.registry import FUNCTIONS
from fgrad.validation import one_of

FunctionName = Annotated[str, one_of("function", FUNCTIONS, own=True)]


class FunctionTask(GradientTask):
    """Gradient descent on a closed-form function, whichever its learning rate and seeds."""

    function: FunctionName
    """The function to minimise."""
    n: Count
    """Dimension."""
    angle: Several[Degrees] = ()
    """Angles of every tangent to the first, in degrees; none for the approach's own sampler."""
    steps: Count = 1000
    """Steps at most."""
    patience: Count = 50
    """Stop after so many steps in a row without a value below the one before."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.angle and self.how.aggregation is None:
            raise ValueError(f"gradient {self.gradient} has no tangents to set at an angle")
        if self.angle and self.how.scale and self.how.aggregation != "projection":
            raise ValueError(
                "the expected norm of tangents at an angle is known for projection alone"
            )
        if self.how.sampler == "angle" and not self.angle:
            raise ValueError(f"gradient {self.gradient}: the sampler angle needs angles")
        if self.angle and self.how.sampler not in ("normal", "angle"):
            raise ValueError(
                f"gradient {self.gradient}: at angles the sampler {self.how.sampler} has no effect"
            )
        own = is_reference(self.function)  # which is looked at when there is torch
        only = None if own else FUNCTIONS[self.function].only_n
        if only is not None and self.n != only:
            raise ValueError(f"function {self.function} is defined for n = {only}")
        if self.angle and self.n < 2:
            raise ValueError("tangents at an angle need n of at least 2")
        limited = self.how.independent if self.angle else bounded(self.how)
        if limited and (self.k or 0) > self.n:
            raise ValueError(f"{self.n} is the most independent tangents in n = {self.n}")
        return self

    def named(self) -> list[str]:
        """Definitions that names among the options stand for."""
        at_angle = [SAMPLERS.defined("angle")] if self.angle else []
        factors = [FACTORS.where[name] for name in FACTORS if name == self.how.aggregation]
        return [FUNCTIONS.defined(self.function), *self.gradient_code(), *at_angle, *factors]


class UnratedFunctionRun(FunctionTask, JobOptions):
    """Gradient descent on a closed-form function whose learning rate is still searched for."""

    seeds: Unique[Seed] = (0,)
    """One descent each, all in one batch."""

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        return ("fgrad.experiments.descent:compute", *self.named())


class FunctionRun(UnratedFunctionRun):
    """Gradient descent on a closed-form function (sections 4.2 and 4.3): one job."""

    lr: Rate
    """Learning rate."""


PAPER_STEPS = {"sphere": 1_000, "rosenbrock": 25_000, "styblinski-tang": 1_000}
"""Of the paper's descents, which the published learning rates were searched for."""


class UnratedComparison(UnratedFunctionRun):
    """Descents with a row's two rates, the one of which is still searched for."""

    published: Rate | None = None
    """Published learning rate of the row, if there is one."""

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        return ("fgrad.experiments.descent:compare", *self.named())


class FunctionComparison(UnratedComparison):
    """Descents with the found and the published learning rate of a table row: one job."""

    lr: Rate
    """Learning rate that the search found."""


class FunctionSearchOptions(SearchOptions):
    """How the learning rate of a descent is searched for."""

    patience: Count = 100
    """Stop after so many steps in a row without a value below the one before."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """Descents of each rate, each with tangents of its own that all rates share; the loss is the
    geometric mean of what their final values are above the minimum."""


class FunctionSearch(FunctionSearchOptions, FunctionTask, JobOptions):
    """Search for the learning rate of a closed-form function (4.2, 4.3): one table row."""

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        return ("fgrad.experiments.search.functions:compute", *self.named())
