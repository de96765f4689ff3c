"""A configuration read as the workflow reads it: a file, and others laid over it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.plan.runs import Runs, load
from fgrad.plan.sections import Config
from fgrad.plan.syntax import parsed

TABLES = frozenset({"published_results", "learning_rates"})
"""Keys that name a table, in whichever section."""

BESIDE = "./"
"""How the path of a table begins that lies beside the file that names it, not in ``config/``."""


def runs_of(
    workflow: Path, overlays: Iterable[Path] = (), values: Mapping[str, Any] | None = None
) -> Runs:
    """Every job that a configuration asks for; takes and raises what `asked_for` does."""
    return asked_for(workflow, overlays, values)[1]


def asked_for(
    workflow: Path, overlays: Iterable[Path] = (), values: Mapping[str, Any] | None = None
) -> tuple[Config, Runs]:
    """A configuration, and every job that it asks for.

    Args:
        workflow: folder of the Snakefile, with the configuration in ``config/config.yaml``.
        overlays: files laid over it in this order, as ``--configfile`` does.
        values: laid over all of them, as ``--config`` does.

    Raises:
        ConfigError: a line for each of the first mistakes.
    """
    layers = [(path.parent, read(path)) for path in overlays] + [(Path.cwd(), dict(values or {}))]
    over = laid_over(*(layer for _, layer in layers))
    return load(laid_under(workflow, over), workflow / "config", folders(layers))


def folders(layers: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[str, Path]:
    """What references to files of the user's own are relative to.

    Args:
        layers: folder and values of each layer of a configuration, the last one on top.

    Returns:
        Reference → folder of the last layer that names it.
    """
    return {one: folder for folder, layer in layers for one in plugins.references(layer)}


def anchored(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Values in which every table that lies beside them has its whole path.

    Args:
        values: of one layer of a configuration.
        folder: of the file that they stand in; the current one of values that stand in none.

    Examples:
        >>> anchored({"angles": {"learning_rates": "./x.csv", "n": 2}}, Path("/mine"))
        {'angles': {'learning_rates': '/mine/x.csv', 'n': 2}}
    """
    return {
        key: anchored(value, folder)
        if isinstance(value, Mapping)
        else str(folder / value)
        if key in TABLES and str(value).startswith(BESIDE)
        else value
        for key, value in values.items()
    }


def laid_under(workflow: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration beside a Snakefile with values laid over it.

    Args:
        workflow: folder of the Snakefile.
        values: some of its keys, or all.

    Raises:
        ConfigError: if it cannot be read.
    """
    return laid_over(read(workflow / "config/config.yaml"), values)


def own(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration that is shared with others, what is ours."""
    return {key: value for key, value in config.items() if key in Config.model_fields}


def given(arguments: Iterable[str]) -> dict[str, Any]:
    """Values of ``--config KEY=VALUE …``, each VALUE read as in a file.

    Snakemake itself takes what stands in ``functions='{"seeds": [7]}'`` for texts.

    Raises:
        ConfigError: if a VALUE is no YAML.
    """
    pairs = (argument.partition("=")[::2] for argument in arguments)
    values = laid_over(*({key: parsed(text, f"--config {key}")} for key, text in pairs))
    return anchored(values, Path.cwd())


def read(path: Path) -> dict[str, Any]:
    """Keys with values of a file in YAML or JSON, see `anchored`.

    Raises:
        ConfigError: if it cannot be read, gives a key twice, or holds something else.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: a folder or a device; a file is expected")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    found = parsed(text, path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: keys with values are expected")
    return anchored(found, path.absolute().parent)


def laid_over(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Layers merged key by key, the last one on top; lists are replaced as a whole."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = laid_over(merged[key], value) if both else value
    return merged
