"""Whether a folder can be seen from other machines, as far as this one can tell."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from fgrad.errors import ConfigError
from fgrad.store.context import Say

IN_MEMORY = frozenset({"devtmpfs", "ramfs", "tmpfs"})
"""Kinds of file systems that no other machine sees."""

EXPANDED = frozenset("$`\\")
"""Characters that do not survive the double quotes in which a queue is handed its command."""


def check(folders: Mapping[str, Path], say: Say) -> None:
    """Refuse folders that jobs cannot see or be told of, and name those that they may not see.

    Args:
        folders: what each is for.
        say: told of folders for temporary files, which are rarely shared.

    Raises:
        ConfigError: naming the first folder in the memory of this machine, or whose path no queue
            can be handed.
    """
    temporary = {Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")}
    for purpose, folder in folders.items():
        there = folder.expanduser().resolve()
        if EXPANDED & set(str(there)):
            characters = " ".join(sorted(EXPANDED))
            raise ConfigError(f"{purpose} {there}: a queue takes no path with {characters}")
        kind = _file_system(there)
        if kind in IN_MEMORY:
            raise ConfigError(
                f"{purpose} {there}: lies in the memory of this machine ({kind}); the nodes of a "
                "cluster need it on a file system that they share"
            )
        if temporary & {there, *there.parents}:
            say(f"{purpose} {there}: lies in a folder for temporary files; do all nodes see it?")


def _file_system(folder: Path) -> str:
    """The kind of the file system that a folder lies on, or will lie on."""
    mounted = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    return next((mounted[path] for path in (folder, *folder.parents) if path in mounted), "")
