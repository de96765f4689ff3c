"""Outputs: files alone, through links, and nothing computed that could not be written."""

import os
import socket
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.options.networks import TrainRun
from fgrad.store import files, lease, parquet
from fgrad.store.checkpoints import Checkpoint
from fgrad.store.context import ALONE, Context

RUN = FunctionRun(function="sphere", n=4, gradient="frog", k=2, steps=5, lr=0.1)


def put(kind: str, path: Path) -> None:
    """Something that is no file."""
    if kind == "device":  # the one of /dev/null, in a folder of one's own
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("device nodes need rights")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)


KINDS = ("device", "FIFO", "socket", "folder", "loop")


def refused(path: Path, context: Context = ALONE, run: FunctionRun | TrainRun = RUN) -> str:
    with pytest.raises(ConfigError) as caught:
        jobs.carry_out(run, path, context)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def uncomputed(monkeypatch):
    """Whoever computes anything fails."""
    monkeypatch.setattr("fgrad.experiments.descent.compute", None)


def mode(path: Path) -> int:
    return stat.S_IFMT(path.lstat().st_mode)


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["output", "finished", "lease"])
def test_what_is_no_file_is_refused_and_stays(kind, where, linked, tmp_path):
    path = tmp_path / "r.parquet"
    place = {"output": path, "finished": files.finished(path), "lease": lease.lease_of(path)}[where]
    put(kind, tmp_path / "there" if linked else place)
    if linked:
        place.symlink_to(tmp_path / "there")
    before = {one: mode(one) for one in tmp_path.iterdir()}
    message = refused(path, Context(workflow=True))
    if kind == "loop":
        assert "cannot be written: Too many levels of symbolic links" in message
    else:
        assert f"a {kind}, where a file is to be written" in message
    assert {one: mode(one) for one in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", KINDS)
def test_no_writer_replaces_what_is_no_file(kind, tmp_path):
    put(kind, tmp_path / "r")
    before = mode(tmp_path / "r")
    with pytest.raises(ConfigError), files.atomic(tmp_path / "r") as temporary:
        temporary.write_text("new")
    assert mode(tmp_path / "r") == before
    assert os.listdir(tmp_path) == ["r"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_checkpoint_is_read_from_what_is_no_file(kind, tmp_path):
    import torch

    put(kind, tmp_path / "c")
    with pytest.raises(ConfigError, match=r"to be written|symbolic links"):
        Checkpoint(tmp_path / "c", "key").load(torch.device("cpu"))


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("links", [1, 2])
def test_a_link_is_written_through(there, links, tmp_path):
    """Also out of the folder, and to what is not there yet; what is kept lies beside the file."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    real, path = tmp_path / "elsewhere" / "real.parquet", tmp_path / "here" / "r.parquet"
    if there:
        real.write_text("old")
    path.symlink_to("../elsewhere/real.parquet" if links == 1 else "second")
    if links == 2:
        path.with_name("second").symlink_to(real)
    seen = []
    jobs.carry_out(RUN, path, Context(progress=lambda *_: seen.append(os.listdir(real.parent))))
    assert path.is_symlink()
    assert real.read_bytes()[:4] == b"PAR1"
    assert ".real.lease" in seen[0]
    assert os.listdir(real.parent) == ["real.parquet"]
    assert len(os.listdir(path.parent)) == links


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("n" * 192, "a name of 192 bytes; 191 at most"),
        ("n" * 252, "a name of 252 bytes; 191 at most"),
        ("é" * 126, "a name of 252 bytes; 191 at most"),
        ("n" * 300, "cannot be written: File name too long"),
        ("n" * 300 + "/r", "cannot be written: File name too long"),
        ("n/" * 3000 + "r", "cannot be written: File name too long"),
        ("a\0b", "no name of a file: it holds a NUL"),
        ("a\0b/r", "no name of a file: it holds a NUL"),
        ("none/..", "a folder, where a file is to be written"),
    ],
)
def test_names_that_cannot_be_had(name, reason, tmp_path):
    assert refused(tmp_path / name).endswith(reason)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n" * 183 + ".parquet", "n" * 191, "é" * 95])
def test_the_longest_names_that_can_be_had(name, tmp_path):
    jobs.carry_out(RUN, tmp_path / name, Context(workflow=True))
    assert files.finished(tmp_path / name).exists()
    files.copy(Path(__file__), files.beside(tmp_path / name, "0" * 16, "checkpoint"))


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "r", tmp_path / "file" / "sub" / "r"):
        assert "is a file; a folder that can be written is needed" in refused(path)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("uncomputed")
def test_a_folder_that_cannot_be_written_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for all but root
    assert "cannot be written; choose another folder" in refused(tmp_path / "r")


def test_a_trace_that_cannot_be_written_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr("fgrad.experiments.training.compute", None)
    (tmp_path / "r.trace.json").mkdir()
    run = TrainRun(model="fc", gradient="bp", lr=0.1, profile=True)
    assert "r.trace.json: a folder, where a file" in refused(tmp_path / "r.parquet", run=run)


# folders as a shell has them


def test_users_and_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SETS", "a b")
    for given, expected in {
        "~": tmp_path,
        "~/data": tmp_path / "data",
        "$HOME/data": tmp_path / "data",
        "${HOME}/$SETS": tmp_path / "a b",
        "data": Path("data"),
        "./~": Path("~"),
    }.items():
        assert files.expanded(given) == expected
    assert files.expanded("~root/x") != Path("~root/x")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("~nobody-of-that-name/x", "no user 'nobody-of-that-name' here"),
        ("$FGRAD_UNSET/x", "$FGRAD_UNSET is not set"),
        ("/data/${FGRAD_UNSET}", "${FGRAD_UNSET} is not set"),
    ],
)
def test_unknown_users_and_variables(given, reason):
    with pytest.raises(ConfigError) as caught:
        files.expanded(given)
    assert str(caught.value) == f"data_dir = {given!r}: {reason}"


def test_a_folder_with_a_dollar_in_its_name(tmp_path):
    (tmp_path / "a$FGRAD_UNSET").mkdir()
    assert files.expanded(tmp_path / "a$FGRAD_UNSET") == tmp_path / "a$FGRAD_UNSET"


@pytest.mark.parametrize(
    "name", ["file:x.parquet", "mock:x.parquet", "s3:x", "a:b/x.parquet", "~/x", "~"]
)
def test_names_that_pyarrow_takes_for_addresses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pa.table({"a": [1, 2]})
    parquet.save(Path(name), table, {"b": 3})
    assert (tmp_path / name).is_file()
    assert parquet.read(name).a.tolist() == [1, 2]
    assert parquet.provenance(name) == {"b": 3}
    assert parquet.shape(name)[1] == 2
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]
