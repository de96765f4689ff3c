"""Files that are there whole or not at all, and what a job leaves beside its output."""

import errno
import glob
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

from fgrad.errors import ConfigError
from fgrad.store.context import Say, silent

PATIENCE = (1, 2, 4, 8, 15, 30)
"""Seconds between tries to write what must not be lost, a minute in all."""

PASSING = frozenset(
    {errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS, errno.ESTALE}
    | {errno.EHOSTDOWN, errno.ENOTCONN, errno.ETIMEDOUT}
)
"""What a file system answers that is full, read-only or away, perhaps for a moment."""

FULL = frozenset({errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EROFS})
"""What it answers to a writer alone, never to a reader."""

KINDS = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
"""What is no file, by the type of its inode."""

BESIDE = 64
"""Bytes that names of leases and checkpoints may be longer than the name of their output."""

DAY = 86_400

OUTSIDE = 0xEFFFFFFC
"""Number that Linux gives to the processes outside of all containers."""

_COUNT = count()


class CannotWriteError(ConfigError):
    """A file cannot be written; ``passing`` if it may be possible in a moment."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {reason(error)}")
        self.passing = error.errno in PASSING


def results_below(folder: Path) -> list[Path]:
    """Parquet files below a folder, in linked folders too, without those being written.

    Args:
        folder: a folder; one that is linked to from within itself is entered once.
    """
    found, entered = [], set()
    for at, folders, names in os.walk(folder, followlinks=True):
        stat = os.stat(at)
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        found += [Path(at, one) for one in names if one.endswith(".parquet") and one[0] != "."]
    return sorted(found)


def check_name(path: Path) -> None:
    """Refuse a path that this process, in its locale, cannot write as UTF-8, as Parquet wants it.

    Raises:
        ConfigError: naming the path.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        name = ascii(str(path.absolute()))
        raise ConfigError(
            f"{name}: no UTF-8; choose another folder or name, or a locale of UTF-8 "
            "(LC_ALL=C.UTF-8)"
        ) from None


def reason(error: OSError) -> str:
    """What the operating system said, in a line."""
    said = os.strerror(error.errno) if error.errno else str(error)
    return (said.splitlines() or [type(error).__name__])[0]


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written, without writing.

    Raises:
        ConfigError: naming the folder.
    """
    check_name(folder)
    existing = _existing(folder)
    if not existing.is_dir():
        raise ConfigError(f"{folder}: {existing} is a file; a folder that can be written is needed")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: {existing} cannot be written; choose another folder")
    _followed(folder)  # a name may be one that no folder can have


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))


def output(path: Path) -> Path:
    """Refuse an output that cannot be written, or not beside what a job keeps, without writing.

    Args:
        path: the output.

    Returns:
        Where it is written: if it is a link, what that points to.

    Raises:
        ConfigError: if there is anything but a file, or the folder or the name cannot be had.
    """
    check_writable(path.parent)
    target = _followed(path)
    if target.is_dir() or target.name in ("", ".."):
        raise ConfigError(f"{path}: a folder, where a file is to be written")
    check_writable(target.parent)
    most = os.pathconf(_existing(target.parent), "PC_NAME_MAX") - BESIDE
    size = len(os.fsencode(target.name))
    if size > most:
        raise ConfigError(f"{path}: a name of {size} bytes; {most} at most")
    return target


def check_regular(path: Path) -> None:
    """Refuse what is there, if it is no file: a device or a FIFO may be read for ever.

    Raises:
        ConfigError: naming the path.
    """
    if _followed(path).is_dir():
        raise ConfigError(f"{path}: a folder, where a file is to be written")


def _followed(path: Path) -> Path:
    """Where a link leads, to a file, a folder or nothing yet; a path that is none as it is.

    Raises:
        ConfigError: if it leads to something else, or cannot be followed.
    """
    try:
        kind = KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except FileNotFoundError:
        kind = None
    except ValueError:
        raise ConfigError(f"{str(path)!r}: no name of a file: it holds a NUL") from None
    except OSError as error:
        if isinstance(error, NotADirectoryError):
            check_writable(path.parent)
        raise CannotWriteError(path, error) from None
    if kind is not None:
        raise ConfigError(f"{path}: {kind}, where a file is to be written")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def refuse_file(folder: Path, key: str) -> None:
    """Refuse what is no folder, where one is to be read from; it may be missing.

    Raises:
        ConfigError: naming the key and the path.
    """
    try:
        there = folder.exists() and not folder.is_dir()
        above = next((path for path in folder.absolute().parents if path.is_file()), None)
    except OSError as error:  # a name that is too long, a link to itself
        raise ConfigError(f"{key} = {str(folder)!r}: {error.strerror}") from None
    if there or above:
        raise ConfigError(f"{key} = {str(folder)!r}: {above or folder} is a file, not a folder")


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary file beside the target that becomes the target when the block ends well.

    Two writers of one target do not meet: each has a file of its own, and the last one to end is
    what stays. What a killed writer left behind goes with the next one. A link stays one: what it
    points to is written.

    Raises:
        CannotWriteError: if the folder cannot be written.
        ConfigError: if the target is a device or the like.
    """
    target = _followed(Path(path))
    temporary = _temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # so that a node that is lost leaves no empty file
        temporary.replace(target)
    except (FileExistsError, NotADirectoryError) as error:
        check_writable(target.parent)
        raise CannotWriteError(target, error) from None
    except OSError as error:
        raise CannotWriteError(target, error) from None
    finally:
        with suppress(OSError):  # a rest does no harm, and hides no error of the writing
            temporary.unlink(missing_ok=True)


