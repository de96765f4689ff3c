"""Files that are there whole or not at all, and what a job leaves beside its output."""

import errno
import glob
import os
import re
import socket
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

DAY = 86_400

OUTSIDE = 0xEFFFFFFC
"""Number that Linux gives to the processes outside of all containers."""

_COUNT = count()


class CannotWriteError(ConfigError):
    """A file cannot be written; ``passing`` if it may be possible in a moment."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {error.strerror or error}")
        self.passing = error.errno in PASSING


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written, without writing.

    Raises:
        ConfigError: naming the folder.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{folder}: {existing} is a file; a folder that can be written is needed")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: {existing} cannot be written; choose another folder")


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
    what stays. What a killed writer left behind goes with the next one.

    Raises:
        CannotWriteError: if the folder cannot be written.
    """
    target = Path(path)
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
        with suppress(OSError):
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
    return f".{target.name[:100]}."


def _clear(target: Path) -> None:
    """Remove what writers of a target left that do not live any more, elsewhere for a day."""
    begin = _begin(target)
    name = re.compile(rf"{re.escape(begin)}(?P<host>.+)\.(?P<pid>\d+)\.\d+\.part")
    for left in target.parent.glob(f"{glob.escape(begin)}*.part"):
        found = name.fullmatch(left.name)
        if found is None:
            continue
        with suppress(OSError):
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
