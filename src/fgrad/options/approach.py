"""What a configuration can say of how a gradient is obtained; torch is not imported."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from fgrad.gradients.approach import Approach
from fgrad.gradients.registry import AGGREGATIONS, SAMPLERS
from fgrad.validation import Model, one_of

Aggregation = Annotated[str, one_of("aggregation", AGGREGATIONS, own=True)]

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

    @model_validator(mode="before")
    @classmethod
    def _in_plain_values(cls, values: Any) -> Any:
        return asdict(values) if isinstance(values, Approach) else values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _ = self.how
        return self

    @property
    def how(self) -> Approach:
        """The approach itself."""
        return Approach(**{name: getattr(self, name) for name in NamedApproach.model_fields})
