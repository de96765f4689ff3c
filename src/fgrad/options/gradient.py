"""The options of whatever needs a gradient; torch is not imported."""

from typing import Any, Literal, Self

from pydantic import model_validator

from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.options.approach import NamedApproach
from fgrad.options.base import Count
from fgrad.validation import Model


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
    approach: NamedApproach | None = None
    """What the gradient's name stands for; the paper's approaches are known by their names."""

    @model_validator(mode="before")
    @classmethod
    def _known_by_name(cls, values: Any) -> Any:
        """A run says all that its numbers depend on, not only what that is called."""
        known = isinstance(values, dict) and APPROACHES.get(str(values.get("gradient")))
        if not known or values.get("approach") is not None:
            return values
        return values | {"approach": known}

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.approach is None:
            raise ValueError(unknown(self.gradient))
        if self.how.estimates != (self.k is not None):
            given = "it needs k" if self.how.estimates else "it takes no tangents"
            raise ValueError(f"gradient {self.gradient} with k = {self.k}: {given}")
        return self

    @property
    def named_approach(self) -> NamedApproach:
        """What is always there once options are checked."""
        assert self.approach is not None
        return self.approach

    @property
    def how(self) -> Approach:
        """The approach."""
        return self.named_approach.how

    def gradient_code(self) -> list[str]:
        """Definitions that the gradient's name stands for."""
        return self.named_approach.code()


def unknown(gradient: str) -> str:
    """What is said of a gradient that nothing is known of."""
    return f"gradient = {gradient!r}: unknown gradient; allowed: {', '.join(APPROACHES)}"
