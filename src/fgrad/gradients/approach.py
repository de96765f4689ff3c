"""How a gradient is named: sampler + aggregation + options; torch is not imported."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from fgrad.errors import Model, one_of
from fgrad.gradients.registry import AGGREGATIONS, LAWS, SAMPLERS

Aggregation = Annotated[str, one_of("aggregation", AGGREGATIONS)]

Sampler = Annotated[str, one_of("sampler", SAMPLERS)]


class Approach(Model):
    """How a gradient is obtained: sampler + aggregation + options (the paper, section 3)."""

    renamed: ClassVar[Mapping[str, str]] = {"tangents": "sampler"}

    aggregation: Aggregation | None = None
    """How directional derivatives become a gradient; null is backpropagation, ∇f itself."""
    sampler: Sampler = "normal"
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
        if self.scale and (self.aggregation not in LAWS or self.sampler != "normal"):
            raise ValueError(f"scale needs normal tangents and one of {', '.join(LAWS)}")
        return self


APPROACHES = {
    "bp": Approach(),
    "fg-mean": Approach(aggregation="mean"),
    "frog": Approach(aggregation="projection"),
}
"""The paper's approaches by name; a configuration may add more."""


def has_law(approach: Approach) -> bool:
    """Whether its estimate can be drawn from its exact law (the paper, section 3)."""
    return approach.aggregation in LAWS and approach.sampler == "normal" and not approach.normalize


def bounded(approach: Approach) -> bool:
    """Whether there are n such tangents at most."""
    return approach.sampler in ("basis", "orthogonal") or approach.independent
