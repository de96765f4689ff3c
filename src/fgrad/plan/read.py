"""A configuration read as the workflow reads it: a file, and others laid over it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fgrad.errors import ConfigError
from fgrad.plan.runs import Runs, load
from fgrad.plan.sections import Config


def runs_of(
    workflow: Path, overlays: Iterable[Path] = (), values: Mapping[str, Any] | None = None
) -> Runs:
    """Every job that a configuration asks for.

    Args:
        workflow: folder of the Snakefile, with the configuration in ``config/config.yaml``.
        overlays: files laid over it in this order, as ``--configfile`` does.
        values: laid over all of them, as ``--config`` does.

    Raises:
        ConfigError: one line for each mistake.
    """
    config: dict[str, Any] = {}
    for path in overlays:
        config = _laid_over(config, _read(path))
    return load(laid_under(workflow, _laid_over(config, values or {})), workflow / "config")[1]


def laid_under(workflow: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration beside a Snakefile with values laid over it.

    Args:
        workflow: folder of the Snakefile.
        values: some of its keys, or all.

    Raises:
        ConfigError: if it cannot be read.
    """
    return _laid_over(_read(workflow / "config/config.yaml"), values)


def own(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration that is shared with others, what is ours."""
    return {key: value for key, value in config.items() if key in Config.model_fields}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: no YAML: {reason}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: keys with values are expected")
    return found


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key; lists are replaced as a whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged
