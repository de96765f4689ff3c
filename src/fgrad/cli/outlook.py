"""What is to come and what goes on in a folder of results: plan, status."""

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import tyro

from fgrad import errors
from fgrad.cli.folder import Flat, Place


def plan(
    place: Annotated[Place, Flat],
    section: Annotated[str | None, tyro.conf.Positional] = None,
    cores: int | None = None,
    gpus: int = 0,
    since: str | None = None,
) -> None:
    """What a start would compute and how long it would take; nothing is started.

    Args:
        place: which results.
        section: a target of the workflow, as ``functions``; none for the whole paper.
        cores: of the machine; none for all of this one.
        gpus: NVIDIA H100s, or what was measured in this folder, for trainings and their searches.
        since: a commit; says which runs are stale that its code has made, and nothing else.
    """
    if since is not None:
        from fgrad.outlook import since as changes

        if section is not None or cores is not None or gpus or place.directory != Path():
            raise errors.ConfigError(
                "section, directory, cores and gpus have no effect beside since; leave them out"
            )
        lines = changes.lines(place.workflow.absolute(), place.configfile, since)
        print("\n".join(lines))
        return
    from fgrad.outlook import ahead

    if cores is not None and cores < 1:
        raise errors.ConfigError(f"cores = {cores}: 1 or more")
    if gpus < 0:
        raise errors.ConfigError(f"gpus = {gpus}: 0 or more")
    with tempfile.TemporaryDirectory() as nothing:
        status = place.status(nothing)
        found = ahead.parts(status, ahead.costs(status), section, gpus)
        print("\n".join(ahead.lines(found, cores or _cores(), gpus)))
        os.chdir("/")  # the folder goes


def _cores() -> int:
    """Those this process may run on; all of them where nobody can tell, on macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


EVERY = 2.0
"""Seconds between two looks."""


def status(directory: Path = Path(), watch: bool = False) -> None:
    """What the last run in a folder has done, does and has failed at; whoever started it.

    Args:
        directory: folder that holds results/.
        watch: look again every two seconds until it is over, on a terminal.
    """
    from rich.console import Console
    from rich.live import Live

    from fgrad.outlook import state

    def said(look: state.Look) -> str:
        return "\n".join(state.lines(directory, look))

    now = state.look(directory)
    console = Console(highlight=False, markup=False)
    if not (watch and console.is_terminal):
        print(said(now))
        return
    with Live(said(now), console=console, auto_refresh=False) as live:
        while not now.over:
            time.sleep(EVERY)
            now = state.look(directory)
            live.update(said(now), refresh=True)
