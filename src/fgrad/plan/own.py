"""What is the user's own among the options of a job; it is tried before a job that uses it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.gradients.registry import AGGREGATIONS, SAMPLERS
from fgrad.problems.registry import DATASETS, FUNCTIONS, MODELS
from fgrad.store import identity
from fgrad.store.fingerprint import fingerprint


@dataclass(frozen=True)
class Own:
    """Something of the user's own.

    Args:
        kind: ``aggregation``, ``sampler``, ``estimator``, ``function``, ``model``, ``dataset``.
        reference: to its file.
        dataset: that a model is tried on; else empty.
        reduce: what a model's hidden sizes are divided by.
        perturb: what the tangents of a model perturb.
    """

    kind: str
    reference: str
    dataset: str = ""
    reduce: int = 1
    perturb: str = "activations"

    @property
    def name(self) -> str:
        """Of the trial, another one for other code."""
        code = fingerprint(plugins.definition(self.reference))
        code = identity.digest([code, self.dataset, self.reduce, self.perturb])
        return f"{self.kind}_{plugins.short(self.reference)}_{code}"


def used(options: Mapping[str, Any]) -> Iterator[Own]:
    """What the options of a job refer to, each once."""
    approach = options.get("approach") or {}
    named = [(kind, approach.get(kind)) for kind in ("aggregation", "sampler", "estimator")]
    named += [(kind, options.get(kind)) for kind in ("function", "dataset")]
    for list_of in ("aggregations", "normalized"):
        named += [("aggregation", one) for one in options.get(list_of) or ()]
    for kind, reference in dict.fromkeys(named):
        if plugins.is_reference(reference):
            yield Own(kind, str(reference))
    if plugins.is_reference(options.get("model")):
        of = {name: options[name] for name in ("dataset", "reduce", "perturb")}
        yield Own("model", options["model"], **of)


def use(config: BaseModel, directory: Path, folders: Mapping[str, Path]) -> dict[str, str]:
    """Look for the files of the user's own that a configuration refers to, and use them.

    Args:
        config: checked.
        directory: what a reference is relative to that is not in ``folders``.
        folders: reference → what it is relative to.

    Returns:
        Name in a file → the reference to it.

    Raises:
        ConfigError: in a line, if a file or a name is not there, or called as another.
    """
    found: dict[str, dict[str, str]] = {}
    every = list(dict.fromkeys(plugins.references(config.model_dump(mode="json"))))
    known = (AGGREGATIONS, SAMPLERS, FUNCTIONS, MODELS, DATASETS)
    for one, other in product(every, every):
        if one != other and plugins.short(one) == plugins.short(other):
            raise ConfigError(f"config: {one}, {other}: two of one name; rename one")
    for one in every:
        if any(plugins.short(one) in names for names in known):
            raise ConfigError(
                f"config: {one}: fgrad has a {plugins.short(one)} of its own; rename it"
            )
        try:
            found[one] = plugins.collect(one, folders.get(one, directory))
        except ConfigError as error:
            raise ConfigError(f"config: {error}") from None
    plugins.use(plugins.merged(*found.values()))
    return {plugins.short(one): one for one in every}
