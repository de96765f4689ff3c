"""What a configuration can say of how a gradient is obtained; torch is not imported."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from fgrad.gradients.approach import Approach
from fgrad.gradients.registry import AGGREGATIONS, CONDITIONS, ESTIMATORS, LAWS, SAMPLERS
from fgrad.validation import Model, one_of

Aggregation = Annotated[str, one_of("aggregation", AGGREGATIONS, own=True)]

Estimator = Annotated[str, one_of("estimator", ESTIMATORS, own=True)]

Sampler = Annotated[str, one_of("sampler", SAMPLERS, own=True)]


class NamedApproach(Model):
    """An `fgrad.gradients.approach.Approach` in plain values."""

    renamed: ClassVar[Mapping[str, str]] = {"tangents": "sampler"}

    aggregation: Aggregation | None = None
    """How directional derivatives become a gradient; none is backpropagation, ∇f itself."""
    sampler: Sampler = "normal"
    """Where the tangents come from."""
    normalize: bool = False
    """Normalise each tangent."""
    independent: bool = False
    """Redraw the tangents until they are linearly independent."""
    scale: bool = False
    """Divide by the expected norm ratio, so that E‖g‖ ≈ ‖∇f‖."""
    max_length: Annotated[float, Field(ge=1)] = 1.0
    """L of the sampler `orthogonal`, whose tangents have lengths U[1, L]."""
    estimator: Estimator | None = Field(default=None, exclude_if=lambda value: value is None)
    """A whole gradient of one's own, `file.py:name`, in place of sampler and aggregation."""

    @model_validator(mode="before")
    @classmethod
    def _in_plain_values(cls, values: Any) -> Any:
        return asdict(values) if isinstance(values, Approach) else values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _ = self.how
        return self

    def code(self) -> list[str]:
        """Definitions that its names stand for."""
        if self.estimator is not None:
            return [ESTIMATORS.defined(self.estimator)]
        if self.aggregation is None:
            return []
        code = [AGGREGATIONS.defined(self.aggregation), SAMPLERS.defined(self.sampler)]
        code += [LAWS.where[self.aggregation]] if self.scale else []
        return code + ([CONDITIONS.where["independent"]] if self.independent else [])

    @property
    def how(self) -> Approach:
        """The approach itself."""
        return Approach(**{name: getattr(self, name) for name in NamedApproach.model_fields})
