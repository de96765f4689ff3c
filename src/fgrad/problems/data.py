"""Image data sets as tensors (sections 4.4 and 4.5).

The published files are read once into one file of raw tensors (`fgrad.problems.published`), and
from there go to the device whole: a batch is an index, and nothing is done sample by sample.

Source: the paper, sections 4.4 and 4.5 (splits, normalisation, batches).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fgrad.errors import ConfigError
from fgrad.problems.datasets import FORMAT, Dataset, named
from fgrad.problems.registry import PUBLISHED, READERS

MARK = "prepared by fgrad"
"""Key of the format in a prepared file; near its beginning, whatever is behind it."""


@dataclass(frozen=True)
class Split:
    """Samples of one part of a data set.

    Args:
        images: [N, C, H, W], float32, normalised.
        labels: [N], int64.
    """

    images: Tensor
    labels: Tensor


def load(
    name: str, source: Path | None, device: torch.device | str = "cpu"
) -> tuple[Split, Split, Split]:
    """Training, validation and test samples, normalised, on the device.

    Training and validation samples are split as `torch.utils.data.random_split` does with a
    generator of seed 0.

    Args:
        name: data set.
        source: a prepared file or a folder of published files; none for ``mnist5k``; what a data
            set of the user's own is read from.
        device: where the samples go.

    Raises:
        ConfigError: the source is missing, damaged or of another data set.
    """
    dataset = named(name)
    if dataset.read is not None:
        raw = dict(dataset.read(source))
        check(name, name, raw)
    elif source is None or source.is_dir() or not (name in PUBLISHED or source.is_file()):
        raw = READERS["published"](name, source)
    else:
        raw = prepared(name, source)
    tensors = {key: tensor.to(device) for key, tensor in raw.items()}
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(dataset.train + dataset.val, generator=generator).to(device)
    train, val = (
        _normalised(dataset, tensors["train_images"][part], tensors["train_labels"][part])
        for part in order.split([dataset.train, dataset.val])
    )
    return train, val, _normalised(dataset, tensors["test_images"], tensors["test_labels"])


def augment(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Crop every image at random out of itself padded by 4, and mirror half of them.

    The padding is zero after normalisation: the mean colour.

    Args:
        images: [B, C, H, W].
        generator: on the images' device.
        flip: whether to mirror, with probability ½.

    Returns:
        [B, C, H, W], a copy.
    """
    batch, channels, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    shift = torch.randint(9, (2, batch, 1), generator=generator, device=device)
    rows = torch.arange(height, device=device) + shift[0]
    columns = torch.arange(width, device=device) + shift[1]
    if flip:
        mirrored = torch.rand(batch, 1, generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    pixels = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
    index = pixels.view(batch, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, index).view_as(images)


def packed(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Contents of a prepared file: the format, the data set's name, a checksum, the raw tensors.

    Args:
        name: data set.
        tensors: as `fgrad.problems.published.read` gives them.
    """
    return {MARK: FORMAT, "name": name, "checksum": checksum(name, tensors), **tensors}


def checksum(name: str, tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2b of the name and of every tensor's name, type, shape and bytes."""
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def prepared(name: str, source: Path) -> dict[str, Tensor]:
    """The raw tensors of a prepared file.

    Args:
        name: data set.
        source: the file.

    Raises:
        ConfigError: if the file cannot be read, is none of fgrad's, of another format or data set,
            or damaged.
    """
    again = "delete it and run again"
    foreign = f"{source}: not a prepared data set; name one, or a folder of published files"
    try:
        with source.open("rb") as file:
            ours = MARK.encode() in file.read(4096)
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    try:
        content: Any = torch.load(source, weights_only=True)
        made = content.pop(MARK, 0 if {"name", "train_images"} <= set(content) else None)
        found, expected = content.pop("name"), content.pop("checksum", "")
        sound = made != FORMAT or checksum(found, content) == expected
    except Exception:  # damaged bytes make torch raise anything
        # what somebody else wrote is theirs to delete
        raise ConfigError(f"{source}: damaged: not whole; {again}" if ours else foreign) from None
    if made is None:
        raise ConfigError(foreign)
    if made != FORMAT:
        raise ConfigError(f"{source}: prepared in format {made}, not {FORMAT}; {again}")
    if not sound:
        raise ConfigError(f"{source}: damaged: other contents than its checksum's; {again}")
    if found != name:
        raise ConfigError(f"{source}: data set {found}, not {name}; {again}")
    check(str(source), name, content)
    return dict(content)


def check(where: str, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not of the data set's sizes, types and classes.

    Args:
        where: named in front of the message.
        name: data set.
        tensors: as `fgrad.problems.published.read` gives them.

    Raises:
        ConfigError: naming the first that is not.
    """
    dataset = named(name)
    for part, count in (("train", dataset.train + dataset.val), ("test", dataset.test)):
        shape = (count, dataset.channels, dataset.size, dataset.size)
        for key, kind, expected in (("images", "uint8", shape), ("labels", "int64", (count,))):
            tensor = tensors.get(f"{part}_{key}")
            found = "missing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"
            if found != f"torch.{kind} {expected}":
                raise ConfigError(f"{where}: {part} {key} are {found}, not torch.{kind} {expected}")
        low, high = (int(label) for label in tensors[f"{part}_labels"].aminmax())
        if low < 0 or high >= dataset.classes:
            raise ConfigError(
                f"{where}: {part} labels are {low} to {high}, not 0 to {dataset.classes - 1}"
            )
    if dataset.checksum and checksum(name, tensors) != dataset.checksum:
        raise ConfigError(f"{where}: not the images and labels of {name}, which have a checksum")


def _normalised(dataset: Dataset, images: Tensor, labels: Tensor) -> Split:
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (dataset.mean, dataset.std)
    )
    # in place: CIFAR-10 is half a gigabyte in float32
    return Split(images.float().div_(255).sub_(mean).div_(std), labels)
