"""Files are there whole or not at all, also where two processes write one, or a file system is away."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fgrad.errors import ConfigError
from fgrad.store import files

WRITER = """
import sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq, torch
from fgrad.store import files, parquet
from fgrad.store.checkpoints import Checkpoint

folder, own = Path(sys.argv[1]), int(sys.argv[2])
checkpoint = Checkpoint(folder / "c", "key")
schema = {"x": pa.int64()}
while not (folder / "go").exists():
    pass
for i in range(300):
    content = [own] * 20_000
    parquet.write(folder / "r.parquet", schema, {"x": content})
    checkpoint.save({"x": torch.full((20_000,), own)})
    found = set(parquet.read(folder / "r.parquet")["x"])
    assert len(found) == 1, found
    assert len(checkpoint.load(torch.device("cpu"))["x"].unique()) == 1
"""


@pytest.mark.long
def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """In a tight loop: no error, and whoever reads sees one of the two, whole."""
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    command = [sys.executable, str(script), str(tmp_path)]
    writers = [
        subprocess.Popen([*command, str(own)], stderr=subprocess.PIPE, text=True) for own in (1, 2)
    ]
    time.sleep(2)
    (tmp_path / "go").touch()
    for writer in writers:
        _, said = writer.communicate(timeout=300)
        assert (writer.returncode, said) == (0, "")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"writer.py", "go", "r.parquet", "c"}


def leave(target: Path, host: str, pid: int) -> Path:
    left = target.with_name(f".{target.name}.{host}.{pid}.0.part")
    left.write_text("half")
    return left


def test_what_dead_writers_left_goes_and_what_others_write_stays(tmp_path):
    target = tmp_path / "r.parquet"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = leave(target, files.host(), ended.pid)
    old = leave(target, "elsewhere", 1)
    os.utime(old, (0, 0))
    alive = leave(target, files.host(), os.getppid())
    elsewhere = leave(target, "node7.cluster", 1)
    other = leave(tmp_path / "r.parquet.b", files.host(), ended.pid)
    with files.atomic(target) as temporary:
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert not dead.exists()
    assert not old.exists()
    assert alive.exists()
    assert elsewhere.exists()
    assert other.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.ESTALE])
def test_what_must_not_be_lost_is_written_when_it_can_be(tmp_path, monkeypatch, code):
    monkeypatch.setattr(files, "PATIENCE", (0, 0, 0))
    tries: list[int] = []
    said: list[str] = []

    def write() -> None:
        with files.atomic(tmp_path / "r") as temporary:
            tries.append(1)
            if len(tries) < 3:
                raise OSError(code, os.strerror(code))
            temporary.write_text("whole")

    files.patiently(write, said.append)
    assert (tmp_path / "r").read_text() == "whole"
    assert len(said) == 2
    assert (
        said[0] == f"{tmp_path / 'r'}: cannot be written: {os.strerror(code)}; trying again in 0 s"
    )


def test_what_does_not_pass_is_not_tried_again(tmp_path):
    (tmp_path / "r").mkdir()
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        files.patiently(lambda: files.copy(Path(__file__), tmp_path / "r"))
    assert [one.name for one in tmp_path.iterdir()] == ["r"]


def test_a_name_may_be_as_long_as_names_may_be(tmp_path):
    target = tmp_path / f"{'n' * 247}.parquet"
    files.copy(Path(__file__), target)
    assert [one.name for one in tmp_path.iterdir()] == [target.name]


def test_what_a_killed_job_left_half_goes_when_it_has_ended(tmp_path):
    target = tmp_path / "r.parquet"
    checkpoint = files.beside(target, "0" * 16, "checkpoint")
    halves = [leave(checkpoint, files.host(), os.getpid()), leave(checkpoint, "elsewhere", 1)]
    others = [leave(tmp_path / "s.parquet", "elsewhere", 1), tmp_path / ".r.5.checkpoint"]
    others[1].touch()
    files.forget(target, "checkpoint")
    assert not any(half.exists() for half in halves)
    assert all(other.exists() for other in others)
