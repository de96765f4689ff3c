"""Files out of what they are packed in, which is known by content; what they are called is open."""

import gzip
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

GZIP = b"\x1f\x8b"
"""What a file packed by gzip begins with."""

AROUND = 1 << 21
"""Bytes of an archive beside the files in it: headers, padding, a file that explains them."""


def alike(folder: Path, name: str) -> Iterator[Path]:
    """Files in a folder, or in a folder in it, that are called like a published one or nearly so.

    Whatever stands between its words or behind them is left open: a dot for a dash, a missing or
    an added ending.

    Args:
        folder: need not be there.
        name: of the published file; it comes first.
    """
    begin = _letters(name.removesuffix(".gz").removesuffix(".tar"))
    for path in _listed(folder, name):
        if path.name.startswith(".") or not _letters(path.name).startswith(begin):
            continue  # what is hidden is of a download that was killed
        if path.is_dir():
            inside = _listed(path, name)
            yield from (one for one in inside if _letters(one.name).startswith(begin))
        else:
            yield path


def _listed(folder: Path, first: str) -> list[Path]:
    try:
        paths = sorted(folder.iterdir(), key=lambda path: (path.name != first, path.name))
    except OSError:
        return []
    return [path for path in paths if os.path.isfile(path) or os.path.isdir(path)]


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def place(source: Path, target: Path, most: int) -> None:
    """Unpack a file, or link it where it is not packed.

    Args:
        source: the file.
        target: where it is to be; nothing is there.
        most: its published size.

    Raises:
        ValueError: if there is more in it.
        OSError, EOFError, zlib.error: if it is damaged.
    """
    if not _is_packed(source):
        target.symlink_to(source.absolute())
        return
    with gzip.open(source) as packed, target.open("wb") as unpacked:
        shutil.copyfileobj(_AtMost(packed, most, source), unpacked)


def extract(source: Path, target: Path, sizes: Mapping[str, int]) -> None:
    """Unpack the files of an archive that have these names, in whichever folder of it they are.

    Args:
        source: the archive, of tar, packed by gzip or not.
        target: the folder they are put into.
        sizes: the published size of each.

    Raises:
        ValueError: if there is more in it.
        OSError, EOFError, zlib.error, tarfile.TarError: if it is damaged.
    """
    most = sum(sizes.values()) + AROUND
    with gzip.open(source) if _is_packed(source) else source.open("rb") as packed:
        content = cast(Any, _AtMost(packed, most, source))
        # as a stream: what is skipped is read too, and counts
        with tarfile.open(fileobj=content, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if name in sizes and member.isfile() else None
                if file is not None:
                    with (target / name).open("wb") as unpacked:
                        shutil.copyfileobj(file, unpacked)


def _is_packed(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _AtMost:
    """Reads a file up to so many bytes: a few of a packed one may stand for any number."""

    def __init__(self, file: _Readable, most: int, source: Path) -> None:
        self.file, self.most, self.source, self.left = file, most, source, most

    def read(self, size: int = -1, /) -> bytes:
        content = self.file.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError(
                f"{self.source.name} holds more than the published {self.most:,} bytes"
            )
        return content
