"""Where a training run computes, in which precision, and what its first steps do."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fgrad.errors import ConfigError
from fgrad.store import files

PROFILED = 20
"""Steps in the trace of ``profile``."""


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the GPU if there is one.

    Raises:
        ConfigError: if the device is not there.
    """
    found = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    kind, _, number = name.partition(":")  # for torch cuda:256 is cuda:0
    if kind == "cuda" and int(number or 0) >= found:
        gpus = [f"cuda:{i}" for i in range(found)]
        raise ConfigError(
            f"device = {name!r}: no such GPU here; there are {', '.join(['cpu', *gpus])}"
        )
    return torch.device(name)


@contextmanager
def settings(threads: int, precision: str, deterministic: bool) -> Iterator[None]:
    """Threads, TF32 and determinism of the process, as they were afterwards."""
    before = (
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
    )
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    convolutions = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.use_deterministic_algorithms(before[2])


@contextmanager
def profiler(trace: Path | None) -> Iterator[Callable[[], None]]:
    """What to call after each step; the trace of the first steps is written in the end."""
    if trace is None:
        yield lambda: None
        return
    from torch.profiler import profile, schedule

    def export(profiling: Any) -> None:
        with files.atomic(trace) as temporary:
            profiling.export_chrome_trace(str(temporary))
        table = profiling.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
        print(table, file=sys.stderr)

    plan = schedule(wait=0, warmup=1, active=PROFILED, repeat=1)
    with profile(schedule=plan, on_trace_ready=export) as profiling:
        yield profiling.step
