"""Names of what a configuration can try gradients on, and where it is defined."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fgrad.gradients.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from fgrad.problems.datasets import Dataset
    from fgrad.problems.functions import Function

FUNCTIONS: Registry["Function"] = Registry(
    {
        "sphere": "fgrad.problems.functions:SPHERE",
        "rosenbrock": "fgrad.problems.functions:ROSENBROCK",
        "styblinski-tang": "fgrad.problems.functions:STYBLINSKI_TANG",
        "plane": "fgrad.problems.functions:PLANE",
        "ackley": "fgrad.problems.functions:ACKLEY",
        "beale": "fgrad.problems.functions:BEALE",
        "egg-crate": "fgrad.problems.functions:EGG_CRATE",
        "goldstein-price": "fgrad.problems.functions:GOLDSTEIN_PRICE",
        "levy-montalvo": "fgrad.problems.functions:LEVY_MONTALVO",
        "three-hump-camel": "fgrad.problems.functions:THREE_HUMP_CAMEL",
    }
)

MODELS: Registry[Callable[..., "nn.Sequential"]] = Registry(
    {
        "fc": "fgrad.problems.models:fc",
        "lenet5": "fgrad.problems.models:lenet5",
        "resnet18": "fgrad.problems.models:resnet18",
        "vit": "fgrad.problems.models:vit",
        "mlpmixer": "fgrad.problems.models:mlpmixer",
    }
)

DATASETS: Registry["Dataset"] = Registry(
    {
        "mnist": "fgrad.problems.datasets:MNIST",
        "fashion-mnist": "fgrad.problems.datasets:FASHION_MNIST",
        "cifar10": "fgrad.problems.datasets:CIFAR10",
        "svhn": "fgrad.problems.datasets:SVHN",
        "mnist5k": "fgrad.problems.datasets:MNIST5K",
    }
)
