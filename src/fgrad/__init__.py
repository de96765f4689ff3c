"""Multi-tangent forward gradients: the library behind the reproduction of the paper.

Gradients of a function or of a network without a backward pass, as the paper compares them, and
what the workflow has computed. Every name is imported when it is first used, so that ``import
fgrad`` costs nothing; torch, NumPy and SciPy are enough but for `load` and `provenance`.

Examples:
    >>> import torch
    >>> import fgrad
    >>> x, generator = torch.ones(8), torch.Generator().manual_seed(0)
    >>> f = fgrad.FUNCTIONS["sphere"].value
    >>> g = fgrad.forward_gradient(f, x, 8, generator, "frog")
    >>> torch.allclose(g, fgrad.backpropagation(f, x), atol=1e-4)  # k = n: ∇f
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgrad.errors import ConfigError
    from fgrad.gradients import aggregation as aggregations
    from fgrad.gradients import laws as theory
    from fgrad.gradients import tangents as samplers
    from fgrad.gradients.approach import APPROACHES, Approach
    from fgrad.gradients.chain import chain
    from fgrad.gradients.estimators import (
        backpropagation,
        fixed_directions,
        forward_derivatives,
        forward_gradient,
        full_forward_mode,
    )
    from fgrad.gradients.perturbation import Perturbation
    from fgrad.problems.datasets import Dataset
    from fgrad.problems.functions import Function
    from fgrad.problems.registry import DATASETS, FUNCTIONS, MODELS
    from fgrad.store.loading import load
    from fgrad.store.parquet import provenance

__version__ = "0.1.0"

__all__ = [
    "APPROACHES",
    "DATASETS",
    "FUNCTIONS",
    "MODELS",
    "Approach",
    "ConfigError",
    "Dataset",
    "Function",
    "Perturbation",
    "aggregations",
    "backpropagation",
    "chain",
    "fixed_directions",
    "forward_derivatives",
    "forward_gradient",
    "full_forward_mode",
    "load",
    "provenance",
    "samplers",
    "theory",
]

_WHERE = {
    "APPROACHES": "gradients.approach",
    "Approach": "gradients.approach",
    "Perturbation": "gradients.perturbation",
    "chain": "gradients.chain",
    "backpropagation": "gradients.estimators",
    "fixed_directions": "gradients.estimators",
    "forward_derivatives": "gradients.estimators",
    "forward_gradient": "gradients.estimators",
    "full_forward_mode": "gradients.estimators",
    "DATASETS": "problems.registry",
    "FUNCTIONS": "problems.registry",
    "MODELS": "problems.registry",
    "load": "store.loading",
    "provenance": "store.parquet",
    "Dataset": "problems.datasets",
    "Function": "problems.functions",
    "ConfigError": "errors",
}
"""Public name → the module that defines it, below this one."""

_MODULES = {
    "aggregations": "gradients.aggregation",
    "samplers": "gradients.tangents",
    "theory": "gradients.laws",
}
"""Public name → the module that it stands for."""


def defined(name: str) -> tuple[str, str]:
    """Module and name behind a public name; the name is empty for a module."""
    return f"fgrad.{_WHERE.get(name) or _MODULES[name]}", "" if name in _MODULES else name


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'fgrad' has no attribute {name!r}")
    try:
        module = import_module(defined(name)[0])
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "fgrad":
            raise
        raise ImportError(
            f"fgrad.{name} needs {error.name}: pip install 'fgrad[paper]'", name=error.name
        ) from None
    found = module if name in _MODULES else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
