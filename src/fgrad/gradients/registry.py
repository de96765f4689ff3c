"""Names of samplers and aggregations that a configuration can use, and where they are defined."""

from collections import UserDict
from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Registry(UserDict[str, T]):
    """Name → what is defined at ``module:attribute``, which is imported when it is looked up."""

    def __init__(self, where: dict[str, str]) -> None:
        super().__init__()
        self.where = where
        self.data = dict(where)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> T:
        found: Any = self.data[name]
        loaded: T = resolve_name(found) if isinstance(found, str) else found
        return loaded


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
