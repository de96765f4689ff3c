"""The same options on a command line, where an approach is given by its parts."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field, model_validator

from fgrad.gradients.approach import APPROACHES, Approach
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.gradient import GradientTask, unknown
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun


@dataclass(frozen=True)
class Parts:
    """What the gradient's name stands for, or what of it is to be otherwise."""

    aggregation: str | None = None
    """How directional derivatives become a gradient: a name, or file.py:name."""
    sampler: str = "normal"
    """Where the tangents come from, also as --tangents: a name, or file.py:name."""
    normalize: bool = False
    """Normalise each tangent."""
    independent: bool = False
    """Redraw the tangents until they are linearly independent."""
    scale: bool = False
    """Divide by the expected norm ratio, so that E‖g‖ ≈ ‖∇f‖."""
    max_length: float = 1.0
    """Longest tangent of the sampler orthogonal."""
    estimator: str | None = None
    """A whole gradient of one's own, file.py:name, in place of sampler and aggregation."""

    def other(self) -> dict[str, Any]:
        """Those that are not at their defaults."""
        plain = vars(Parts())
        return {name: value for name, value in vars(self).items() if value != plain[name]}


class Measurement(QualityRun):
    """A measurement, of an approach by its parts where some are given."""

    parts: Parts = Field(default=Parts(), exclude=True)
    """A gradient approach with tangents of its own, in place of the aggregations."""

    @model_validator(mode="before")
    @classmethod
    def _by_parts(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not (other := values.get("parts", Parts()).other()):
            return values
        name = values.get("name") or "own"
        return values | {"approach": asdict(Approach()) | other, "name": name}


class ByParts(GradientTask):
    """An approach by what is otherwise than in the named one, or by all of it."""

    parts: Parts = Field(default=Parts(), exclude=True)
    """What the gradient's name stands for, or what of it is to be otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _known_by_name(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name, other = str(values.get("gradient")), values.get("parts", Parts()).other()
        if name not in APPROACHES and not other:
            raise ValueError(f"{unknown(name)}, or another name with an aggregation or estimator")
        return values | {"approach": asdict(APPROACHES.get(name, Approach())) | other}


class Descent(ByParts, FunctionRun):
    """A descent."""


class Training(ByParts, TrainRun):
    """A training."""


class DescentSearch(ByParts, FunctionSearch):
    """A search for the rate of a descent."""


class TrainingSearch(ByParts, NetworkSearch):
    """A search for the rate of a training."""
