"""A command given again does nothing and says so; nothing that is there is lost to another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fgrad import cli
from fgrad.cli import paths
from fgrad.errors import ConfigError
from fgrad.store import parquet

pytestmark = pytest.mark.long

ROW = "--function sphere --n 4 --gradient frog --k 2 --steps 5"
FC = "--model fc --width 64 --reduce 16 --gradient frog --k 2 --device cpu --batch 500 --epochs 1"

VERBS = {
    "measure": "measure --n 4 --samples 3 --seed {seed}",
    "descend": f"descend {ROW} --lr 0.1 --seeds {{seed}}",
    "train": f"train {FC} --lr 0.1 --seed {{seed}}",
    "search functions": f"search functions {ROW} --repeats 2 --evaluations 4 --seed {{seed}}",
    "search network": f"search network {FC} --evaluations 2 --range 0.01 0.1 --seed {{seed}}",
}


@pytest.fixture
def fgrad(monkeypatch, capsys):
    """Gives a command; its exit status, and what it says."""

    def give(verb: str, output: Path, *more: str, seed: int = 0) -> tuple[object, str]:
        command = [*VERBS[verb].format(seed=seed).split(), "--output", str(output), *more]
        monkeypatch.setattr(sys, "argv", ["fgrad", *command])
        try:
            cli.main()
            status: object = 0
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.err + said.out

    return give


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_given_again(verb, fgrad, tmp_path):
    output = tmp_path / "out"
    status, said = fgrad(verb, output)
    assert status == 0
    first, result = snapshot(tmp_path), said.splitlines()[-1]  # of measure a line of progress
    status, said = fgrad(verb, output)
    assert status == 0
    assert "computed before, nothing to do; --overwrite computes it again" in said
    assert (result in said) == (verb != "measure")
    assert snapshot(tmp_path) == first

    status, said = fgrad(verb, output, seed=1)
    assert isinstance(status, str)
    assert len(status.splitlines()) == 1
    assert "is there, and another file: seed" in status
    assert status.endswith(
        ("1; name another, or --overwrite it", "[1]; name another, or --overwrite it")
    )
    assert snapshot(tmp_path) == first

    assert fgrad(verb, output, "--overwrite")[0] == 0
    again = snapshot(tmp_path)
    assert again.keys() == first.keys()
    assert all(again[path][1] > first[path][1] for path in first)

    assert fgrad(verb, output, "--overwrite", seed=1)[0] == 0
    made = output / "trials.parquet" if "search" in verb else output
    run = parquet.provenance(made)["run"]
    assert run.get("seed", 0) == 1 or run["seeds"] == [1]


@pytest.mark.parametrize("content", [b"", b"my notes\n", b"PAR1 of something else"])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if "search" not in verb])
def test_a_file_of_somebody_else_is_refused_and_kept(verb, content, fgrad, tmp_path):
    (tmp_path / "notes").write_bytes(content)
    status, _ = fgrad(verb, tmp_path / "notes")
    assert status.startswith(f"fgrad: {tmp_path / 'notes'}: is there, and another file: ")
    assert "delete" not in status
    assert (tmp_path / "notes").read_bytes() == content
    assert os.listdir(tmp_path) == ["notes"]


@pytest.mark.parametrize(
    "name", ["learning_rates.csv", "search.pdf", "search.png", "trials.parquet"]
)
def test_a_folder_of_somebody_else_is_refused_and_kept(name, fgrad, tmp_path):
    (tmp_path / name).write_text("mine")
    status, _ = fgrad("search functions", tmp_path)
    assert f"{tmp_path / name}: is there, and " in status
    assert "delete" not in status
    assert len(status.splitlines()) == 1
    assert (tmp_path / name).read_text() == "mine"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["learning_rates.csv", "search.pdf", "search.png"])
def test_a_search_that_was_killed_before_all_was_written(name, fgrad, tmp_path):
    fgrad("search functions", tmp_path)
    (tmp_path / name).unlink()
    status, said = fgrad("search functions", tmp_path)
    assert status == 0
    assert "computed before" in said
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["learning_rates.csv", "search.pdf", "search.png"])
@pytest.mark.parametrize("kind", ["folder", "FIFO"])
def test_what_is_no_file_in_a_folder_is_noticed_before(name, kind, fgrad, tmp_path, monkeypatch):
    monkeypatch.setattr("fgrad.experiments.search.functions.compute", None)
    (tmp_path / name).mkdir() if kind == "folder" else os.mkfifo(tmp_path / name)
    status, _ = fgrad("search functions", tmp_path)
    assert f"a {kind}, where a file is to be written" in status


def test_a_damaged_result_is_not_taken_for_done(fgrad, tmp_path):
    fgrad("descend", tmp_path / "r")
    whole = (tmp_path / "r").read_bytes()
    (tmp_path / "r").write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    status, _ = fgrad("descend", tmp_path / "r")
    assert isinstance(status, str)
    assert len(status.splitlines()) == 1


def test_what_is_printed_onto_a_full_disk_costs_no_result(tmp_path):
    command = [sys.executable, "-c", "from fgrad.cli import main; main()"]
    command += [*VERBS["descend"].format(seed=0).split(), "--output", str(tmp_path / "r")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "fgrad: what is printed: No space left on device"
        assert "Traceback" not in done.stderr
        subprocess.run([*command, "--overwrite"], stderr=full, check=True)
    parquet.read(tmp_path / "r")


@pytest.mark.parametrize(
    "output", ["s3://bucket/x.parquet", "file:///tmp/x.parquet", "~nobody_here/x"]
)
def test_an_address_is_no_output(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"a path is needed|no such user"):
        paths.local(Path(output))


def test_the_home_folder_after_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.local(Path("~/x.parquet")) == tmp_path / "x.parquet"
