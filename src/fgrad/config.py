"""The options of a run, defined once for YAML, tables and command line alike.

Wrong input ends in a `ConfigError` whose lines each name the file, the row or key, the value and
what is allowed. Nothing here imports torch.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from fgrad import source
from fgrad.functions import FUNCTIONS


class ConfigError(Exception):
    """Wrong input, in words for the one who wrote it."""


class Model(BaseModel):
    """Unknown keys forbidden, values frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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


T = TypeVar("T")
Unique = Annotated[tuple[T, ...], Field(min_length=1), AfterValidator(unique)]
Count = Annotated[int, Field(ge=1, le=10**12, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
LOWEST, HIGHEST = 1e-30, 1e30
"""Rates beyond these are not searched."""
Rate = Annotated[float, Field(gt=0, le=HIGHEST)]
Degrees = Annotated[float, Field(gt=0, lt=180, strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")]
FunctionName = Annotated[str, one_of("function", FUNCTIONS)]
Aggregation = Annotated[str, one_of("aggregation", source.names("aggregation"))]
Sampler = Annotated[str, one_of("sampler", source.names("tangents"))]
TrueGradient = Literal["ones", "ones-normalized", "random", "random-normalized"]


LAWS = ("projection", "mean", "sum", "mean-times-n")
"""Aggregations whose law is known in closed form for normal tangents."""


class Approach(Model):
    """How a gradient is obtained: sampler + aggregation + options (the paper, section 3)."""

    aggregation: Aggregation | None = None
    """How directional derivatives become a gradient; null is backpropagation, ∇f itself."""
    tangents: Sampler = "normal"
    """Where the tangents come from."""
    normalize: bool = False
    """Normalise each tangent."""
    independent: bool = False
    """Redraw the tangents until they are linearly independent."""
    scale: bool = False
    """Divide by the expected norm ratio, so that E‖g‖ ≈ ‖∇f‖."""
    max_length: Annotated[float, Field(ge=1)] = 1.0
    """Longest tangent of the sampler `orthogonal`."""

    @model_validator(mode="after")
    def _scalable(self) -> Self:
        if self.scale and (self.aggregation not in LAWS or self.tangents != "normal"):
            raise ValueError(f"scale needs normal tangents and one of {', '.join(LAWS)}")
        return self

    @property
    def has_law(self) -> bool:
        """Whether the estimate can be drawn from its exact law (the paper, section 3)."""
        return self.aggregation in LAWS and self.tangents == "normal" and not self.normalize

    @property
    def bounded(self) -> bool:
        """Whether there are n such tangents at most."""
        return self.tangents in ("basis", "orthogonal") or self.independent


APPROACHES = {
    "bp": Approach(),
    "fg-mean": Approach(aggregation="mean"),
    "frog": Approach(aggregation="projection"),
}
"""The paper's approaches by name; a configuration may add more."""


class QualityRun(Model):
    """Approximation quality of gradient estimates (sections 4.1 and 4.3): one job."""

    n: Unique[Count]
    """Dimensions of the gradient."""
    k: Unique[Count] = (1,)
    """Numbers of tangents."""
    samples: Count = 1000
    """Number of estimates."""
    first: Annotated[int, Field(ge=0, le=10**12, strict=True)] = 0
    """Number of the first sample; samples are seeded one by one."""
    seed: Seed = 0
    """Seed of the whole section."""
    method: Literal["direct", "exact"] = "direct"
    """`direct` computes the estimators on real vectors, `exact` samples their exact law in O(1)."""
    aggregations: Unique[Aggregation] = ("projection", "mean", "sum")
    """How directional derivatives are combined."""
    normalized: Annotated[tuple[Aggregation, ...], AfterValidator(unique)] = ()
    """Aggregations also computed with normalised tangents."""
    gradient: TrueGradient = "ones"
    """The true gradient."""
    angle: Degrees | None = None
    """Angle of every tangent to the first, in degrees; none for normal tangents."""

    @model_validator(mode="after")
    def _has_law(self) -> Self:
        if self.method == "exact":
            laws = ("projection", "mean", "sum")
            if set(self.aggregations) - set(laws) or self.normalized or self.angle is not None:
                raise ValueError(
                    "method exact knows normal tangents, not normalized or at an angle, "
                    f"and the aggregations {', '.join(laws)}"
                )
        if self.angle is not None and min(self.n) < 2:
            raise ValueError("tangents at an angle need n of at least 2")
        return self


class Derivatives(Model):
    """How directional derivatives are obtained."""

    mode: Literal["sim", "fwad"] = "sim"
    """Directional derivatives from the known gradient, or by forward-mode differentiation."""


class GradientTask(Derivatives):
    """What an optimiser needs beside its learning rate: a gradient."""

    gradient: str
    """Name of the gradient approach."""
    k: Count | None = None
    """Number of tangents; none for backpropagation."""
    approach: Approach | None = None
    """What the gradient's name stands for; the paper's approaches are known by their names."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.approach is None and self.gradient not in APPROACHES:
            raise ValueError(
                f"gradient = {self.gradient!r}: unknown gradient; allowed: {', '.join(APPROACHES)}"
            )
        if (self.how.aggregation is None) != (self.k is None):
            given = "it takes no tangents" if self.how.aggregation is None else "it needs k"
            raise ValueError(f"gradient {self.gradient} with k = {self.k}: {given}")
        return self

    @property
    def how(self) -> Approach:
        """The approach the name stands for."""
        return self.approach or APPROACHES[self.gradient]


class FunctionTask(GradientTask):
    """Gradient descent on a closed-form function, whichever its learning rate and seeds."""

    function: FunctionName
    """The function to minimise."""
    n: Count
    """Dimension."""
    angle: Annotated[tuple[Degrees, ...], AfterValidator(unique)] = ()
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
        only = FUNCTIONS[self.function].only_n
        if only is not None and self.n != only:
            raise ValueError(f"function {self.function} is defined for n = {only}")
        if self.angle and self.n < 2:
            raise ValueError("tangents at an angle need n of at least 2")
        if self.how.bounded and (self.k or 0) > self.n:
            raise ValueError(f"{self.n} is the most independent tangents in n = {self.n}")
        return self

    @property
    def how(self) -> Approach:
        """The approach the name stands for, with tangents at an angle where angles are given."""
        approach = super().how
        return approach.model_copy(update={"tangents": "angle"}) if self.angle else approach


class FunctionRun(FunctionTask):
    """Gradient descent on a closed-form function (sections 4.2 and 4.3): one job."""

    lr: Rate
    """Learning rate."""
    seeds: Unique[Seed] = (0,)
    """One descent each, all in one batch."""


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

    range: Annotated[tuple[Rate, Rate], AfterValidator(rising)] = (1e-6, 1.0)
    """Half of the rates are log-uniform in this range, the others where these are best."""
    evaluations: Annotated[int, Field(ge=1, le=10**4, strict=True)] = 100
    """Rates that are tried; more where the range has to be widened."""
    seed: Seed = 0
    """Of the rates and of everything they are tried with."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Rates are as good as the best if their loss is at most this part above the best's, of what
    that is above the minimum or has gained on the start, whichever is less."""


class FunctionSearchOptions(SearchOptions):
    """How the learning rate of a descent is searched for."""

    patience: Count = 100
    """Stop after so many steps in a row without a value below the one before."""
    repeats: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    """Descents of each rate, each with tangents of its own that all rates share."""


class FunctionSearch(FunctionSearchOptions, FunctionTask):
    """Search for the learning rate of a closed-form function (4.2, 4.3): one table row."""


def repeat_seeds(seed: int, purpose: Literal["search", "fresh"], count: int) -> list[int]:
    """Seeds of the runs a search tries rates with, and of fresh ones that judge what it found."""
    from numpy.random import SeedSequence

    stream = {"search": 0, "fresh": 1}[purpose]
    return [int(word) for word in SeedSequence((seed, stream)).generate_state(count)]


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written, without writing.

    Raises:
        ConfigError: naming the folder.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{folder}: {existing} is a file; a folder that can be written is needed")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: {existing} cannot be written; choose another folder")


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
