"""Bundles that are damaged or hostile, each refused in a line that names what is wrong with it."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import bundles
import pyarrow as pa
import pytest
from bundles import (
    Broken,
    announced,
    beside,
    bytewise,
    field,
    moded,
    recorded,
    renamed,
    renamed_column,
    said,
    told,
)

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.plan.read import asked_for
from fgrad.plan.status import SCRIPTS
from fgrad.sharing import archive, manifest, merge
from fgrad.sharing.bundle import pack
from fgrad.sharing.unpack import unpack
from fgrad.store import lease, parquet

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
RUN = "results/runs/functions/rosenbrock/n2/bp.parquet"
LAST = "results/runs/functions/sphere/n2/frog_k2.parquet"


def packed(folder: Path, output: str = "bundle.zip") -> Path:
    """A bundle of what is in a folder, which is the current one."""
    config, runs = asked_for(ROOT, [TINY])
    pack(config, runs, ROOT, Path(output))
    return folder / output


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Every descent of section 4.2 of the smallest configuration."""
    folder = tmp_path_factory.mktemp("made")
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in asked_for(ROOT, [TINY])[1].jobs["functions"].items():
        path = folder / f"results/runs/functions/{name}.parquet"
        jobs.carry_out(FunctionRun(**job.options), path, script=script)
    return folder


