"""What there is in a folder of results against what is asked for: stale, adopt, prune."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fgrad import errors
from fgrad.store import files

if TYPE_CHECKING:
    from fgrad.plan.runs import Runs
    from fgrad.plan.sections import Config
    from fgrad.plan.status import Status

Flat = tyro.conf.arg(name="")


@dataclass(frozen=True)
class Place:
    """Which results are looked at."""

    workflow: Path = Path()
    """Folder of the Snakefile and of config/."""
    directory: Path = Path()
    """Folder that holds results/."""
    configfile: tuple[Path, ...] = ()
    """Laid over the configuration in this order, as by ``snakemake --configfile``."""

    def status(self, without: str | None = None) -> "Status":
        """The results in it against what is asked for; the directory becomes the current one.

        Args:
            without: the folder that stands for it where there are no results; else it is refused.
        """
        return self._enter([(self.configfile, {})], without)[0]

    def statuses(self) -> "list[Status]":
        """Likewise for every number of the overlays, with published and with searched rates."""
        stacks = [self.configfile[:count] for count in range(len(self.configfile) + 1)]
        rates: tuple[dict[str, str], ...] = (
            {},
            {"learning_rates": "published"},
            {"learning_rates": "searched"},
        )
        return self._enter([(stack, own) for stack in stacks for own in rates])

    def asked(self) -> "tuple[Config, Runs, Path]":
        """Configuration, what it asks for, and the workflow's folder; the directory as above."""
        from fgrad.plan.read import asked_for

        workflow = self.workflow.absolute()
        found = asked_for(workflow, [path.absolute() for path in self.configfile])
        self._change()
        return *found, workflow

    def _enter(
        self, asked: "list[tuple[tuple[Path, ...], dict[str, str]]]", without: str | None = None
    ) -> "list[Status]":
        from fgrad.plan.read import runs_of
        from fgrad.plan.status import Status

        workflow = self.workflow.absolute()
        runs = [runs_of(workflow, [path.absolute() for path in stack], own) for stack, own in asked]
        self._change(without)
        return [Status(one, workflow / "workflow/scripts") for one in runs]

    def _change(self, without: str | None = None) -> None:
        """Into the directory; or into what stands for it where there are no results."""
        if (self.directory / "results").is_dir():
            os.chdir(self.directory)
        elif without is None or self.directory.is_file():
            raise errors.ConfigError(f"{self.directory}: no results here")
        else:
            os.chdir(without)


def stale(
    place: Annotated[Place, Flat],
    versions: bool = False,
    accept_code: tuple[str, ...] = (),
) -> None:
    """Results that are not what the configuration asks for, and what they are instead.

    Args:
        place: which results.
        versions: list results made with other versions of packages instead.
        accept_code: take results made by code of these fingerprints for today's; they stay marked.
    """
    from fgrad import upkeep

    if versions and accept_code:
        raise errors.ConfigError("versions has no effect beside accept_code; leave one out")
    status = place.status()
    if accept_code:
        with upkeep.alone():
            for code in accept_code:
                for path in upkeep.accept(status, code):
                    print(f"{path}: accepted")
        return
    if versions:
        lines, nothing = upkeep.versions(status), "no result was made with other versions"
    else:
        lines, nothing = upkeep.stale(status), "every result is what is asked for"
    print("\n".join(lines) or nothing)


def adopt(place: Annotated[Place, Flat], data_dir: Path | None = None) -> None:
    """Take over results made before results recorded their code.

    Of each section one run is computed again and must equal its file.

    Args:
        place: which results.
        data_dir: folder of the published data sets, for trainings.
    """
    from fgrad import upkeep

    data = data_dir and files.expanded(data_dir).absolute()
    status = place.status()
    with upkeep.alone():
        for line in upkeep.adopt(status, data):
            print(line, flush=True)


def prune(place: Annotated[Place, Flat], yes: bool = False) -> None:
    """Remove runs, checkpoints and journals that the configuration does not ask for.

    Args:
        place: which results. What the configuration asks for without one or all of the overlays is
            kept as well, with published and with searched rates.
        yes: remove what is listed without asking.
    """
    from fgrad import upkeep

    statuses = place.statuses()
    with upkeep.alone():
        left = upkeep.unasked(statuses)
        _remove(left, yes)


def _remove(left: list[Path], yes: bool) -> None:
    """List files, and remove them if that is wanted."""
    print("\n".join(map(str, left)) or "nothing to remove")
    if left and (yes or (sys.stdin.isatty() and input(f"remove {len(left)} files? [y/N] ") == "y")):
        for path in left:
            path.unlink(missing_ok=True)
        print(f"{len(left)} files removed")
