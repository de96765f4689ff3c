"""Results: whole or not at all, with provenance, readable by pandas alone."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgrad.errors import ConfigError
from fgrad.store import files, log, parquet, schemas

COLUMNS = {
    **{"function": "sphere", "n": 4, "gradient": "bp", "k": None, "angle_deg": None, "lr": 0.1},
    **{"seed": np.array([0, 0]), "step": np.array([0, 1]), "value": np.array([4.0, np.nan])},
}


def write(path: Path) -> None:
    parquet.write(path, schemas.FUNCTIONS, COLUMNS, run={"n": 4}, stop="completed")


def test_round_trip(tmp_path):
    write(tmp_path / "new" / "run.parquet")
    frame = pd.read_parquet(tmp_path / "new" / "run.parquet")
    assert list(frame.columns) == list(schemas.FUNCTIONS)
    assert str(frame["k"].dtype) == "Int64"
    assert frame["k"].isna().all()
    assert frame["value"].iloc[0] == 4
    assert np.isnan(frame["value"].iloc[1])
    kept = parquet.provenance(tmp_path / "new" / "run.parquet")
    assert kept["run"] == {"n": 4}
    assert {"python", "torch", "fgrad", "numpy", "pyarrow"} == set(kept["versions"])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (schemas.INT, np.array([1, -2, 2**40])),
        (schemas.INT, np.array([7, 8, 9], dtype=np.int32)),
        (schemas.INT, np.arange(6)[::2]),
        (schemas.INT, [1, None, 3]),
        (schemas.FLOAT, np.array([0.1, np.nan, np.inf])),
        (schemas.FLOAT, np.array([1, 2, 3])),
        (schemas.FLOAT, np.array([0.1, 0.2, 0.3], dtype=np.float32)),
        (schemas.FLOAT, [1.0, None, 3.0]),
        (schemas.TEXT, np.array(["mean", "Styblinski–Tang", ""])),
        (schemas.TEXT, ["a", None, "c"]),
        (schemas.FLAG, np.arange(19) % 3 == 0),
    ],
)
def test_columns_are_what_pyarrow_makes_of_them(kind, values):
    made = parquet._array(values, kind)
    made.validate(full=True)
    expected = pa.array(values, type=kind)
    assert (made.type, repr(made.to_pylist())) == (kind, repr(expected.to_pylist()))


@pytest.mark.parametrize("values", [np.array([0.5]), np.array(["a"])])
def test_what_is_no_whole_number_is_not_written_as_one(values):
    with pytest.raises((TypeError, pa.ArrowInvalid)):
        parquet._array(values, schemas.INT)


def test_writing_imports_no_pandas(tmp_path):
    code = (
        "import sys; import numpy as np; from fgrad.store import parquet, schemas;"
        "parquet.write(sys.argv[1], schemas.FUNCTIONS, {'function': 'sphere', 'value': np.ones(2)});"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run.parquet")], check=True)


def test_nothing_is_left_of_a_failed_write(tmp_path, monkeypatch):
    write(tmp_path / "run.parquet")
    before = (tmp_path / "run.parquet").read_bytes()

    def dies(*args, **kwargs):
        Path(args[1]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", dies)
    with pytest.raises(
        ConfigError, match=r"run\.parquet: cannot be written: No space left on device"
    ):
        write(tmp_path / "run.parquet")
    assert (tmp_path / "run.parquet").read_bytes() == before
    assert os.listdir(tmp_path) == ["run.parquet"]


def test_what_a_kill_leaves_is_no_result_and_written_over(tmp_path):
    def write_text(text: str) -> None:
        with files.atomic(tmp_path / "run.parquet") as temporary:
            temporary.write_text(text)
            os._exit(9)

    child = os.fork()
    if not child:
        write_text("a long first half")
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 1
    assert not list(tmp_path.rglob("*.parquet"))
    write(tmp_path / "run.parquet")
    assert os.listdir(tmp_path) == ["run.parquet"]
    parquet.read(tmp_path / "run.parquet")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file; a folder that can be written"):
        write(tmp_path / "file" / "run.parquet")


@pytest.mark.parametrize("read", [parquet.read, parquet.provenance])
@pytest.mark.parametrize("part", [0, 3, 100, -1])
def test_a_truncated_file_is_named(tmp_path, part, read):
    path = tmp_path / "run.parquet"
    write(path)
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(ConfigError, match=r"run\.parquet: not a whole Parquet file") as caught:
        read(path)
    assert ("delete it" in str(caught.value)) == (part not in (0, 3))  # it might be anybody's
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.long
def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "run.parquet"
    write(path)
    whole, kept = path.read_bytes(), (parquet.read(path), parquet.provenance(path))
    refusals, places = 0, range(0, len(whole), 5)
    for i in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            found, known = parquet.read(path), parquet.provenance(path)
        except ConfigError as error:
            refusals += 1
            assert len(str(error).splitlines()) == 1
        else:
            # a file that does not say any more what it is is no result
            assert known == {} or (found.equals(kept[0]) and known == kept[1])
    assert refusals > len(places) // 2


def test_a_file_from_before_there_were_checksums(tmp_path):
    write(tmp_path / "run.parquet")
    table = pq.read_table(tmp_path / "run.parquet")
    known = json.loads(table.schema.metadata[parquet.KEY])
    del known[parquet.CHECKSUM]
    metadata = table.schema.metadata | {parquet.KEY: json.dumps(known).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "old.parquet")
    assert parquet.provenance(tmp_path / "old.parquet") == parquet.provenance(
        tmp_path / "run.parquet"
    )
    assert parquet.read(tmp_path / "old.parquet").equals(parquet.read(tmp_path / "run.parquet"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("read", [parquet.read, parquet.provenance])
def test_what_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch, code, read):
    write(tmp_path / "run.parquet")

    def fails(path: object, **_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pq, "read_schema", fails)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "run.parquet")
    assert str(caught.value) == f"{tmp_path / 'run.parquet'}: cannot be read: {os.strerror(code)}"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        parquet.read(tmp_path / "run.parquet")


def test_a_failing_job_leaves_its_traceback_in_the_log(tmp_path, capsys):
    path = tmp_path / "job.log"
    with (
        pytest.raises(SystemExit, match=r"^first line \(see .*job\.log\)$"),
        log.logged(str(path)),
    ):
        print("at work")
        raise RuntimeError("first line\nsecond line")
    assert "at work" in path.read_text()
    assert "Traceback" in path.read_text()
    assert capsys.readouterr().out == ""
    print("printed again")
    assert capsys.readouterr().out == "printed again\n"


def test_progress_is_ten_lines(capsys):
    for done in range(1, 1001):
        log.log_progress(done, 1000)
    assert len(capsys.readouterr().err.splitlines()) == 10