def patiently(write: Callable[[], None], say: Say = silent) -> None:
    """Write what must not be lost, for a minute again and again if the file system is away or full.

    Args:
        write: writes, as a whole or not at all.
        say: told of every try.

    Raises:
        ConfigError: what the last try raised.
    """
    for seconds in PATIENCE:
        try:
            return write()
        except CannotWriteError as error:
            if not error.passing:
                raise
            say(f"{error}; trying again in {seconds} s")
        time.sleep(seconds)
    return write()


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all.

    Raises:
        CannotWriteError: if the folder cannot be written.
    """
    content = source.read_bytes()
    with atomic(target) as temporary:
        temporary.write_bytes(content)


@cache
def host() -> str:
    """The machine, and in a container of its own processes that container too."""
    name = socket.gethostname()
    try:
        processes = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return name
    return name if processes == OUTSIDE else f"{name}?pidns-{processes:x}"  # as filelock has it


def beside(path: Path, key: str, kind: str) -> Path:
    """What a job leaves beside its output until it has ended, for the same job to go on with.

    Args:
        path: the output.
        key: 16 hexadecimal digits, a hash of everything the output depends on.
        kind: ending of the file.
    """
    return path.with_name(f".{path.stem}.{key}.{kind}")


def finished(path: Path) -> Path:
    """A copy of an output that stays until it has been summarised.

    Whoever starts a job may delete its output after it was written: Snakemake does, if a failure is
    reported late.
    """
    return path.with_name(f".{path.stem}.finished")


def is_finished(path: Path) -> bool:
    """Whether a file is called like a finished copy."""
    return path == finished(path.with_name(path.name[1:]))


def drop_finished(paths: Iterable[Path | str]) -> None:
    """Remove the finished copies of results that have been summarised, or are to be made anew."""
    for path in paths:
        with suppress(OSError):  # a copy too many does no harm
            finished(Path(path)).unlink(missing_ok=True)


def expanded(path: Path | str) -> Path:
    """A folder of data as a shell would have it, with ``~``, ``~user`` and ``$NAME`` replaced.

    Raises:
        ConfigError: if there is no such user or variable.
    """
    found = os.path.expanduser(os.path.expandvars(path))
    if found.startswith("~"):
        user = found.split("/")[0].removeprefix("~")
        raise ConfigError(f"data_dir = {str(path)!r}: no user {user!r} here")
    unset = re.search(r"\$(\w+|\{[^}]*\})", found)
    if unset and not os.path.exists(found):
        raise ConfigError(f"data_dir = {str(path)!r}: {unset[0]} is not set")
    return Path(found)


def forget(path: Path, kind: str) -> None:
    """Remove what lies beside a finished output, also of other options and versions, also half."""
    key = "[0-9a-f]" * 16  # and nothing else: a.5 is no output a with the key 5
    name = f".{glob.escape(path.stem)}.{key}.{kind}"
    for left in (*path.parent.glob(name), *path.parent.glob(f".{name}.*.part")):
        left.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    # not named like a result, so that what a kill leaves behind is taken for none
    return target.with_name(f"{_begin(target)}{host()}.{os.getpid()}.{next(_COUNT)}.part")


def _begin(target: Path) -> str:
    """How names of temporary files begin; a name has 255 characters at most."""
    return f".{os.fsencode(target.name)[:100].decode(errors='ignore')}."


def _clear(target: Path) -> None:
    """Remove what writers of a target left that do not live any more, elsewhere for a day."""
    begin = _begin(target)
    name = re.compile(rf"{re.escape(begin)}(?P<host>.+)\.(?P<pid>\d+)\.\d+\.part")
    for left in target.parent.glob(f"{glob.escape(begin)}*.part"):
        found = name.fullmatch(left.name)
        if found is None:
            continue
        with suppress(OSError):  # removed by another just now, or not ours to remove
            here = found["host"] == host()
            dead = not _lives(int(found["pid"])) if here else _age(left) > DAY
            if dead:
                left.unlink(missing_ok=True)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
