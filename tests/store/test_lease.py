"""One process at a time is at work on an output; a dead one loses it, a live one does not."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fgrad.errors import ConfigError
from fgrad.store import lease

HOLDER = """
import sys, time
from pathlib import Path
from fgrad.store import lease
with lease.alone(Path(sys.argv[1])):
    print("at work", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that is at work on an output."""
    command = [sys.executable, "-c", HOLDER, str(path), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
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
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    path = tmp_path / "r.parquet"
    with lease.alone(path) as check:
        check()
        lease.lease_of(path).unlink()
        with pytest.raises(ConfigError, match="another process has taken over"):
            for _ in range(100):
                check()
                time.sleep(0.05)


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
    first.kill()
    first.wait()
