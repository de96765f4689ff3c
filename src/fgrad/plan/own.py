"""What is the user's own among the options of a job; it is tried before a job that uses it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fgrad import plugins
from fgrad.store import identity
from fgrad.store.fingerprint import fingerprint


@dataclass(frozen=True)
class Own:
    """Something of the user's own.

    Args:
        kind: ``aggregation``, ``sampler``, ``function``, ``model`` or ``dataset``.
        reference: to its file.
        dataset: that a model is tried on; else empty.
    """

    kind: str
    reference: str
    dataset: str = ""

    @property
    def name(self) -> str:
        """Of the trial, another one for other code."""
        code = identity.digest([fingerprint(plugins.definition(self.reference)), self.dataset])
        return f"{self.kind}_{plugins.short(self.reference)}_{code}"


def used(options: Mapping[str, Any]) -> Iterator[Own]:
    """What the options of a job refer to, each once."""
    approach = options.get("approach") or {}
    named = [(kind, approach.get(kind)) for kind in ("aggregation", "sampler")]
    named += [(kind, options.get(kind)) for kind in ("function", "dataset")]
    for list_of in ("aggregations", "normalized"):
        named += [("aggregation", one) for one in options.get(list_of) or ()]
    for kind, reference in dict.fromkeys(named):
        if plugins.is_reference(reference):
            yield Own(kind, str(reference))
    if plugins.is_reference(options.get("model")):
        yield Own("model", options["model"], options["dataset"])
