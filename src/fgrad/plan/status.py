"""Which results are what the configuration asks for, and what the others are instead."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fgrad.options.base import JobOptions
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plan.runs import SECTIONS, Runs, result_file
from fgrad.store import files
from fgrad.store.fingerprint import fingerprint
from fgrad.store.identity import Asked, defining, difference

SCRIPTS: dict[type[JobOptions], str] = {
    QualityRun: "measure_quality.py",
    FunctionRun: "descend_function.py",
    FunctionComparison: "compare_rates.py",
    TrainRun: "train_network.py",
    FunctionSearch: "search_function.py",
    NetworkSearch: "search_network.py",
}
"""The workflow's script of each kind of job, whose code counts as the job's."""


STAMP = Path(".snakemake/fgrad.stale")
"""Written by a start that finds something stale."""


@dataclass(frozen=True)
class Status:
    """Results in the working directory against what is asked of them.

    Args:
        runs: what is asked for.
        scripts: folder of `SCRIPTS`.
    """

    runs: Runs
    scripts: Path

    def asked(self, section: str, name: str) -> Asked:
        """What is asked of one result."""
        return self._asked[section, name]

    @cached_property
    def _asked(self) -> dict[tuple[str, str], Asked]:
        found = {}
        for section, name in self.runs.names():
            job, kind = self.runs.jobs[section][name], SECTIONS[section]
            script = str(self.scripts / SCRIPTS[kind])
            # also what the library computes without a script is the same
            code = fingerprint(*job.code, script), fingerprint(*job.code)
            reference = f"{kind.__module__}:{kind.__qualname__}"
            search = job.search and f"results/runs/{job.search}.parquet"
            options = defining(job.options)
            found[section, name] = Asked(
                result_file(section, name), reference, options, code, search
            )
        return found

    @cached_property
    def stale(self) -> Mapping[tuple[str, str], str]:
        """Section and name of each result that is not what is asked for → what it is instead."""
        found: dict[tuple[str, str], str] = {}
        for section, name in self.runs.names():
            search = self.runs.jobs[section][name].search
            if search is not None and tuple(search.split("/", 1)) in found:
                found[section, name] = "its learning rate is searched for again"
                continue
            differs = difference(self.asked(section, name))
            if differs:
                found[section, name] = differs
        return found

    def stamp_for(self, path: str | None) -> str:
        """A file that is newer than a stale result, which may be missing; its input, so to say.

        Snakemake reruns a job whose input is newer than its output, or than what is made of that
        where it is missing, whatever its own records say, unless the content of the input is what
        it was the last time.

        Args:
            path: the result; none for the same file of any age.

        Raises:
            ConfigError: if the file cannot be written.
        """
        if path is None:
            return str(STAMP) if STAMP.exists() else self._stamp
        if Path(path).exists():
            _age(Path(path), Path(self._stamp).stat().st_mtime)
        return self._stamp

    @cached_property
    def _stamp(self) -> str:
        with files.atomic(STAMP) as temporary:
            temporary.write_text(f"{time.time_ns()}\n")
        return str(STAMP)


def _age(path: Path, before: float) -> None:
    """A file that is not older, or of no age at all, becomes a second older than a moment.

    Snakemake takes a file of 1970 for none, and fails a job whose input is of the future.
    """
    if not 0 < path.stat().st_mtime < before:
        with suppress(OSError):  # of a file of somebody else's, whose time stays
            os.utime(path, (before - 1, before - 1))
