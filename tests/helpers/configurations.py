"""The paper's configuration, and what becomes of it with one key set."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fgrad.errors import ConfigError
from fgrad.plan import runs

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(path: str, value: object) -> dict[str, Any]:
    """The paper's configuration with one key set."""
    copied: dict[str, Any] = copy.deepcopy(PAPER)
    *way, last = path.split(".")
    target = copied
    for key in way:
        target = target[key]
    target[last] = value
    return copied


def refused(values: dict[str, Any], directory: Path = ROOT / "config") -> list[str]:
    """The lines by which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        runs.load(values, directory)
    return str(caught.value).splitlines()
