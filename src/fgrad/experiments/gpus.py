"""Which GPU of this machine a training gets: the one that the fewest trainings share, or a wait.

A GPU is known by what it is, not by its number, which depends on what a process may see. A training
has a slot of it: a lock of the operating system, which ends with the process however that ends, so
that a lock file that was left behind means nothing. No number depends on this module, and it is no
part of a fingerprint.
"""

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from fgrad.errors import ConfigError
from fgrad.experiments.device import choose_device
from fgrad.store import log
from fgrad.store.context import Say, silent

POLL = 1.0
"""Seconds between two looks for a slot that has become free."""


@contextmanager
def claimed(name: str, slots: int, say: Say = silent) -> Iterator[torch.device]:
    """The device of a name, with a slot of it as long as the block lasts.

    With ``auto`` and GPUs, any of those that this process may see, as soon as one has a slot. A GPU
    that is named is taken without waiting; its slot, if one is free, keeps others away. The CPU
    has no slots.

    Args:
        name: as in `fgrad.experiments.device.choose_device`.
        slots: trainings that share a GPU at most.
        say: told once if there is none and that is waited for.

    Raises:
        ConfigError: if the device is not there, or no locks can be kept.
    """
    device = choose_device(name)
    if device.type == "cpu":
        yield device
        return
    any_one = name == "auto"
    numbers = range(torch.cuda.device_count()) if any_one else [device.index or 0]
    folder, gpus = _folder(), [identity(number) for number in numbers]
    taken = _take(folder, gpus, slots)
    if taken is None and any_one:
        say(f"{log.now()} waiting for a GPU: {len(gpus)} × gpu_slots = {slots} are taken")
        while taken is None:
            time.sleep(POLL)
            taken = _take(folder, gpus, slots)
    which, lock = taken or (0, None)
    try:
        yield torch.device("cuda", numbers[which])
    finally:
        if lock is not None:
            lock.release()


def identity(number: int) -> str:
    """What a GPU is known by, under whichever number it is seen: its UUID.

    That of a part of a GPU (MIG) is in ``CUDA_VISIBLE_DEVICES`` alone. What stands there, or the
    number, is what there is without any UUID.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    entry = visible[number].strip() if number < len(visible) else ""
    if entry.startswith("MIG-"):
        return entry
    known = getattr(torch.cuda.get_device_properties(number), "uuid", None)
    return str(known or entry or number)


def facts(device: torch.device) -> dict[str, str]:
    """What is recorded of the device of a job: its name and, of a GPU, which one it is."""
    if device.type == "cpu":
        return {"device": str(device)}
    number = device.index or 0
    return {"device": torch.cuda.get_device_name(device), "gpu": identity(number)}


def _take(folder: Path, gpus: Sequence[str], slots: int) -> tuple[int, FileLock] | None:
    """A slot of the GPU with the most free ones, the first such; ``None`` if all are taken."""
    names = [re.sub(r"[^\w.-]", "_", gpu) for gpu in gpus]
    # one process at a time, for it holds all that is free while it counts
    with FileLock(folder / "count.lock"):
        free = [
            [
                lock
                for slot in range(slots)
                if _acquired(lock := FileLock(folder / f"{name}.{slot}"))
            ]
            for name in names
        ]
        which = max(range(len(gpus)), key=lambda i: len(free[i]))
        kept = free[which].pop(0) if free[which] else None
        for lock in chain(*free):
            lock.release()
    return None if kept is None else (which, kept)


def _acquired(lock: FileLock) -> bool:
    with suppress(Timeout):
        lock.acquire(blocking=False)
    return lock.is_locked


def _folder() -> Path:
    """Where this user's locks are, the same for all trainings on this machine.

    Raises:
        ConfigError: if something else is there, which another user may have put in its place.
    """
    folder = Path(tempfile.gettempdir(), f"fgrad-gpus-{os.getuid()}")
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror}; set TMPDIR") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(
            f"{folder}: locks of GPUs need a folder of your own there; remove it or set TMPDIR"
        )
    return folder
