"""The options of a quality measurement (sections 4.1 and 4.3); torch is not imported."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fgrad.gradients.registry import AGGREGATIONS, KNOWN, LAWS, SAMPLERS
from fgrad.options.approach import Aggregation, NamedApproach
from fgrad.options.base import Count, Degrees, JobOptions, Name, Seed, Several, TrueGradient, Unique


class QualityRun(JobOptions):
    """Approximation quality of gradient estimates (sections 4.1 and 4.3): one job."""

    n: Unique[Count]
    """Dimensions of the gradient."""
    k: Unique[Count] = (1,)
    """Numbers of tangents."""
    samples: Count = 1000
    """Number of estimates."""
    first: Annotated[int, Field(ge=0, le=10**12)] = 0
    """Number of the first sample; samples are seeded one by one."""
    seed: Seed = 0
    """Seed of the whole section."""
    method: Literal["direct", "exact"] = "direct"
    """`direct` computes the estimators on real vectors, `exact` samples their exact law in O(1)."""
    aggregations: Unique[Aggregation] = ("projection", "mean", "sum")
    """How directional derivatives are combined."""
    normalized: Several[Aggregation] = ()
    """Aggregations also computed with normalised tangents."""
    gradient: TrueGradient = "ones"
    """The true gradient."""
    angle: Degrees | None = None
    """Angle of every tangent to the first, in degrees; none for normal tangents."""
    approach: NamedApproach | None = Field(default=None, exclude_if=lambda value: value is None)
    """A gradient approach with tangents of its own, in place of the aggregations."""
    name: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    """What its estimates are called."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.approach is None) != (self.name is None):
            raise ValueError("approach and name go together")
        if self.approach and not self.approach.how.estimates:
            raise ValueError("an approach needs an aggregation or an estimator")
        if self.approach and (self.method == "exact" or self.angle is not None):
            raise ValueError("an approach is measured by method direct, with its own tangents")
        return self

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

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        if self.method == "exact":
            laws = (LAWS.where[name] for name in self.aggregations)
            return ("fgrad.experiments.quality:compute_exact", *laws)
        if self.approach is not None:
            return ("fgrad.experiments.quality:compute_approach", *self.approach.code())
        sampler = SAMPLERS.defined("normal" if self.angle is None else "angle")
        names = dict.fromkeys((*self.aggregations, *self.normalized))
        named = [AGGREGATIONS.defined(name) for name in names]
        named += [KNOWN.where[name] for name in names if name in KNOWN]
        return ("fgrad.experiments.quality:compute_direct", sampler, *named)
