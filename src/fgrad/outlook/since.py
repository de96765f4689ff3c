"""Which runs a change makes stale: what a commit asks of each result against what is asked today.

The commit is unpacked beside, never checked out, and reads its own configuration with its own code
in a process of its own.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fgrad.errors import ConfigError
from fgrad.plan.read import runs_of
from fgrad.plan.runs import SECTIONS
from fgrad.plan.status import Status

SHOWN = 5
"""Runs of a section that are named; of more, only the number is said."""

NEEDED = ("src", "config", "workflow/scripts")

ASK = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")  # of older code, read by nobody; PYTHONWARNINGS=error would end it
from fgrad.plan.read import runs_of
from fgrad.plan.status import Status
home, *overlays = map(Path, sys.argv[1:])
status = Status(runs_of(home, overlays), home / "workflow/scripts")
asked = {key: status.asked(*key) for key in status.runs.names()}
print(json.dumps([[*key, one.run, list(one.code)] for key, one in asked.items()]))
"""
"""What a commit's own code is asked."""


def lines(workflow: Path, overlays: Sequence[Path], commit: str) -> Iterator[str]:
    """A line for each section some of whose runs are made otherwise since a commit.

    Args:
        workflow: folder of the Snakefile, in a git repository.
        overlays: files laid over its configuration.
        commit: any name of it.

    Yields:
        The lines, or one that there is nothing.

    Raises:
        ConfigError: if there is no such commit, or it cannot tell.
    """
    now = Status(runs_of(workflow, [one.absolute() for one in overlays]), workflow / NEEDED[-1])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        _unpack(workflow, commit, home)
        before = _asked(home, [_there(one, workflow, home) for one in overlays], commit)
    found: dict[str, dict[str, list[str]]] = {}
    changed = set()
    for section, name in now.runs.names():
        why = _differs(now, section, name, before.get((section, name)))
        if not why and now.runs.jobs[section][name].search in changed:
            why = "stale, as their rates are searched for again"
        if why:
            changed.add(f"{section}/{name}")
            found.setdefault(section, {}).setdefault(why, []).append(name)
    for section, each in found.items():
        total = len(now.runs.jobs[section])
        for why, names in each.items():
            few = f": {', '.join(names)}" if len(names) <= SHOWN else ""
            yield f"{section}: {len(names)} of {total} {why}{few}"
    gone = Counter(section for section, name in before if name not in now.runs.jobs[section])
    for section, count in gone.items():
        yield f"{section}: {count} are not asked for any more"
    if not found and not gone:
        yield f"nothing: every result made at {commit} is what is asked for"


def _differs(now: Status, section: str, name: str, before: tuple[Any, Any] | None) -> str:
    """What a result of the commit is not that is asked for today, in words; empty if it is.

    Options that came later have their defaults, as in `fgrad.store.identity.difference`.
    """
    if before is None:
        return "new"
    run, codes = before
    asked, fields = now.asked(section, name), SECTIONS[section].model_fields
    known = {key: run.get(key, fields[key].get_default()) for key in asked.run}
    if json.loads(json.dumps(known)) != asked.run:
        return "stale, by their options"
    return "" if set(codes) & set(asked.code) else "stale, by their code"


def _unpack(workflow: Path, commit: str, home: Path) -> None:
    """What is needed of a commit."""
    if _git(workflow, "rev-parse", "--is-inside-work-tree") != b"true\n":
        raise ConfigError(f"{workflow}: no git repository; --since asks it for a commit")
    if not _git(workflow, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        shallow = _git(workflow, "rev-parse", "--is-shallow-repository") == b"true\n"
        more = "; this clone is shallow, git fetch --unshallow gets the others" if shallow else ""
        raise ConfigError(f"since = {commit!r}: no such commit here{more}")
    packed = _git(workflow, "archive", "--format=tar", commit, *NEEDED)
    if not packed:
        raise ConfigError(
            f"since = {commit!r}: its code is not laid out as today; take a later one"
        )
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(home, filter="data")
    if not (home / "src/fgrad/plan/status.py").exists():
        raise ConfigError(
            f"since = {commit!r}: from before there were fingerprints; take a later one"
        )


def _there(overlay: Path, workflow: Path, home: Path) -> Path:
    """An overlay as the commit has it; of one that it has not, today's."""
    path = overlay.absolute()
    if path.is_relative_to(workflow):
        old = home / path.relative_to(workflow)
        if old.exists():
            return old
    return path


def _asked(home: Path, overlays: Sequence[Path], commit: str) -> dict[tuple[str, str], Any]:
    """What a commit asks of each of its results."""
    environment = os.environ | {"PYTHONPATH": str(home / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", ASK, str(home), *map(str, overlays)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        *_, reason = done.stderr.strip().splitlines() or ["it says nothing"]
        raise ConfigError(
            f"since = {commit!r}: its code cannot read its configuration: "
            + reason.replace(f"{home}/", "")
        )
    return {(section, name): (run, code) for section, name, run, code in json.loads(done.stdout)}


def _git(folder: Path, *arguments: str) -> bytes:
    """What git answers; nothing if it cannot."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise ConfigError(f"git: {error.strerror}; --since needs it") from None
    return done.stdout if done.returncode == 0 else b""
