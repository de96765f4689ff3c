"""A zip of one form alone: plain files one after the other, as they are, and nothing else.

What is not packed cannot be larger than the archive, what lies end to end cannot overlap, and the
same files give the same bytes on every machine. Any other zip is refused, naming the entry.
"""

import os
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fgrad.errors import SHORT, ConfigError
from fgrad.store import files

DATE = (1980, 1, 1, 0, 0, 0)
"""Of each entry."""

MODE = stat.S_IFREG | 0o644
"""Of each entry."""

UTF8 = 0x800
"""The only flag of an entry: its name is no ASCII."""

END = struct.Struct("<4s4H2IH")
"""What an archive ends with."""

MANY = 65_535
"""Entries of a zip at most; one of more, or of more than 2 GB, is another format to `zipfile`."""

RESERVED = {
    *("con", "prn", "aux", "nul", "conin$", "conout$"),
    *(f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"),
}
"""Names that Windows keeps for devices, whatever stands behind a dot."""

RESERVED_SIGNS = frozenset('\\:*?"<>|')
"""What Windows has in no name."""

CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is not shown but does something, or is no character."""

LONGEST = 180
"""Bytes of a part of a name, so that there is room for what is put beside it."""

DEEP = 16
"""Parts of a name at most."""

LINKS = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder"} | files.KINDS
"""What an entry may say it is, other than a file."""


@contextmanager
def written(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """An archive that is there whole or not at all; the block is given what adds a file.

    Raises:
        ConfigError: if it cannot be written, or gets too large; and for a name that `opened` would
            refuse.
    """
    names = _Names()
    try:
        with (
            files.atomic(path) as temporary,
            zipfile.ZipFile(temporary, "w", allowZip64=False) as archive,
        ):

            def add(name: str, content: bytes) -> None:
                if wrong := names.wrong(name):
                    raise ConfigError(f"{path}: {shown(name)}: {wrong}; rename it")
                info = zipfile.ZipInfo(name, DATE)
                info.create_system, info.external_attr = 3, MODE << 16
                archive.writestr(info, content)

            yield add
    except zipfile.LargeZipFile:  # of an entry, or of all of them at the end
        raise ConfigError(
            f"{path}: more than 2 GB or {MANY:,} files; bundle some sections at a time"
        ) from None


class Archive:
    """An archive whose form has been checked."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self.path, self._zip = path, opened
        self.sizes = {info.filename: info.file_size for info in opened.infolist()}
        """Bytes of each entry."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of an entry; raises ConfigError if it is damaged."""
        try:
            with self._zip.open(name) as entry:
                while chunk := entry.read(1 << 20):
                    yield chunk
        except (zipfile.BadZipFile, EOFError) as error:
            raise ConfigError(f"{self.path}: {shown(name)}: damaged: {error}") from None

    def read(self, name: str) -> bytes:
        """All of it; raises as `chunks`."""
        return b"".join(self.chunks(name))


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive to be read, its form checked before.

    Raises:
        ConfigError: in a line that names the entry, if it is no archive, or not of this form.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: a folder; the file of a bundle is needed")
    files.check_regular(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {files.reason(error)}") from None
    with file:
        begin, count = _end(path, file, os.fstat(file.fileno()).st_size)
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # damaged bytes make zipfile raise anything
            said = plain(str(error)) or type(error).__name__
            raise ConfigError(f"{path}: damaged: {said}") from None
        with archive:
            _check(path, file, archive.infolist(), begin, count)
            yield Archive(path, archive)


def shown(name: str) -> str:
    """A name in a message, whatever it holds."""
    return SHORT.repr(name) if unfit(name) else name


def controls(text: str) -> bool:
    """Whether a text holds what a terminal would obey rather than show, or what is no character."""
    return any(unicodedata.category(letter) in CONTROL for letter in text)


def plain(text: str) -> str:
    """A text on one line that a terminal shows, whatever others have put into it."""
    return "".join(ascii(one)[1:-1] if controls(one) else one for one in text)


def unfit(name: str) -> str:
    """Why a name is none that every system has, below a folder; empty if it is one."""
    parts = name.split("/")
    cut = any(not part or part[0] in ".~" or part[-1] in " ." for part in parts)
    kept = any(part.split(".")[0].rstrip().casefold() in RESERVED for part in parts)
    long = any(len(part.encode(errors="replace")) > LONGEST for part in parts) or len(parts) > DEEP
    found = {
        "control characters in its name": controls(name),
        'a backslash, colon or one of * ? " < > | in its name': RESERVED_SIGNS & {*name},
        "leads out of the folder": not parts[0] or ".." in parts,
        "an empty or hidden part in its name, or one that ends with a space or dot": cut,
        "a name that some systems keep for devices": kept,
        "a name that is not in Unicode's form NFC": unicodedata.normalize("NFC", name) != name,
        "a name that is too long": long,
    }
    return next((why for why, so in found.items() if so), "")


class _Names:
    """Names of the entries of an archive, so that every system can have all of them at once."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        """Folder → the first file in it, by names without their case."""

    def wrong(self, name: str) -> str:
        """Why an entry cannot have a name, beside those before it; empty if it can."""
        if why := unfit(name):
            return why
        whole = name.casefold()
        steps = [i for i, letter in enumerate(whole) if letter == "/"]
        folders = [whole[:i] for i in steps]
        if other := self._files.get(whole):
            return "there twice" if other == name else f"the same name as {other} but for its case"
        if other := self._folders.get(whole):
            return f"a file, and the folder of {other}"
        if other := next((self._files[one] for one in folders if one in self._files), ""):
            return f"in a folder of the name of a file, {other}"
        self._files[whole] = name
        for one in folders:
            self._folders.setdefault(one, name)
        return ""


def _end(path: Path, file: IO[bytes], size: int) -> tuple[int, int]:
    """Where the list of entries begins, which ends where the archive does, and how many it has."""
    if size == 0:
        raise ConfigError(f"{path}: empty; a bundle is expected")
    begins = file.read(2)
    if begins != b"PK":
        raise ConfigError(f"{path}: no bundle: it does not begin as one")
    file.seek(max(0, size - END.size))
    last = file.read()
    if len(last) < END.size or not last.startswith(b"PK\5\6"):
        raise ConfigError(f"{path}: truncated, or something stands behind its end")
    _, disk, disk_of_list, here, count, length, begin, comment = END.unpack(last)
    whole = begin + length + END.size == size and not comment and here == count
    if disk or disk_of_list or not whole:
        raise ConfigError(f"{path}: its end does not fit its contents; other bytes around them")
    return begin, count


def _check(
    path: Path, file: IO[bytes], infos: list[zipfile.ZipInfo], begin: int, count: int
) -> None:
    """Refuse entries that are not as they are written here."""
    names = _Names()
    for info in infos:
        if wrong := names.wrong(info.orig_filename) or _wrong(info):
            raise ConfigError(f"{path}: {shown(info.orig_filename)}: {wrong}")
    at = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset != at:
            raise ConfigError(f"{path}: {info.filename}: overlaps others, or leaves a gap")
        header = info.FileHeader()
        file.seek(at)
        if file.read(len(header)) != header:
            raise ConfigError(f"{path}: {info.filename}: called otherwise where it lies")
        at += len(header) + info.file_size
    if at != begin or len(infos) != count:
        raise ConfigError(f"{path}: other bytes between its entries and their list")


def _wrong(info: zipfile.ZipInfo) -> str:
    """What is wrong with an entry; empty if it is as it is written here."""
    kind = LINKS.get(stat.S_IFMT(info.external_attr >> 16))
    flags = 0 if info.orig_filename.isascii() else UTF8
    own = (info.create_system, info.external_attr, info.flag_bits) == (3, MODE << 16, flags)
    other = not own or info.extra or info.comment or info.orig_filename != info.filename
    size, packed, method = info.file_size, info.compress_size, info.compress_type
    found = {
        f"{kind}, where a file is expected": kind,
        "encrypted": info.flag_bits & 1,
        f"packed (method {method}); entries of a bundle are stored as they are": method,
        f"announces {size:,} bytes and has {packed:,}": size != packed,
        "attributes that entries of a bundle do not have": other,
    }
    return next((why for why, so in found.items() if so), "")
