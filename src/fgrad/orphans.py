"""Jobs that outlive the workflow that started them: found, named, waited for or cancelled.

When the main process of a workflow is killed, its jobs go on, in the queue of a cluster or as
processes of their own. They are found by what they leave: a lease beside the output they work on,
and in the queue the working folder they were submitted from.
"""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fgrad.errors import ConfigError
from fgrad.store import lease
from fgrad.store.context import Say

RESULTS = Path("results")

POLL = 5.0
"""Seconds between two looks at what is still at work."""

GRACE = 90.0
"""Seconds that what was cancelled has to end; Slurm kills after 30 by default."""


@dataclass(frozen=True)
class Orphan:
    """A job that is at work, or waits in the queue.

    Args:
        words: what it is.
        owner: the process, if it is known by its lease.
        queued: its number in Slurm's queue, if it is known by that.
    """

    words: str
    owner: lease.Owner | None = None
    queued: str | None = None

    @property
    def key(self) -> str:
        """The same for the same job, whatever its state."""
        return self.queued or self.words

    def cancel(self) -> None:
        """Tell it to end; what it has computed is kept. Nothing if there is no way to tell it."""
        with suppress(ConfigError, psutil.Error):  # it may have ended by itself
            if self.queued is not None:
                _slurm("scancel", self.queued)
            elif self.owner is not None and self.owner.here and _works_here(self.owner.pid):
                process = psutil.Process(self.owner.pid)
                process.terminate()
                process.resume()  # one that is halted is told only when it goes on

    @property
    def ours(self) -> bool:
        """Whether this process started it: it is queued from here, or descends from it."""
        if self.queued is not None:
            return True
        if self.owner is None or not self.owner.here:
            return False
        with suppress(psutil.Error):  # it has ended, or is another user's: not ours
            parents = psutil.Process(self.owner.pid).parents()
            return any(parent.pid == os.getpid() for parent in parents)
        return False


def find(queue: bool) -> list[Orphan]:
    """Jobs at work in the current folder, or queued from it, whoever started them.

    Args:
        queue: whether Slurm's queue must answer; else it is asked if it does.

    Raises:
        ConfigError: if it must and does not.
    """
    leases = lease.held_below(RESULTS)
    owned = [Orphan(f"{lock}: {owner}", owner) for lock, owner in leases.items()]
    try:
        return [*owned, *_queued()]
    except ConfigError:
        if queue:
            raise
        return owned


def settle(policy: str, queue: bool, say: Say) -> None:
    """Do with orphans as told, so that nothing is computed twice.

    Args:
        policy: ``refuse``, ``wait`` or ``cancel``.
        queue: as in `find`.
        say: told what is found and what becomes of it.

    Raises:
        ConfigError: if there are any and they are to be refused, or cannot be cancelled.
    """
    found = find(queue)
    if found:  # what is just ending is no orphan
        time.sleep(min(POLL, 2.0))
        found = find(queue)
    if not found:
        return
    names = ", ".join(one.words for one in found)
    count = f"{len(found)} job{'s' if len(found) > 1 else ''} of an earlier start still at work"
    if policy == "refuse":
        raise ConfigError(
            f"{count}: {names}; start again with --config orphans=wait, or orphans=cancel"
        )
    say(f"{count}: {names}")
    if policy == "wait":
        say("waiting for them to end")
        gone(found, float("inf"), queue, say)
        return
    left = cancel(found, queue, say)
    if left:
        names = ", ".join(one.words for one in left)
        raise ConfigError(f"cannot be cancelled from here: {names}; end them where they run")


def end(queue: bool, say: Say) -> None:
    """Let nothing be at work when a workflow ends early, and name what cannot be ended.

    The executor cancels what it knows of; what was being submitted it does not know yet.
    """
    left = gone([one for one in find(queue) if one.ours], 2 * POLL, queue, say)
    if left:
        left = cancel(left, queue, say)
    for one in left:
        say(f"could not be cancelled: {one.words}")


def cancel(found: Iterable[Orphan], queue: bool, say: Say) -> list[Orphan]:
    """Cancel jobs, and wait for them to end.

    Returns:
        Those that are still there.
    """
    some = list(found)
    for one in some:
        one.cancel()
    say(f"cancelled {len(some)}; what they have computed is kept")
    return gone(some, GRACE, queue, say)


def gone(found: list[Orphan], seconds: float, queue: bool, say: Say) -> list[Orphan]:
    """Wait for jobs to end; those that are still there after so many seconds."""
    begun, left = time.monotonic(), found
    while left and time.monotonic() - begun < seconds:
        time.sleep(POLL)
        try:
            there = {one.key for one in find(queue)}
        except ConfigError:  # a queue that is busy says nothing of its jobs
            continue
        still = [one for one in left if one.key in there]
        if len(still) < len(left):
            say(f"{len(still)} of them left")
        left = still
    return left


def _queued() -> list[Orphan]:
    """Jobs of Slurm's that a workflow has submitted from the current folder."""
    if shutil.which("squeue") is None:
        return []
    here = Path.cwd()
    answer = _slurm("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%T|%k|%Z")
    found = []
    for line in answer.splitlines():
        number, state, comment, folder = [*line.split("|", 3), "", "", ""][:4]
        # the comment is what the executor writes
        if comment.startswith(("rule_", "group_")) and Path(folder).resolve() == here:
            words = f"Slurm job {number} ({comment.split('_wildcards_')[0]}), {state.lower()}"
            found.append(Orphan(words, queued=number))
    return found


def _slurm(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or "").strip() or str(error)
        reason = said.splitlines()[-1]
        raise ConfigError(f"{command[0]}: the queue does not answer: {reason}") from None
    return done.stdout


def _works_here(pid: int) -> bool:
    """Whether a process works in the current folder; if not, it has got the number of another."""
    try:
        return os.path.samefile(psutil.Process(pid).cwd(), ".")
    except (OSError, psutil.Error):
        return False
