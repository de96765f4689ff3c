"""Where a training goes on after it was killed: a file that is whole, and of the same training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrad.errors import ConfigError
from fgrad.store.files import atomic

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file.

    Args:
        path: where it is or will be.
        key: of everything the numbers of the training depend on.
    """

    path: Path
    key: str

    def save(self, state: dict[str, Any]) -> None:
        """Write it, whole or not at all."""
        import torch

        with atomic(self.path) as temporary:
            torch.save(state | {"key": self.key}, temporary)

    def load(self, device: "torch.device") -> dict[str, Any] | None:
        """What was saved last; ``None`` if nothing was.

        Raises:
            ConfigError: if the file cannot be read, or is of another training.
        """
        import torch

        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
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
