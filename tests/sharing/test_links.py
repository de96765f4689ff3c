"""A bundle is unpacked where parts of `results` are links to another file system."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.plan.read import asked_for
from fgrad.plan.status import SCRIPTS
from fgrad.sharing.bundle import pack
from fgrad.sharing.unpack import unpack
from fgrad.store import parquet

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
MEMORY = Path("/dev/shm")
RUN = "results/runs/functions/sphere/n2/frog_k2.parquet"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    config, runs = asked_for(ROOT, [TINY])
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in runs.jobs["functions"].items():
        path = folder / f"results/runs/functions/{name}.parquet"
        jobs.carry_out(FunctionRun(**job.options), path, script=script)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pack(config, runs, ROOT, Path("bundle.zip"))
    return folder / "bundle.zip"


@pytest.fixture
def away(tmp_path) -> Iterator[Path]:
    """A folder on another file system."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{MEMORY} is no other file system than {tmp_path}")
    folder = Path(mkdtemp(prefix="fgrad-test-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


def linked(work: Path, away: Path, name: str) -> Path:
    """A working folder of which one folder, or the file of a run, lies on another file system."""
    link = work / name
    link.parent.mkdir(parents=True)
    if not link.suffix:
        (away / "there").mkdir()
    link.symlink_to(away / "there")
    return link


def everything(*folders: Path) -> dict[Path, bytes | None]:
    """All files and folders below some, with what is in the files."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def other_seeds(path: Path) -> None:
    """A result of other seeds, where a run of the bundle is to be."""
    options = asked_for(ROOT, [TINY])[1].jobs["functions"]["sphere/n2/frog_k2"].options
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    jobs.carry_out(FunctionRun(**options | {"seeds": [7]}), path, script=script)


LINKS = ["results", "results/runs", "results/bundles", "results/runs/functions", RUN]


@pytest.mark.parametrize("name", LINKS)
def test_links_to_another_file_system(name, bundle, away, tmp_path):
    link = linked(tmp_path / "new", away, name)
    other_seeds(tmp_path / "new" / RUN)
    found = unpack(bundle, tmp_path / "new")
    assert (len(found.laid), found.merged) == (7, [RUN])
    assert parquet.provenance(tmp_path / "new" / RUN)["run"]["seeds"] == [0, 1, 7]
    assert (found.beside / "bundle.json").is_file()
    assert link.is_symlink()
    assert not [path for path in everything(tmp_path, away) if path.name.startswith(".unpack")]
    assert len(unpack(bundle, tmp_path / "new").same) == 8


@pytest.mark.parametrize("name", LINKS)
def test_what_ends_early_leaves_all_as_it_was(name, bundle, away, tmp_path, monkeypatch):
    linked(tmp_path / "new", away, name)
    other_seeds(tmp_path / "new" / RUN)
    before = everything(tmp_path, away)
    replace, done = Path.replace, []

    def failing(self, target):
        replace(self, target)
        last = str(target).endswith(("/sphere/n2/frog_k2.parquet", "/there"))
        if last and "/.unpack-" not in str(target) and not done:
            done.append(target)  # which was there, and is the last one
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(ConfigError, match="No space left"):
        unpack(bundle, tmp_path / "new")
    assert done
    assert everything(tmp_path, away) == before
