"""What every experiment is handed beside its options, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Told what is done, in lines."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def silent(*_: Any) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Context:
    """What an experiment is handed beside its options; no number depends on it.

    Args:
        say: told what is done in lines.
        progress: called with what is done and what there is in all.
        source: prepared file or folder of the data set, see `fgrad.problems.data.load`.
        target: the output, beside which lies what a restart goes on with; nothing is kept without.
        code: fingerprint of the code, by which that is told from what other code left.
        workflow: whether a workflow waits for the output. Then another process that is at work on
            it is waited for, where it is refused otherwise; and a finished copy stays beside it, as
            the output may be deleted if a failure is reported late.
        overwrite: whether a file that is there is made anew. Else the result of the same job is
            taken as it is, and any other file is refused.
    """

    say: Say = silent
    progress: Progress = silent
    source: Path | None = None
    target: Path | None = None
    code: str = ""
    workflow: bool = False
    overwrite: bool = True


ALONE = Context()
"""Says nothing and keeps nothing."""


@dataclass(frozen=True)
class Result:
    """The numbers of a job.

    Args:
        columns: an array for each column, or one value for all rows.
        facts: what else is recorded of it, as plain values.
    """

    columns: Mapping[str, Any]
    facts: dict[str, Any]
