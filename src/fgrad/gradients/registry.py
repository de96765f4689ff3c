"""What is looked up by name, and where it is defined; torch is not imported.

So a run refers to what it names and to nothing beside it: whatever a kind of run can do without is
reached through one of these tables. A name may be a reference to a file of the user's own, too, see
`fgrad.plugins`.
"""

from collections import UserDict
from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from fgrad.gradients.laws import Law

from fgrad import plugins

T = TypeVar("T")


class Registry(UserDict[str, T]):
    """Name → what is defined at ``module:attribute``, which is imported when it is looked up."""

    def __init__(self, where: dict[str, str]) -> None:
        super().__init__()
        self.where = where
        # references until they are looked up
        self.data = dict(where)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> T:
        if plugins.is_reference(name):
            own: T = plugins.load(name)
            return own
        found: Any = self.data[name]
        loaded: T = resolve_name(found) if isinstance(found, str) else found
        return loaded

    def defined(self, name: str) -> str:
        """Where what is named is defined, as ``module:attribute``."""
        return plugins.definition(name) if plugins.is_reference(name) else self.where[name]

    def of(self, named: str | T) -> T:
        """What is named, or given itself."""
        return self[named] if isinstance(named, str) else named


SAMPLERS: Registry[Callable[..., "Tensor"]] = Registry(
    {
        "normal": "fgrad.gradients.tangents:normal",
        "rademacher": "fgrad.gradients.tangents:rademacher",
        "basis": "fgrad.gradients.tangents:basis",
        "angle": "fgrad.gradients.tangents:angle",
        "orthogonal": "fgrad.gradients.tangents:orthogonal",
    }
)

AGGREGATIONS: Registry[Callable[..., "Tensor"]] = Registry(
    {
        "sum": "fgrad.gradients.aggregation:sum_",
        "mean": "fgrad.gradients.aggregation:mean",
        "mean-times-n": "fgrad.gradients.aggregation:mean_times_n",
        "max": "fgrad.gradients.aggregation:max_",
        "max-normalized": "fgrad.gradients.aggregation:max_normalized",
        "mean-of-best": "fgrad.gradients.aggregation:mean_of_best",
        "projection": "fgrad.gradients.aggregation:projection",
    }
)

ESTIMATORS: Registry[Callable[..., "Tensor"]] = Registry({})
"""Whole gradients; all there are are the user's own."""

LAWS: Registry["Law"] = Registry(
    {
        "projection": "fgrad.gradients.laws:PROJECTION",
        "mean": "fgrad.gradients.laws:MEAN",
        "sum": "fgrad.gradients.laws:SUM",
        "mean-times-n": "fgrad.gradients.laws:MEAN_TIMES_N",
    }
)
"""Aggregations whose law is known in closed form for normal tangents."""

FACTORS: Registry[Callable[["Tensor"], tuple["Tensor", ...]]] = Registry(
    {"projection": "fgrad.gradients.aggregation:factor"}
)
"""What an aggregation makes of its tangents alone, which is worth doing for many sets at once."""

CONDITIONS: Registry[Callable[["Tensor"], bool]] = Registry(
    {"independent": "fgrad.gradients.solve:independent"}
)
"""What tangents are drawn again for until it holds: options of an approach."""

KNOWN: Registry[Callable[..., "Tensor"]] = Registry(
    {"projection": "fgrad.gradients.solve:known_projection"}
)
"""Aggregations with a way of their own where ∇f itself is known and tangents are many."""

MODES: Registry[Callable[..., "Tensor"]] = Registry(
    {
        "backpropagation": "fgrad.gradients.blocks:backpropagate",
        "activations-sim": "fgrad.gradients.activations:simulated",
        "activations-fwad": "fgrad.gradients.activations:forward",
        "weights-sim": "fgrad.gradients.weights:simulated",
        "weights-exact": "fgrad.gradients.weights:exact",
        "weights-fwad": "fgrad.gradients.weights:forward",
        "weights-whole": "fgrad.gradients.weights:whole",
    }
)
"""What the tangents of a network perturb, and where their directional derivatives come from."""
