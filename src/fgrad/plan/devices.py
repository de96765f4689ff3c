"""Whether the GPUs that a configuration names are on this machine; torch is not imported."""

import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from fgrad.errors import ConfigError

_COUNT = "import torch; print(torch.cuda.device_count())"


def refuse_absent(devices: Iterable[str]) -> None:
    """Refuse GPUs that are not here, before a job waits for its turn to find out.

    Only where one is named, torch is asked how many there are, in a process of its own.

    Args:
        devices: of jobs that are to run on this machine.

    Raises:
        ConfigError: naming the first that is not here, and those that are.
    """
    named = sorted({device for device in devices if device.startswith("cuda")})
    if not named:
        return
    # for its own commands Snakemake is given the path as a shell wants it
    there = Path(sys.executable).exists()
    python = sys.executable if there else shlex.split(sys.executable)[0]
    asked = subprocess.run([python, "-c", _COUNT], capture_output=True, text=True, check=False)
    if asked.returncode:
        return  # the jobs will say why
    found = int(asked.stdout.split()[-1])
    for device in named:
        if int(device.partition(":")[2] or 0) >= found:
            known = ", ".join(["cpu", *(f"cuda:{number}" for number in range(found))])
            raise ConfigError(f"device = {device!r}: no such GPU here; there are {known}")
