"""Published files: a table that is torchvision's, every layout the same, nothing half taken."""

import errno
import gzip
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from images import python, refused, same, snapshot, tar

from fgrad.errors import ConfigError
from fgrad.problems import data, published
from fgrad.problems.registry import DATASETS, PUBLISHED
from fgrad.store import downloads


def test_the_table_is_torchvisions():
    from torchvision import datasets

    for name in ("mnist", "fashion-mnist"):
        reader = getattr(datasets, PUBLISHED[name].reader)
        assert {file: sums[0] for file, sums in PUBLISHED[name].files.items()} == dict(
            reader.resources
        )
        assert set(reader.mirrors) <= set(PUBLISHED[name].mirrors)
        assert all(list(sums[1]) == [file[:-3]] for file, sums in PUBLISHED[name].files.items())
    cifar = datasets.CIFAR10
    (archive,) = PUBLISHED["cifar10"].files.items()
    members = dict(cifar.train_list + cifar.test_list) | {cifar.meta["filename"]: cifar.meta["md5"]}
    assert archive == (cifar.filename, (cifar.tgz_md5, members))
    assert PUBLISHED["cifar10"].mirrors[0] + archive[0] == cifar.url
    assert PUBLISHED["cifar10"].layout == cifar.base_folder
    for part in ("train", "test"):
        url, file, checksum = datasets.SVHN.split_list[part]
        assert PUBLISHED["svhn"].files[file] == (checksum, {file: checksum})
        assert PUBLISHED["svhn"].mirrors[0] + file == url


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


def test_the_table_is_known_without_torch_and_to_configuration():
    python(
        "import sys, fgrad.problems.datasets, fgrad.problems.published, fgrad.options.networks\n"
        "assert not {'torch', 'torchvision', 'mlxtend'} & set(sys.modules)"
    )


