"""Files that are there whole or not at all, and what a job leaves beside its output."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fgrad.errors import ConfigError


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


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary file beside the target that becomes the target when the block ends well.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    target = Path(path)
    check_writable(target.parent)
    # not named like a result, so that what a kill leaves behind is taken for none; the next try
    # writes over it
    temporary = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path, key: str, kind: str) -> Path:
    """What a job leaves beside its output until it has ended, for the same job to go on with.

    Args:
        path: the output.
        key: 16 hexadecimal digits, a hash of everything the output depends on.
        kind: ending of the file.
    """
    return path.with_name(f".{path.stem}.{key}.{kind}")


def forget(path: Path, kind: str) -> None:
    """Remove what lies beside a finished output, also of other options and versions."""
    key = "[0-9a-f]" * 16  # and nothing else: a.5 is no output a with the key 5
    for left in path.parent.glob(f".{glob.escape(path.stem)}.{key}.{kind}"):
        left.unlink(missing_ok=True)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time is at work on an output, whose folder is made.

    Raises:
        ConfigError: if another one is, or the folder cannot be written.
    """
    check_writable(path.parent)
    lock = path.with_name(f".{path.stem}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        # released by the operating system when the process ends, however it ends
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise ConfigError(f"{path}: another process is at work on it") from None
