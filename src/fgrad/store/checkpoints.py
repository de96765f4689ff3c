"""Where a training goes on after it was killed: a file that is whole, and of the same training."""

import copy
import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fgrad.errors import ConfigError
from fgrad.store.context import Say, silent
from fgrad.store.files import CannotWriteError, atomic, check_regular, reason

if TYPE_CHECKING:
    import torch


DIGEST = 16
"""Bytes behind what torch has written: its checksum, as torch has none of its own."""


class Keep(Protocol):
    """Keeps the content of a state, at once or when the process ends."""

    def __call__(self, content: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file.

    Args:
        path: where it is or will be.
        key: of everything the numbers of the training depend on.
        minutes: least time between two writes.
        say: told of a write that fails; the training goes on.
    """

    path: Path
    key: str
    minutes: float = 0
    say: Say = field(default=silent, compare=False)

    def save(self, content: Mapping[str, Any]) -> None:
        """Write it, whole or not at all.

        Raises:
            CannotWriteError: if the folder cannot be written.
        """
        import torch

        packed = io.BytesIO()  # torch hides what a full file system says
        torch.save(dict(content) | {"key": self.key}, packed)
        packed.write(_checksum(packed.getbuffer()))
        with atomic(self.path) as temporary:
            temporary.write_bytes(packed.getbuffer())

    @contextmanager
    def keeping(self) -> Iterator[Keep]:
        """Keep the latest content that is told of: written now and then, and however it ends.

        What is told of between two writes is held in memory, and written if the block ends early,
        as it does when the process is told to end.
        """
        held: Mapping[str, Any] | None = None
        saved = time.monotonic()

        def keep(content: Mapping[str, Any]) -> None:
            nonlocal held, saved
            held = content  # whole, should the process be told to end while it is written
            if time.monotonic() - saved >= 60 * self.minutes and self._saved(content):
                held, saved = None, time.monotonic()
            else:
                held = copy.deepcopy(content)

        try:
            yield keep
        except BaseException:
            if held is not None:
                self._saved(held)
            raise

    def _saved(self, content: Mapping[str, Any]) -> bool:
        try:
            self.save(content)
        except CannotWriteError as error:
            self.say(f"{error}; going on without this checkpoint")
            return False
        return True

    def load(self, device: "torch.device") -> dict[str, Any] | None:
        """What was saved last; ``None`` if nothing was.

        Raises:
            ConfigError: if the file cannot be read, is damaged, or is of another training.
        """
        import torch

        check_regular(self.path)
        if not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {reason(error)}") from None
        packed, expected = content[:-DIGEST], content[-DIGEST:]
        if _checksum(packed) != expected:
            raise self.damaged(ValueError("other contents than its checksum's"))
        try:
            state: dict[str, Any] = torch.load(
                io.BytesIO(packed), map_location=device, weights_only=True
            )
            found = state["key"]
        except Exception as error:  # damaged bytes make torch raise anything
            raise self.damaged(error) from None
        if found != self.key:
            raise ConfigError(
                f"{self.path}: checkpoint of another run or version, delete it to start anew"
            )
        return state

    def damaged(self, error: Exception) -> ConfigError:
        """That it cannot be gone on from, and why."""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ConfigError(
            f"{self.path}: not a whole checkpoint, delete it to start anew: {reason}"
        )


def _checksum(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