# reading


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("where", ["", "name", "class", "layout", "name/layout"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_layout_gives_the_same_tensors(name, where, unpacked, fake, tmp_path):
    made, table = fake(name), PUBLISHED[name]
    words = {"name": name, "class": table.reader, "layout": table.layout, "": ""}
    made.put(tmp_path.joinpath(*(words[word] for word in where.split("/"))), unpacked)
    assert same(published.read(name, tmp_path), made.tensors)


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_reading_leaves_the_folder_alone(name, unpacked, fake, tmp_path):
    folder = fake(name).put(tmp_path / "data", unpacked)
    folder.chmod(0o555)
    before = snapshot(folder)
    published.read(name, folder)
    assert snapshot(folder) == before


def test_a_relative_folder(fake, tmp_path, monkeypatch):
    made = fake("mnist")
    made.put(tmp_path / "data", unpacked=True)
    monkeypatch.chdir(tmp_path)
    assert same(published.read("mnist", Path("data")), made.tensors)


def test_some_packed_and_some_not_and_some_elsewhere(fake, tmp_path):
    made = fake("mnist")
    made.put(tmp_path)
    made.put(tmp_path / "mnist", unpacked=True)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    assert same(published.read("mnist", tmp_path), made.tensors)


def test_packed_anew_is_the_same(fake, tmp_path):
    made = fake("mnist")
    made.packed = {file: gzip.compress(gzip.decompress(x), 1) for file, x in made.packed.items()}
    assert made.packed != {file: gzip.compress(x) for file, x in made.unpacked.items()}
    assert same(published.read("mnist", made.put(tmp_path)), made.tensors)


def test_files_of_the_same_name_are_told_apart(fake, tmp_path):
    digits, clothes = fake("mnist"), fake("fashion-mnist")
    clothes.put(tmp_path)
    message = refused(published.read, "mnist", tmp_path)
    assert f"{tmp_path}/train-images-idx3-ubyte.gz: train-images-idx3-ubyte has the MD5" in message
    digits.put(tmp_path / "MNIST" / "raw", unpacked=True)
    assert same(published.read("mnist", tmp_path), digits.tensors)
    assert same(published.read("fashion-mnist", tmp_path), clothes.tensors)


def test_a_good_copy_is_found_behind_a_damaged_one(fake, tmp_path):
    made = fake("cifar10")
    made.put(tmp_path / "cifar10", unpacked=True)
    (tmp_path / "cifar10" / "data_batch_3").write_bytes(b"half")
    made.put(tmp_path)
    assert same(published.read("cifar10", tmp_path), made.tensors)


def test_of_two_damaged_copies_the_nearest_is_named(fake, tmp_path):
    made = fake("svhn")
    for folder in (tmp_path, tmp_path / "svhn"):
        (made.put(folder) / "test_32x32.mat").write_bytes(b"half")
    assert f"data set svhn: {tmp_path / 'svhn'}: test_32" in refused(
        published.read, "svhn", tmp_path
    )


@pytest.mark.parametrize(
    ("name", "file", "spoil", "reason"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", lambda x: x[:1000], "ended before"),
        ("mnist", "t10k-labels-idx1-ubyte.gz", lambda x: b"<html>", "has the MD5"),
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
    message = refused(published.read, name, tmp_path)
    assert message.startswith(f"data set {name}: {tmp_path}")
    assert file in message
    assert reason in message
    assert f"put the published files into {tmp_path / name}" in message


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_files_are_named(name, fake, tmp_path):
    files = list(fake(name).packed)
    message = refused(published.read, name, tmp_path / "none")
    assert f"data set {name}: {files[0]}" in message
    assert (f"(and {len(files) - 1} more)" in message) == (len(files) > 1)
    assert f"not found in {tmp_path / 'none'}; put the published files into" in message


def test_one_member_missing_is_a_file_missing(fake, tmp_path):
    fake("cifar10").put(tmp_path, unpacked=True)
    (tmp_path / "data_batch_5").unlink()
    assert "cifar-10-python.tar.gz not found" in refused(published.read, "cifar10", tmp_path)


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
        published.read("mnist", fake("mnist", **changed).put(tmp_path))


@pytest.mark.parametrize("call", [published.read, data.load, published.fetch, published.prepare])
def test_an_unknown_name(call, tmp_path):
    output = [tmp_path / "set.pt"] if call is published.prepare else []
    message = refused(call, "imagenet", tmp_path, *output)
    assert message == f"unknown data set imagenet; allowed: {', '.join(DATASETS)}"


@pytest.mark.parametrize("call", [published.read, data.load])
def test_a_folder_is_needed(call):
    assert refused(call, "svhn", None).startswith("data set svhn needs data_dir")


ALIKE = {
    "unpacked by 7-Zip": lambda name: name.replace("-idx", ".idx"),
    "dots, packed": lambda name: name.replace("-idx", ".idx") + ".gz",
    "all dots": lambda name: name.replace("-", "."),
    "underscores": lambda name: name.replace("-", "_"),
    "of a folder of that name": lambda name: f"{name}/{name}",
    "dots in a folder": lambda name: f"{name}/{name.replace('-idx', '.idx')}",
    "a second copy": lambda name: f"{name} (1).gz",
    "in capitals": lambda name: f"{name.upper()}.GZ",
    "another ending": lambda name: f"{name}.bin",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("call", ALIKE)
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_files_are_known_by_content(name, call, packed, fake, tmp_path):
    """Whatever they are called, and packed or not whatever their ending says."""
    made, folder = fake(name), tmp_path / "data"
    fake("fashion-mnist" if name == "mnist" else "mnist").put(folder)  # of the same names
    for part, content in made.unpacked.items():
        path = folder / ALIKE[call](part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if packed else content)
    before = snapshot(folder)
    assert same(published.read(name, folder), made.tensors)
    assert snapshot(folder) == before


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "name", ["cifar-10-python.tar", "cifar-10-python.tgz", "cifar_10_python.tar.gz"]
)
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py/", "/abs/", "../"])
def test_archives_are_known_by_content(name, packed, inside, fake, tmp_path):
    """Nothing is written where names in them point to."""
    made = fake("cifar10")
    (tmp_path / "data").mkdir()
    content = gzip.decompress(tar(made.unpacked, inside))
    (tmp_path / "data" / name).write_bytes(gzip.compress(content) if packed else content)
    assert same(published.read("cifar10", tmp_path / "data"), made.tensors)
    assert os.listdir(tmp_path) == ["data"]


def bomb(size: int) -> bytes:
    return gzip.compress(bytes(size))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", bomb(48_000_000)),
        ("mnist", "t10k-labels-idx1-ubyte", bomb(1_000_000)),
        ("svhn", "test_32x32.mat", bomb(65_000_000)),
        ("cifar10", "cifar-10-python.tar.gz", tar({"test_batch": bytes(190_000_000)})),
        ("cifar10", "cifar-10-python.tar.gz", tar({"other": bytes(190_000_000)})),
        ("cifar10", "cifar-10-python.tar.gz", tar({"data_batch_1": bytes(95_000_000), "x": bytes(95_000_000)})),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_before_it_has_grown(name, file, content, fake, tmp_path):
    fake(name).put(tmp_path)
    for path in tmp_path.glob(f"{Path(file).stem}*"):
        path.unlink()
    (tmp_path / file).write_bytes(content)
    message = refused(published.read, name, tmp_path)
    assert f"{file} holds more than the published" in message


def test_every_file_has_a_published_size():
    for one in PUBLISHED.values():
        names = {*one.files, *(part for _, contents in one.files.values() for part in contents)}
        assert one.sizes.keys() == names
    assert sum(PUBLISHED["cifar10"].sizes[f"data_batch_{i}"] for i in range(1, 6)) > 50_000 * 3073
    assert PUBLISHED["mnist"].sizes["train-images-idx3-ubyte"] == 16 + 60_000 * 28**2
    assert PUBLISHED["mnist"].sizes["t10k-labels-idx1-ubyte"] == 8 + 10_000


# fetching


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_second_mirror_helps(name, fake, mirrors, tmp_path):
    made, log = fake(name), []
    mirrors(made)
    published.fetch(name, tmp_path / "data", log.append)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / name).iterdir()} == (
        made.packed
    )
    assert any("No such file" in line for line in log)
    assert same(published.read(name, tmp_path / "data"), made.tensors)


def test_a_damaged_download_is_not_kept(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    first, _ = mirrors(made)
    made.put(first)
    (first / "t10k-labels-idx1-ubyte.gz").write_bytes(b"half")
    published.fetch("mnist", tmp_path / "data", log.append)
    assert sum("MD5" in line for line in log) == 1
    assert same(published.read("mnist", tmp_path / "data"), made.tensors)


def test_a_mirror_may_recover(fake, mirrors, tmp_path, monkeypatch):
    made, pauses = fake("svhn"), []
    first, second = mirrors(made)
    second.rename(tmp_path / "away")
    monkeypatch.setattr(published, "PAUSE", 5.0)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if seconds == 10:
            (tmp_path / "away").rename(first)

    monkeypatch.setattr(time, "sleep", sleep)
    published.fetch("svhn", tmp_path / "data")
    assert pauses == [0, 5, 10, 0]
    assert same(published.read("svhn", tmp_path / "data"), made.tensors)


def test_a_download_that_is_too_long_is_not_kept(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    first, _ = mirrors(made)
    made.put(first)
    (first / "t10k-labels-idx1-ubyte.gz").write_bytes(bytes(5_000))
    published.fetch("mnist", tmp_path / "data", log.append)
    assert "longer than the published 4,542 bytes" in log
    assert same(published.read("mnist", tmp_path / "data"), made.tensors)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_no_fault_of_a_mirror(code, fake, mirrors, tmp_path, monkeypatch):
    """No other one is asked for what there is no room for."""
    mirrors(fake("mnist"))
    log = []

    def full(url, most):
        yield b"half"
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(downloads, "received", full)
    message = refused(published.fetch, "mnist", tmp_path / "data", log.append)
    target = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    assert message == f"{target}: cannot be written: {os.strerror(code)}"
    assert len(log) == 1
    assert not list(target.parent.iterdir())


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("call", [published.fetch, published.read])
def test_a_full_folder_for_temporary_files_is_no_fault_of_the_data(
    call, fake, tmp_path, monkeypatch
):
    """What is whole is not fetched anew over it."""
    folder = fake("mnist").put(tmp_path / "data")
    before = snapshot(folder)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "cannot be written: No space left on device" in refused(call, "mnist", folder)
    assert snapshot(folder) == before


@pytest.mark.parametrize("damaged", [False, True])
def test_when_all_mirrors_fail(damaged, fake, mirrors, tmp_path):
    made = fake("cifar10")
    folders, target = mirrors(made), tmp_path / "data" / "cifar10"
    for folder in folders:
        folder.mkdir(exist_ok=True)
        file = folder / "cifar-10-python.tar.gz"
        file.write_bytes(b"<html>") if damaged else file.unlink(missing_ok=True)
    tries = []
    message = refused(published.fetch, "cifar10", tmp_path / "data", tries.append)
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
    published.fetch(name, folder)
    assert snapshot(folder) == before


@pytest.mark.usefixtures("offline")
def test_nothing_to_fetch_for_what_is_shipped(tmp_path):
    published.fetch("mnist5k", tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_only_what_is_missing_is_downloaded(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    made.put(tmp_path / "data")
    mirrors(made)[1].joinpath("train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "data" / "t10k-images-idx3-ubyte.gz").unlink()
    published.fetch("mnist", tmp_path / "data", log.append)
    assert os.listdir(tmp_path / "data" / "mnist") == ["t10k-images-idx3-ubyte.gz"]


def test_what_is_damaged_is_replaced(fake, mirrors, tmp_path):
    made, log = fake("mnist"), []
    mirrors(made)
    made.put(tmp_path / "data" / "mnist")
    half = tmp_path / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
    half.write_bytes(half.read_bytes()[:99])
    published.fetch("mnist", tmp_path / "data", log.append)
    assert log[0].startswith(f"{half}: ")
    assert half.read_bytes() == made.packed[half.name]


def test_what_a_kill_leaves_is_not_taken_for_whole(fake, mirrors, tmp_path):
    made = fake("mnist")
    mirrors(made)
    child = os.fork()
    if not child:

        def dies(url: str, path: Path, most: int) -> None:
            path.write_bytes(b"a long first half" * 10_000)
            os._exit(9)

        published._transfer = dies
        try:
            published.fetch("mnist", tmp_path / "data")
        finally:
            os._exit(1)  # or the child would go on as a second pytest
    assert os.waitpid(child, 0)[1] == 9 << 8
    (left,) = (tmp_path / "data" / "mnist").iterdir()
    assert left.name not in made.packed
    assert "not found" in refused(published.read, "mnist", tmp_path / "data")
    published.fetch("mnist", tmp_path / "data")
    assert not left.exists()
    assert same(published.read("mnist", tmp_path / "data"), made.tensors)


@pytest.mark.usefixtures("offline")
def test_a_folder_that_cannot_be_written(fake, tmp_path):
    fake("svhn")
    (tmp_path / "file").touch()
    message = refused(published.fetch, "svhn", tmp_path / "file")
    assert "train_32x32.mat not found in" in message
    assert f"{tmp_path / 'file'}, which cannot be written; put the published files" in message
