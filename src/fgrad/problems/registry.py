"""Names of what a configuration can try gradients on, and where it is defined; no torch here."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fgrad.gradients.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fgrad.problems.datasets import Dataset
    from fgrad.problems.functions import Function
    from fgrad.problems.published import Published

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
r"""Test functions by name; the paper's are the sphere, Rosenbrock's and Styblinski and Tang's:

$$\sum_i x_i^2, \qquad
\sum_{i<n} \left[100 \, (x_{i+1} - x_i^2)^2 + (1 - x_i)^2\right], \qquad
\frac12 \sum_i \left(x_i^4 - 16 x_i^2 + 5 x_i\right).$$

Examples:
    >>> rosenbrock = FUNCTIONS["rosenbrock"]
    >>> rosenbrock.value(torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    tensor([  0., 401.])
"""

MODELS: Registry[Callable[..., "nn.Sequential"]] = Registry(
    {
        "fc": "fgrad.problems.models:fc",
        "lenet5": "fgrad.problems.models:lenet5",
        "resnet18": "fgrad.problems.models:resnet18",
        "vit": "fgrad.problems.models:vit",
        "mlpmixer": "fgrad.problems.models:mlpmixer",
    }
)
"""Networks by name: functions of channels, height and classes that make a chain of blocks.

Examples:
    >>> network = MODELS["fc"](1, 28, 10, width=64)
    >>> network(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
"""

DATASETS: Registry["Dataset"] = Registry(
    {
        "mnist": "fgrad.problems.datasets:MNIST",
        "fashion-mnist": "fgrad.problems.datasets:FASHION_MNIST",
        "cifar10": "fgrad.problems.datasets:CIFAR10",
        "svhn": "fgrad.problems.datasets:SVHN",
        "mnist5k": "fgrad.problems.datasets:MNIST5K",
    }
)
"""Data sets by name, as `fgrad.Dataset`: what is known of them before they are read.

Examples:
    >>> mnist = DATASETS["mnist"]
    >>> mnist.train, mnist.val, mnist.test
    (50000, 10000, 10000)
"""

PUBLISHED: Registry["Published"] = Registry(
    {
        "mnist": "fgrad.problems.published:MNIST",
        "fashion-mnist": "fgrad.problems.published:FASHION_MNIST",
        "cifar10": "fgrad.problems.published:CIFAR10",
        "svhn": "fgrad.problems.published:SVHN",
    }
)
"""Where the files of a data set are published; a data set without an entry needs none."""

READERS: Registry[Callable[..., dict[str, "Tensor"]]] = Registry(
    {"published": "fgrad.problems.published:read"}
)
"""How raw tensors are read that nobody has prepared."""
