"""One process at a time is at work on an output; a dead one loses it, a live one does not."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import filelock._lease
import pytest

from fgrad.errors import ConfigError
from fgrad.store import files, lease

HOLDER = """
import sys, time
from pathlib import Path
from fgrad.store import files, lease
with lease.alone(Path(sys.argv[1])):
    print("at work", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that is at work on an output."""
    command = [sys.executable, "-c", HOLDER, str(path), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "at work\n"
    return process


def test_the_second_one_is_refused_or_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "POLL", 0.05)
    path, said = tmp_path / "r.parquet", []
    first = holder(path, 1.5)
    owner = f"process {first.pid} on {socket.gethostname()}"
    with pytest.raises(ConfigError) as caught, lease.alone(path):
        pass
    assert str(caught.value) == f"{path}: another process is at work on it: {owner}"
    with lease.alone(path, waits=True, say=said.append):
        assert first.poll() is not None or first.wait(5) == 0
    assert said == [f"{path}: {owner} is at work on it; waiting for it to end"]
    assert not list(tmp_path.iterdir())


def test_a_killed_one_loses_it_at_once(tmp_path):
    path = tmp_path / "r.parquet"
    first = holder(path, 60)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert lease.lease_of(path).exists()
    begun = time.monotonic()
    with lease.alone(path):
        assert time.monotonic() - begun < 1
    assert not list(tmp_path.iterdir())


def elsewhere(path: Path) -> Path:
    """As a process on another node would have written it."""
    with lease.alone(path):
        written = lease.lease_of(path).read_text()
    lease.lease_of(path).write_text(written.replace(f"host={socket.gethostname()}", "host=n7"))
    return lease.lease_of(path)


def test_one_elsewhere_loses_it_when_it_is_not_heard_of(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS", 0.6)
    monkeypatch.setattr(lease, "POLL", 0.05)
    path, said = tmp_path / "r.parquet", []
    elsewhere(path)
    with lease.alone(path, say=said.append):
        pass
    (line,) = said
    assert "waiting up to 0.6 s for a sign of life of process" in line
    assert line.endswith("on n7")


def test_one_elsewhere_that_lives_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS", 1.0)
    monkeypatch.setattr(lease, "POLL", 0.05)
    path = tmp_path / "r.parquet"
    beat = f"import os, time\nwhile True: os.utime({str(elsewhere(path))!r}); time.sleep(0.1)"
    process = subprocess.Popen([sys.executable, "-c", beat])
    try:
        refused = pytest.raises(ConfigError, match="another process is at work on it: process")
        with refused, lease.alone(path):
            pass
    finally:
        process.kill()
        process.wait()


def test_who_lost_it_is_told(tmp_path, monkeypatch):
    """A process that was stopped for long must not write over what its successor writes."""
    monkeypatch.setattr(lease, "LOOK", 0.0)
    path, lock = tmp_path / "r.parquet", lease.lease_of(tmp_path / "r.parquet")
    with lease.alone(path) as check:
        check()
        written = lock.read_text()
        lock.unlink()
        check()  # away for a moment, which is no news
        lock.write_text(re.sub("token=.*", f"token={'0' * 32}", written).replace("host=", "host=x"))
        with pytest.raises(ConfigError, match=r"another process has taken over: process \d+ on x"):
            check()


def test_a_refresh_that_failed_for_long_ends_nothing(tmp_path, monkeypatch):
    """A file system that was away has come back, and nobody else was there."""
    monkeypatch.setattr(lease, "SECONDS", 0.6)
    monkeypatch.setattr(lease, "LOOK", 0.0)
    path, refreshed = tmp_path / "r.parquet", vars(filelock._lease)["touch"]
    with lease.alone(path) as check:
        monkeypatch.setattr(filelock._lease, "touch", fail)
        time.sleep(1.5)
        monkeypatch.setattr(filelock._lease, "touch", refreshed)
        before = lease.lease_of(path).stat().st_mtime_ns
        check()
        assert lease.lease_of(path).stat().st_mtime_ns > before


def fail(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.long
@pytest.mark.parametrize("content", [b"\0" * 150, b"filelock/2\npid=", b"\xff\xfe", b"x\n" * 700])
def test_a_damaged_lease_is_no_obstacle(tmp_path, monkeypatch, content):
    """What a power cut leaves."""
    monkeypatch.setattr(lease, "POLL", 1.0)
    path = tmp_path / "r.parquet"
    lease.lease_of(path).write_bytes(content)
    os.utime(lease.lease_of(path), (1e9, 1e9))
    with lease.alone(path):
        pass


def test_a_process_in_a_container_is_not_taken_for_one_outside(tmp_path):
    script = "from fgrad.store import files; print(files.host())"
    inside = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if inside.returncode:
        pytest.skip("may not make a container of processes here")
    assert inside.stdout.strip() != files.host()
    with lease.alone(tmp_path / "r.parquet"):
        owner = lease.owner_of(lease.lease_of(tmp_path / "r.parquet"))
    assert owner is not None
    assert owner.host == files.host()  # as the lease has it


@pytest.mark.long
def test_a_lease_without_an_owner_is_no_obstacle_for_ever(tmp_path, monkeypatch):
    """A node was lost between making the file and writing it."""
    monkeypatch.setattr(lease, "SECONDS", 5.0)
    path = tmp_path / "r.parquet"
    lock = lease.lease_of(path)
    lock.touch()
    refused = pytest.raises(ConfigError, match="another process is at work on it: unknown")
    with refused, lease.alone(path):
        pass
    os.utime(lock, (time.time() - 10,) * 2)
    with lease.alone(path):
        pass


def test_who_is_at_work_below_a_folder(tmp_path):
    running, dead = tmp_path / "a/r.parquet", tmp_path / "b/r.parquet"
    first, second = holder(running, 60), holder(dead, 60)
    second.kill()
    second.wait()
    old = elsewhere(tmp_path / "c/r.parquet")
    os.utime(old, (time.time() - 2 * lease.SECONDS,) * 2)
    recent = elsewhere(tmp_path / "d/r.parquet")
    found = lease.held_below(tmp_path)
    assert list(found) == [lease.lease_of(running), recent]
    assert found[lease.lease_of(running)] == lease.Owner(socket.gethostname(), first.pid)
    assert found[lease.lease_of(running)].here
    assert not found[recent].here
    assert not lease.lease_of(dead).exists()
    (tmp_path.parent / "linked").mkdir()
    (tmp_path.parent / "linked/results").symlink_to(tmp_path)
    assert len(lease.held_below(tmp_path.parent / "linked")) == 2
    first.kill()
    first.wait()
