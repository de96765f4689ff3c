"""How a gradient is named: sampler + aggregation + options; torch is not imported."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrad.gradients.registry import AGGREGATIONS, LAWS, SAMPLERS
from fgrad.plugins import is_reference

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Approach:
    """How a gradient is obtained: sampler + aggregation + options (the paper, section 3).

    Args:
        aggregation: how directional derivatives become a gradient: a name, or a function
            ``(tangents [*T, k, n], derivatives [*T, *B, k]) → coefficients [*T, *B, k]``, itself or
            as ``file.py:name``; ``None`` is backpropagation, ∇f itself.
        sampler: where the tangents come from: a name, or a function ``(size [*, k, n], generator,
            *, dtype) → tangents [*, k, n]``, itself or as ``file.py:name``.
        normalize: normalise each tangent.
        independent: redraw the tangents until they are linearly independent.
        scale: divide by the expected norm ratio, so that E‖g‖ ≈ ‖∇f‖.
        max_length: longest tangent of the sampler ``orthogonal``.
        estimator: a whole gradient in place of sampler and aggregation: a function ``(f, x [n], k,
            generator) → estimate of ∇f(x) [n]``, itself or as ``file.py:name``, of an f that takes
            points [*B, n] to values [*B].

    Raises:
        ValueError: if a name is not known, or options contradict each other.

    Examples:
        >>> signs = Approach("projection", sampler="rademacher")
        >>> signs.normalize
        False
        >>> halves = Approach(lambda tangents, derivatives: derivatives / 2)
    """

    aggregation: "str | Callable[..., Tensor] | None" = None
    sampler: "str | Callable[..., Tensor]" = "normal"
    normalize: bool = False
    independent: bool = False
    scale: bool = False
    max_length: float = 1.0
    estimator: "str | Callable[..., Tensor] | None" = None

    def __post_init__(self) -> None:
        if self.estimator is not None:
            self._check("estimator", {})
            if self.aggregation is not None or self.sampler != "normal" or self.scale:
                raise ValueError("an estimator is a whole gradient: no aggregation, sampler, scale")
        if self.aggregation is not None:
            self._check("aggregation", AGGREGATIONS)
        self._check("sampler", SAMPLERS)
        for name in ("normalize", "independent", "scale"):
            if not isinstance(value := getattr(self, name), bool):
                raise ValueError(f"{name} = {value!r}; allowed: True, False")
        length = self.max_length
        if not isinstance(length, int | float) or not 1 <= length < math.inf:
            raise ValueError(f"max_length = {length!r}; allowed: numbers of at least 1")
        known = ("normal", "angle") if self.aggregation == "projection" else ("normal",)
        if self.scale and (self.aggregation not in LAWS or self.sampler not in known):
            raise ValueError(f"scale needs normal tangents and one of {', '.join(LAWS)}")

    @property
    def estimates(self) -> bool:
        """Whether k tangents or evaluations make an estimate; ∇f itself otherwise."""
        return self.aggregation is not None or self.estimator is not None

    def _check(self, kind: str, known: Mapping[str, object]) -> None:
        value = getattr(self, kind)
        if callable(value) or is_reference(value):
            return
        if not isinstance(value, str) or value not in known:
            allowed = ", ".join([*known, "a function", "file.py:name"])
            raise ValueError(f"{kind} = {value!r}: unknown {kind}; allowed: {allowed}")


APPROACHES = {
    "bp": Approach(),
    "fg-mean": Approach("mean"),
    "frog": Approach("projection"),
}
"""The paper's approaches by name; a configuration may add more.

Examples:
    >>> APPROACHES["frog"].aggregation
    'projection'
"""


def named(approach: Approach | str) -> Approach:
    """An approach, or the paper's of that name; raises ValueError if there is none."""
    found = APPROACHES.get(approach) if isinstance(approach, str) else approach
    if not isinstance(found, Approach):
        raise ValueError(f"approach = {approach!r}; an Approach or one of {', '.join(APPROACHES)}")
    return found


def has_law(approach: Approach) -> bool:
    """Whether its estimate can be drawn from its exact law (the paper, section 3)."""
    return approach.aggregation in LAWS and approach.sampler == "normal" and not approach.normalize


def bounded(approach: Approach) -> bool:
    """Whether there are n such tangents at most."""
    return approach.sampler in ("basis", "orthogonal") or approach.independent
