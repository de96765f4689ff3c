"""GPUs that are not there: a machine that has some, and trainings on it in their own processes."""

import os
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from fgrad.experiments import gpus, training
from fgrad.experiments.state import Data
from fgrad.options.networks import TrainRun
from fgrad.problems.data import Split
from fgrad.store.context import Context

FEW: dict[str, Any] = {
    "model": "fc", "width": 8, "gradient": "frog", "k": 2, "lr": 0.05, "epochs": 2, "batch": 16,
}  # fmt: skip
"""A training of a moment."""


def seen(bound: Sequence[str]) -> list[str]:
    """UUIDs of the GPUs that a process sees of those it is bound to, as CUDA's guide has it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(bound)
    found: list[str] = []
    for entry in visible.split(","):
        if entry.isdigit():
            meant = list(bound)[int(entry) :][:1]
        else:
            meant = [one for one in bound if entry and f"GPU-{one}".startswith(entry)]
        if len(meant) != 1:
            break  # and no later one is seen
        found += meant
    return found


def simulate(bound: Sequence[str]) -> None:
    """Let torch believe in GPUs; nothing can be computed on them."""
    cuda: Any = torch.cuda
    cuda.device_count = lambda: len(seen(bound))
    cuda.get_device_properties = lambda number: SimpleNamespace(uuid=seen(bound)[number])
    cuda.get_device_name = lambda device: "Simulated"


def images() -> Data:
    """A handful, on the CPU whatever the device."""
    made = torch.randn(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    split = Split(made, torch.arange(32) % 10)
    return split, split, split


def train(
    told: Connection,
    temporary: Path,
    bound: Sequence[str],
    visible: str | None,
    options: dict[str, Any],
) -> None:
    """A training on such a machine, whose numbers come from the CPU.

    Args:
        told: what it says; where it trains, with which it waits for an answer; facts and losses.
        temporary: folder of the locks.
        bound: UUIDs of the GPUs that there are for it.
        visible: ``CUDA_VISIBLE_DEVICES``; ``None`` for none.
        options: changes of `FEW`.
    """
    tempfile.tempdir = str(temporary)
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    torch.set_num_threads(1)
    simulate(bound)
    gpus.POLL = 0.05

    def load(name: str, source: Path | None, device: torch.device) -> Data:
        told.send(str(device))
        told.recv()
        return images()

    jobs: Any = training
    jobs.load = load
    done = training.compute(TrainRun(**FEW | options), Context(told.send))
    told.send(done.facts | {"losses": done.columns["val_loss"].tolist()})
