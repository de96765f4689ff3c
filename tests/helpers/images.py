"""Small data sets under real names, written as they are published, and how reading is judged."""

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from torch import Tensor

from fgrad.errors import ConfigError

KEYS = ["train_images", "train_labels", "test_images", "test_labels"]


@dataclass
class Fake:
    """A small data set of random images under a real name.

    Args:
        tensors: what `read` has to give.
        packed: the published files.
        unpacked: the files in them.
    """

    name: str
    tensors: dict[str, Tensor]
    packed: dict[str, bytes]
    unpacked: dict[str, bytes]

    def put(self, folder: Path, unpacked: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in (self.unpacked if unpacked else self.packed).items():
            (folder / file).write_bytes(content)
        return folder


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(values: np.ndarray) -> bytes:
    head = [0x800 + values.ndim, *values.shape]
    return b"".join(number.to_bytes(4, "big") for number in head) + values.tobytes()


def mat(images: np.ndarray, labels: np.ndarray) -> bytes:
    file: Any = io.BytesIO()  # savemat is typed for paths
    labels = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    scipy.io.savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": labels})
    return bytes(file.getvalue())


def batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    return pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels.tolist()})


def tar(files: dict[str, bytes], folder: str = "cifar-10-batches-py/") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def contents(name: str, parts: dict[str, np.ndarray]) -> dict[str, bytes]:
    images, labels = ((parts[f"train_{key}"], parts[f"test_{key}"]) for key in ("images", "labels"))
    if name == "svhn":
        mats = ("train_32x32.mat", "test_32x32.mat")
        return dict(zip(mats, map(mat, images, labels), strict=True))
    if name == "cifar10":
        five = zip(np.array_split(images[0], 5), np.array_split(labels[0], 5), strict=True)
        files = {f"data_batch_{i}": batch(*each) for i, each in enumerate(five, 1)}
        names = pickle.dumps({"label_names": list("0123456789")})
        return files | {"test_batch": batch(images[1], labels[1]), "batches.meta": names}
    return {
        f"{part}-{kind}-ubyte": idx(values[i])
        for i, part in enumerate(("train", "t10k"))
        for kind, values in (("images-idx3", [x[:, 0] for x in images]), ("labels-idx1", labels))
    }


Make = Callable[..., Fake]


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    assert list(found) == KEYS
    return all(
        found[key].dtype == expected[key].dtype and torch.equal(found[key], expected[key])
        for key in KEYS
    )


def refused(call: Callable[..., object], *args: object) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def snapshot(folder: Path) -> dict[Path, tuple[int, float]]:
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def python(code: str, *args: object) -> None:
    subprocess.run([sys.executable, "-c", code, *map(str, args)], check=True)