@pytest.fixture(scope="module")
def bundle(made) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        return packed(made)


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    """A copy of the results, which is the working directory."""
    shutil.copytree(made / "results", tmp_path / "here/results")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def everything(folder: Path) -> dict[str, bytes]:
    """All that is below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


HOSTILE = {
    # the zip
    "no zip": (bytewise(lambda c: c.__setitem__(slice(0, 2), b"XX")), "does not begin as one"),
    "truncated": (bytewise(lambda c: c.__delitem__(slice(len(c) // 2, None))), "truncated"),
    "one byte short": (bytewise(lambda c: c.pop()), "truncated"),
    "trailing": (bytewise(lambda c: c.extend(b"more")), "truncated, or something stands behind"),
    "prepended": (bytewise(lambda c: c.__setitem__(slice(0, 0), b"PK #!/bin/sh\n")), "its end"),
    "comment": (lambda b: setattr(b, "comment", b"hello"), "truncated, or something"),
    "list damaged": (field(0, 0), "damaged"),
    "overlap": (field(42, 40, "<I"), "overlaps"),
    "other name where it lies": (
        bytewise(lambda c: c.__setitem__(30, c[30] ^ 1)),
        "called otherwise",
    ),
    "bomb": (bundles.packed, f"{RUN}: packed"),
    "announces more": (field(24, 10**9, "<I"), "announces 1,000,000,000 bytes"),
    "encrypted": (field(8, 1), "encrypted"),
    "unknown method": (field(10, 99), "packed (method 99)"),
    "data descriptor": (field(8, 8), "attributes"),
    "bit flipped": (bundles.flipped, f"{RUN}: damaged"),
    # names
    "up": (beside("../evil.txt"), "../evil.txt': leads out"),
    "up within": (beside("results/../../evil.txt"), "leads out"),
    "absolute": (beside("/tmp/evil.txt"), "leads out"),
    "drive": (beside("C:evil.txt"), "colon"),
    "backslash": (beside("results\\evil.txt"), "backslash"),
    "control": (beside("results/a\nb"), "control characters"),
    "right to left": (beside("results/\u202egnp.txt"), "control characters"),
    "hidden": (beside("results/.evil.finished"), "hidden"),
    "empty part": (beside("results//evil"), "an empty or hidden part"),
    "device name": (beside("results/CON.txt"), "devices"),
    "trailing dot": (beside("results/evil."), "ends with a space or dot"),
    "not NFC": (beside("results/o\u0308"), "NFC"),
    "long": (beside("results/" + "a" * 300), "too long"),
    "same but for case": (beside(RUN.replace("bp", "BP")), "the same name as"),
    "in a file": (beside(f"{RUN}/x"), f"{RUN}: a file, and the folder of"),
    "in the manifest": (beside("bundle.json/x"), "bundle.json: a file, and the folder of"),
    "twice": (lambda b: b.infos.append((bundles.plain(b.run), b"x")), f"{RUN}: there twice"),
    # what entries are
    "link": (moded(stat.S_IFLNK | 0o777), f"{RUN}: a link"),
    "device": (moded(stat.S_IFCHR | 0o666), f"{RUN}: a device"),
    "FIFO": (moded(stat.S_IFIFO | 0o666), f"{RUN}: a FIFO"),
    "folder": (moded(stat.S_IFDIR | 0o755), f"{RUN}: a folder"),
    "set-uid": (moded(stat.S_IFREG | 0o4755), f"{RUN}: attributes"),
    # manifest
    "no manifest": (lambda b: b.files.pop(manifest.NAME), "no bundle.json"),
    "two manifests": (
        lambda b: b.infos.append((bundles.plain(manifest.NAME), b"{}")),
        "bundle.json: there twice",
    ),
    "no JSON": (said(b"\xff{"), "bundle.json: cannot be read"),
    "deep": (said(b"[" * 10**5), "bundle.json: cannot be read"),
    "a key twice": (said(b'{"format": 1, "format": 1}'), "a key stands twice"),
    "NaN": (said(b'{"format": NaN}'), "no number"),
    "a list": (said(b"[]"), "not of fgrad"),
    "other project": (told(project="other"), "not of fgrad"),
    "newer": (told(format=2), "format 2; this version reads 1"),
    "format of lines": (told(format="1\n\x1b[31m"), r"format '1\n\x1b[31m'; this"),
    "long format": (told(format=["x" * 10**4] * 99), "this version reads 1"),
    "key of lines": (told(**{"a\n\x1b[31m": 1}), r"a\n\x1b[31m"),
    "unknown key": (told(more=1), "more"),
    "no files": (told(files={}), "not listed in bundle.json"),
    # what is there
    "changed": (bundles.replaced, f"{RUN}: changed"),
    "missing": (lambda b: b.files.pop(RUN), f"{RUN}: missing"),
    "more": (lambda b: b.files.update({"more.txt": b"x"}), "more.txt: not listed"),
    "larger than announced": (announced(10), "10 announced"),
    "page damaged": (bundles.damaged, f"{RUN}: not a whole Parquet file"),
    "another run": (bundles.swapped, f"{RUN}: the result of another run"),
    "run renamed": (renamed(RUN.replace("n2", "n3")), "the result of another run"),
    "of no section": (renamed("results/runs/evil/bp.parquet"), "the result of another run"),
    "no run": (lambda b: (b.files.update({RUN: b"PAR1"}), b.seal()), f"{RUN}: not a whole"),
}


ODD = {
    "seeds of lists": (recorded({"seeds": [[2]]}), "run.seeds.0 = [2]: Input should be"),
    "no seeds": (recorded({"seeds": None}), "run.seeds = None: Input should be"),
    "seeds of nobody": (recorded({"seeds": []}), "run.seeds"),
    "truths for seeds": (recorded({"seeds": [False, True]}), "run.seeds.0 = False"),
    "huge seeds": (recorded({"seeds": [10**99]}), "rows of seeds"),
    "other seeds": (recorded({"seeds": [2, 3]}), "rows of seeds [0, 1], where its options say [2"),
    "fewer seeds": (recorded({"seeds": [0]}), "rows of seeds [0, 1], where its options say [0]"),
    "no angles": (recorded({"angle": [{}, 1]}), "run.angle.0"),
    "no stops": (recorded(stop=None), "stop = None: Input should be"),
    "stops of nothing": (recorded(stop=[1]), "stop.0"),
    "no start": (recorded(start=None), "start = None"),
    "merged of nothing": (recorded(merged=[{"seeds": [[1]]}]), "merged.0.seeds.0 = [1]"),
    "code of lines": (recorded(code="a\n\x1b[31m"), "control characters"),
    "commit of lines": (recorded(commit="a\x1b[31m"), "control characters"),
    "key of lines": (recorded({"a\nb": 1}), "control characters"),
    "deep": (recorded(more=json.loads("[" * 99 + "]" * 99)), "too many levels"),
    "code of no text": (recorded(code=[1]), "code = [1]: Input should be"),
    "reference to nothing": (recorded({"function": "x\n.py:1"}), "control characters"),
    "no reference": (recorded({"function": "x.py:1"}), "another run"),
    "huge angle": (recorded({"angle": [10**400]}), "another run"),
    "column of lines": (renamed_column("lr", "a\n\x1b[31m"), "control characters"),
    "no column of seeds": (renamed_column("seed", "seeds"), "no columns of seeds"),
}
"""What a run may record of itself, and what is said of that; each into a folder with that run."""


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
@pytest.mark.parametrize(("change", "words"), ODD.values(), ids=ODD)
def test_odd(change, words, there, bundle, tmp_path):
    """The same where a run of that name is, whose seeds might be put together with its own."""
    if there:
        unpack(bundle, tmp_path / "new")
    broken = Broken(bundle)
    change(broken)
    path = broken.write(tmp_path / "broken.zip")
    before = everything(tmp_path)
    with pytest.raises(ConfigError) as error:
        unpack(path, tmp_path / "new")
    assert str(error.value).startswith(f"{path}: {RUN}: ")
    assert words in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(f"{path}: {RUN}: ") + 300
    assert everything(tmp_path) == before
    assert there or not (tmp_path / "new").exists()


@pytest.mark.parametrize("known", [{"run": [1]}, {"versions": 1}, {"stop": None}, {"code": "a\n"}])
def test_what_is_there_and_odd(known, bundle, tmp_path):
    unpack(bundle, tmp_path / "new")
    parquet.restamp(tmp_path / "new" / RUN, **known)
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=r"bp\.parquet: another file is there: ") as error:
        unpack(bundle, tmp_path / "new")
    assert str(error.value).isprintable()
    assert everything(tmp_path) == before


def test_columns_of_other_kinds_are_not_put_together(made, tmp_path):
    """Those of times are not compared, but would have to be joined."""
    table, known = parquet.table(made / RUN), parquet.provenance(made / RUN)
    for name, seeds, value in (("one", [0, 1], 1.5), ("two", [2, 3], "x")):
        rows = pa.array([seeds[one] for one in table["seed"].to_pylist()])
        other = table.set_column(table.column_names.index("seed"), "seed", rows)
        other = other.append_column("some_seconds", [[value] * len(rows)])
        parquet.save(tmp_path / name, other, known | {"run": known["run"] | {"seeds": seeds}})
    assert merge.by_seeds(tmp_path / "one", tmp_path / "two", tmp_path / "both") is None


def refused(path: Path, tmp_path: Path, words: str) -> None:
    """A bundle is refused in one line, and nothing is written by that."""
    before = everything(tmp_path)
    with pytest.raises(ConfigError) as error:
        unpack(path, tmp_path / "a/new/folder")
    assert words in str(error.value)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value).splitlines()) == 1
    assert everything(tmp_path) == before
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("change", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile(change, words, bundle, tmp_path):
    broken = Broken(bundle)
    change(broken)
    refused(broken.write(tmp_path / "broken.zip"), tmp_path, words)


def test_parquet_of_nobody(made, bundle, tmp_path):
    broken = Broken(bundle)
    bundles.foreign(made)(broken)
    refused(broken.write(tmp_path / "broken.zip"), tmp_path, "it does not say what it is")


def test_huge_manifest(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "LARGEST", 100)
    copy = shutil.copy(bundle, tmp_path / "copy.zip")
    refused(copy, tmp_path, "bundle.json: more than 100 bytes")


def test_what_is_rewritten_without_a_change_is_a_bundle(bundle, tmp_path):
    path = Broken(bundle).write(tmp_path / "again.zip")
    assert path.read_bytes() == bundle.read_bytes()
    assert len(unpack(path, tmp_path / "new").laid) == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "empty"), (b"PAR1" * 9, "no bundle"), (b"PK", "truncated")],
)
def test_no_bundle(content, words, tmp_path):
    path = tmp_path / "some.zip"
    if content is not None:
        path.write_bytes(content)
    refused(path, tmp_path, words)


def test_a_folder_is_no_bundle(tmp_path):
    refused(tmp_path, tmp_path, "a folder")


def test_runs_are_laid_where_the_workflow_looks(made, bundle, tmp_path):
    found = unpack(bundle, tmp_path / "new")
    runs = everything(made / "results/runs")
    assert everything(tmp_path / "new/results/runs") == runs
    assert len(found.laid) == len(runs) == 8
    assert not list((tmp_path / "new").glob(".*"))
    kept = everything(found.beside)
    assert json.loads(kept[manifest.NAME])["sections"]["functions"] == {"asked": 8, "finished": 8}
    assert "configuration/learning_rates/functions.csv" in kept


def test_the_same_again_changes_nothing(bundle, tmp_path):
    unpack(bundle, tmp_path / "new")
    before = everything(tmp_path)
    found = unpack(bundle, tmp_path / "new")
    assert (len(found.same), found.laid) == (8, [])
    assert everything(tmp_path) == before


def test_another_result_is_not_overwritten(bundle, tmp_path):
    target = tmp_path / "new" / LAST
    target.parent.mkdir(parents=True)
    run = FunctionRun(function="sphere", n=2, gradient="frog", k=2, lr=0.5, steps=3)
    jobs.carry_out(run, target)
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=r"frog_k2\.parquet: another result is there: \S+ = "):
        unpack(bundle, tmp_path / "new")
    assert everything(tmp_path) == before


def test_values_that_differ_alone_are_another_result(bundle, tmp_path):
    unpack(bundle, tmp_path / "new")
    target = tmp_path / "new" / LAST
    table = parquet.table(target)
    changed = table.set_column(
        table.column_names.index("value"), "value", [table["value"].to_numpy() + 1e-12]
    )
    parquet.save(target, changed, parquet.provenance(target), ["value"])
    with pytest.raises(ConfigError, match="other values of value in the bundle"):
        unpack(bundle, tmp_path / "new")


def test_when_it_was_computed_makes_no_other_result(bundle, tmp_path):
    unpack(bundle, tmp_path / "new")
    parquet.restamp(tmp_path / "new" / LAST, end="2001-01-01T00:00:00+00:00")
    assert len(unpack(bundle, tmp_path / "new").same) == 8


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_what_is_no_result_is_not_overwritten(there, bundle, tmp_path):
    target = tmp_path / "new" / LAST
    target.parent.mkdir(parents=True)
    if there == "file":
        target.write_text("mine")
    elif there == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError):
        unpack(bundle, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_target_that_is_a_file(bundle, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file"):
        unpack(bundle, tmp_path / "file")


def test_a_folder_that_is_at_work_is_left_alone(bundle, tmp_path):
    code = "import sys; from fgrad.store import lease; from pathlib import Path\n"
    code += "with lease.held(Path(sys.argv[1]), 'x'): print('held', flush=True); input()"
    lock = tmp_path / "new" / lease.WORKFLOW
    command = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process is at work"):
            unpack(bundle, tmp_path / "new")
        other.communicate("\n")
    assert not (tmp_path / "new/results").exists()


class EndedError(BaseException):
    """Ctrl-C, or anything else."""


@pytest.mark.parametrize("at", [0, 3, 11])
@pytest.mark.parametrize("error", [EndedError, OSError(28, "full")])
def test_what_ends_early_leaves_nothing(at, error, bundle, tmp_path, monkeypatch):
    replace, done = Path.replace, []

    def failing(self, target):
        if self.is_relative_to(tmp_path / "new") and "results" in str(target):
            done.append(self)
            if len(done) == at + 1:
                raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises((EndedError, ConfigError)):
        unpack(bundle, tmp_path / "new")
    assert len(done) == at + 1
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_nothing(bundle, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left"):
        unpack(bundle, tmp_path / "new")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(ConfigError, match="1 are free"):
        unpack(bundle, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_a_kill_left_goes_with_the_next(bundle, tmp_path):
    (tmp_path / "new/.unpack-abc/new").mkdir(parents=True)
    unpack(bundle, tmp_path / "new")
    assert not list((tmp_path / "new").glob(".*"))


def test_names_that_are_written_are_read(tmp_path):
    with archive.written(tmp_path / "a.zip") as add:
        add("results/größe.txt", b"12")
        add("b", b"")
    with archive.opened(tmp_path / "a.zip") as found:
        assert found.sizes == {"results/größe.txt": 2, "b": 0}
        assert found.read("results/größe.txt") == b"12"
    with pytest.raises(ConfigError, match="hidden"), archive.written(tmp_path / "b.zip") as add:
        add(".x", b"")
    assert not (tmp_path / "b.zip").exists()
