"""Who is at work on an output: a lease that all nodes see and that a dead owner loses.

A lease is a file beside the output. Its owner, named by host and process, refreshes it; whoever
wants it takes it when its owner is seen to be dead: at once if that was a process of the same host,
elsewhere after `SECONDS` without a refresh, by a clock of one's own.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from fgrad.errors import ConfigError
from fgrad.store import files
from fgrad.store.context import Say, silent

SECONDS = 120.0
"""Without a refresh, after which an owner is taken for dead."""

POLL = 2.0
"""Seconds between two looks at a lease that is waited for."""

LOOK = 1.0
"""Seconds between two looks of an owner at whether it still is that, at least."""

ENDING = ".lease"

WORKFLOW = Path(".snakemake/fgrad.lease")
"""Held by the workflow that is at work in a folder."""


@dataclass(frozen=True)
class Owner:
    """A process that is at work, or was.

    Args:
        host: where it runs.
        pid: its number there.
    """

    host: str
    pid: int

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this host, in the same container if in any."""
        return self.host == files.host()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def lease_of(path: Path) -> Path:
    """The file that says who is at work on an output."""
    return path.with_name(f".{path.stem}{ENDING}")


@contextmanager
def alone(path: Path, waits: bool = False, say: Say = silent) -> Iterator[Callable[[], None]]:
    """One process at a time is at work on an output, on whichever node; its folder is made.

    Args:
        path: the output.
        waits: wait for another one to end; else it is refused.
        say: told what is waited for.

    Yields:
        What to call now and then: it raises ConfigError when another process has taken over, as
        this one was not heard of for too long.

    Raises:
        ConfigError: if another process is at work on it, or the folder cannot be written.
    """
    with held(lease_of(path), str(path), waits, say) as check:
        yield check


@contextmanager
def held(
    lock: Path, what: str, waits: bool = False, say: Say = silent
) -> Iterator[Callable[[], None]]:
    """Hold a lease, see `alone`; messages begin with what it is for."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        files.check_regular(lock)
        _drop_unwritten(lock)
    except OSError as error:
        raise ConfigError(f"{what}: cannot be written: {error.strerror or error}") from None
    lease = _lease(lock)
    _acquire(lease, what, waits, say)

    token, looked = lease.token, time.monotonic()

    def check() -> None:
        nonlocal looked
        if time.monotonic() - looked < LOOK:
            return
        looked = time.monotonic()
        found = lease.owner
        if found is None:  # away for a moment
            return
        if found.token != token:
            raise ConfigError(f"{what}: another process has taken over: {owner_of(lock)}")
        if lease.compromise is not None:  # its refresh ended when it failed for some time
            with suppress(OSError):  # who takes over for want of it is found by the next look
                os.utime(lock)

    try:
        yield check
    finally:
        lease.release()


def _acquire(lease: SoftFileLease, what: str, waits: bool, say: Say) -> None:
    lock = Path(lease.lock_file)
    try:
        with suppress(Timeout):
            lease.acquire(timeout=0)
            return
        owner = owner_of(lock)
        if waits:
            say(f"{what}: {owner or 'another process'} is at work on it; waiting for it to end")
            lease.acquire(timeout=-1)
            return
        if owner is None or not owner.here:  # damaged, or perhaps dead, which takes time to see
            seconds = 0.0 if owner is None else SECONDS
            if owner is not None:
                say(f"{what}: waiting up to {SECONDS:g} s for a sign of life of {owner}")
            with suppress(Timeout):
                lease.acquire(timeout=seconds + 3 * POLL)
                return
        raise ConfigError(
            f"{what}: another process is at work on it: {owner_of(lock) or 'unknown'}"
        )
    except LeaseSettingsMismatch:
        raise ConfigError(
            f"{what}: {owner_of(lock)} is at work on it, of another version of this program"
        ) from None
    except OSError as error:
        raise ConfigError(f"{what}: cannot be written: {error.strerror or error}") from None


def owner_of(lock: Path) -> Owner | None:
    """Who holds a lease, or held it last; nothing if nobody did."""
    found = _lease(lock).owner
    return None if found is None else Owner(found.hostname, found.pid)


def seen(lock: Path) -> Owner | None:
    """Who holds a lease, as far as can be seen by one who may not write beside it.

    The owner counts as alive if its last refresh, by this machine's clock, is not `SECONDS` ago,
    and if it is still there where it is a process of this host.
    """
    try:
        owner = owner_of(lock)
        if owner is None or time.time() - lock.stat().st_mtime >= SECONDS:
            return None
        if owner.here:
            os.kill(owner.pid, 0)
    except PermissionError:  # somebody else's
        return owner
    except OSError:
        return None
    return owner


def held_below(folder: Path) -> dict[Path, Owner]:
    """Leases below a folder whose owners may be alive, and who these are.

    Those of dead processes of this host are removed.

    An owner elsewhere counts as alive if its last refresh, by the clock of the file system, is not
    `SECONDS` ago.
    """
    found = {}
    walked = os.walk(folder, followlinks=True)
    names = [Path(at, name) for at, _, there in walked for name in there if name.endswith(ENDING)]
    for lock in sorted(names):
        owner = owner_of(lock)
        if owner is not None and _is_held(lock):
            found[lock] = owner
    return found


def _is_held(lock: Path) -> bool:
    lease = _lease(lock)
    try:
        lease.acquire(timeout=0)
    except Timeout:
        return _age(lock) < SECONDS
    except (LeaseSettingsMismatch, OSError):
        return True
    lease.release()
    return False


def _lease(lock: Path) -> SoftFileLease:
    return SoftFileLease(
        lock, lease_duration=SECONDS, timeout=0, poll_interval=POLL, thread_local=False
    )


def _age(lock: Path) -> float:
    """Seconds since a file was written, both times from the clock of its file system."""
    probe = lock.with_name(f"{lock.name}.{socket.gethostname()}.{os.getpid()}.now")
    try:
        probe.touch()
        return probe.stat().st_mtime - lock.stat().st_mtime
    except OSError:
        return time.time() - lock.stat().st_mtime if lock.exists() else float("inf")
    finally:
        with suppress(OSError):  # an empty file that stays does no harm
            probe.unlink(missing_ok=True)


def _drop_unwritten(lock: Path) -> None:
    """Remove a lease that a node did not come to write its owner into before it was lost."""
    if lock.exists() and lock.stat().st_size == 0 and _age(lock) > SECONDS:
        lock.unlink(missing_ok=True)
