"""The options of whatever needs a gradient; torch is not imported."""

from typing import Literal, Self

from pydantic import model_validator

from fgrad.errors import Model
from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.options.base import Count


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
