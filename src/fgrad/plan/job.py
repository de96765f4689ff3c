"""What a job is handed; torch is not imported."""

from dataclasses import dataclass, field
from typing import Any

from fgrad import plugins
from fgrad.options.base import JobOptions
from fgrad.validation import validate


@dataclass(frozen=True)
class Job:
    """What a job is handed.

    Args:
        options: plain values, which is what Snakemake records and compares.
        code: the definitions that compute it, see `fgrad.options.base.JobOptions.code`.
        search: the search it takes its rate from, as section/name; its options have no ``lr`` then.
        sources: of the files of the user's own that its options refer to, see `fgrad.plugins`.
    """

    options: dict[str, Any]
    code: tuple[str, ...]
    search: str | None = None
    sources: dict[str, str] = field(default_factory=dict)


Jobs = dict[str, Job]
"""A section's jobs by the name of their result files."""


def made(
    kind: type[JobOptions], options: dict[str, Any], where: str, search: str | None = None
) -> Job:
    """A job, its options checked.

    Args:
        kind: of its options.
        options: plain values.
        where: named in front of every message.
        search: the search it takes its rate from, if there is one.

    Raises:
        ConfigError: a line for each of the first wrong values.
    """
    checked = validate(kind, options, where)
    plain = checked.model_dump(mode="json")
    return Job(plain, checked.code(), search, plugins.follow(plain))
