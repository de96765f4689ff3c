"""Folders that other machines cannot see are refused where jobs go to other machines."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fgrad.errors import ConfigError
from fgrad.store import shared


@pytest.fixture
def mounts(monkeypatch):
    """File systems by where they are mounted."""
    kinds = {"/": "ext4", "/dev/shm": "tmpfs", "/home": "nfs4", "/home/fast": "ramfs"}
    found = [SimpleNamespace(mountpoint=where, fstype=kind) for where, kind in kinds.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: found)


@pytest.mark.parametrize("folder", ["/dev/shm", "/dev/shm/not/yet/there", "/home/fast/x"])
def test_memory_is_refused(mounts, folder):
    with pytest.raises(ConfigError) as caught:
        shared.check({"workflow": Path("/home/me"), "working folder": Path(folder)}, print)
    assert str(caught.value).startswith(f"working folder {folder}: lies in the memory")


def test_temporary_folders_are_named_and_others_are_not(mounts):
    said: list[str] = []
    shared.check({"workflow": Path("/home/me"), "data_dir": Path("/tmp/x")}, said.append)
    assert said == ["data_dir /tmp/x: lies in a folder for temporary files; do all nodes see it?"]


@pytest.mark.parametrize("folder", ["/home/dol$HOME", "/home/a`b", "/home/back\\slash"])
def test_a_path_that_a_queue_does_not_take_is_refused(mounts, folder):
    with pytest.raises(ConfigError) as caught:
        shared.check({"workflow": Path(folder)}, print)
    assert str(caught.value) == f"workflow {folder}: a queue takes no path with $ \\ `"


def test_real_mounts_are_read():
    assert shared._file_system(Path(__file__))
