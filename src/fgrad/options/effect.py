"""Options that have no effect beside the others, a mistake most likely; torch is not imported.

They are refused where somebody wrote them: in a configuration and on a command line. A run that is
made by a program may carry them, for they change nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from fgrad.options.approach import NamedApproach
from fgrad.options.gradient import GradientTask
from fgrad.options.networks import NetworkSearchOptions, TrainOptions


class Needs(NamedTuple):
    """Options that count only where something else holds."""

    names: tuple[str, ...]
    holds: Callable[[Any], bool]
    what: str
    """In words."""


NEEDS: dict[type[BaseModel], tuple[Needs, ...]] = {
    NamedApproach: (
        Needs(
            ("sampler", "normalize", "independent", "scale", "max_length"),
            lambda one: one.aggregation is not None,
            "an aggregation, which backpropagation and whole gradients have not",
        ),
        Needs(("max_length",), lambda one: one.sampler == "orthogonal", "the sampler orthogonal"),
        Needs(("max_length",), lambda one: not one.normalize, "tangents that are not normalised"),
        Needs(
            ("independent",),
            lambda one: one.sampler not in ("basis", "orthogonal"),
            "a sampler whose tangents may be dependent",
        ),
        Needs(
            ("normalize",),
            lambda one: one.sampler not in ("basis", "angle", "orthogonal") or one.max_length > 1,
            "tangents that are not of length 1",
        ),
    ),
    GradientTask: (
        Needs(
            ("mode", "perturb", "sampling", "chunk"),
            lambda one: one.k is not None,
            "tangents, which backpropagation has not",
        ),
    ),
    TrainOptions: (
        Needs(("chunk",), lambda one: one.mode == "fwad", "mode fwad"),
        Needs(
            ("sampling",),
            lambda one: one.perturb == "weights" and one.mode == "sim",
            "perturb weights and mode sim",
        ),
    ),
    NetworkSearchOptions: (
        Needs(("warmup",), lambda one: one.pruning == "median", "pruning median"),
    ),
}
"""Kind of options → what its options need; the options of a subclass are its own and these."""


def without_effect(options: BaseModel) -> Iterator[str]:
    """A line for each option that is not at its default and has no effect."""
    fields = type(options).model_fields
    for kind, needs in NEEDS.items():
        for need in needs if isinstance(options, kind) else ():
            for name in need.names:
                value = getattr(options, name, None)
                if name in fields and value != fields[name].default and not need.holds(options):
                    yield f"{name} {value} needs {need.what}; it has no effect otherwise"


def check(options: BaseModel) -> None:
    """Refuse options without effect.

    Raises:
        ValueError: naming the first, with what it needs.
    """
    for line in without_effect(options):
        raise ValueError(line)
