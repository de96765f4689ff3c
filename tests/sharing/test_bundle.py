"""What goes into a bundle, and that the same results give the same bytes."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from fgrad import jobs
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.plan.read import asked_for
from fgrad.plan.status import SCRIPTS
from fgrad.sharing import bundle, manifest, merge, names
from fgrad.sharing.unpack import unpack
from fgrad.store import parquet

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
RUN = "results/runs/functions/sphere/n2/frog_k2.parquet"


def pack(*overlays: Path, output: str = "bundle.zip") -> manifest.Manifest:
    """A bundle of what is in the current folder."""
    config, runs = asked_for(ROOT, [TINY, *overlays])
    return bundle.pack(config, runs, ROOT, Path(output))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Every descent of section 4.2 of the smallest configuration."""
    folder = tmp_path_factory.mktemp("made")
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in asked_for(ROOT, [TINY])[1].jobs["functions"].items():
        path = folder / f"results/runs/functions/{name}.parquet"
        jobs.carry_out(FunctionRun(**job.options), path, script=script)
        log = folder / f"results/logs/functions/{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("done\n")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    """A copy of the results, which is the working directory."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def entries(path: str = "bundle.zip") -> list[str]:
    with zipfile.ZipFile(path) as opened:
        return opened.namelist()


def test_what_is_in_it(here):
    known = pack()
    assert set(entries()) == {*known.files, manifest.NAME}
    assert len(known.runs) == 8
    assert "results/logs/functions/sphere/n2/frog_k2.log" in known.files
    for name in ("configuration/configuration.yaml", "workflow/Snakefile", "README.md"):
        assert name in known.files
    assert known.sections["functions"] == manifest.Section(asked=8, finished=8)
    assert known.sections["fc"].finished == 0
    assert known.versions["torch"] == [parquet.environment()["versions"]["torch"]]
    assert known.hardware == [f"{parquet.environment()['machine']}, cpu, 1 threads"]
    with zipfile.ZipFile("bundle.zip") as opened:
        text = opened.read("configuration/configuration.yaml")
        assert opened.read(RUN) == Path(RUN).read_bytes()
    config = asked_for(ROOT, [TINY])[0].model_dump(mode="json")
    for part in (config["functions"], config["angles"], config["networks"], config):
        key = "learning_rates" if part is not config else "published_results"
        part[key] = f"./{part[key]}"
    assert yaml.safe_load(text) == config


def test_the_same_results_give_the_same_bytes(here):
    pack()
    for path in here.rglob("*.parquet"):
        os.utime(path, (10**9, 10**9))
    pack(output="again.zip")
    assert Path("again.zip").read_bytes() == Path("bundle.zip").read_bytes()
    found = json.loads(zipfile.ZipFile("bundle.zip").read(manifest.CRATE))
    assert {one["@id"] for one in found["@graph"]} >= {*entries(), "./", "#run"}


def test_what_is_stale_or_damaged_is_left_out_and_named(here):
    stale, damaged = RUN, RUN.replace("sphere", "rosenbrock")
    parquet.restamp(stale, code="0123456789abcdef")
    content = bytearray(Path(damaged).read_bytes())
    content[60] ^= 1
    Path(damaged).write_bytes(content)
    Path(RUN.replace("frog_k2", "bp")).unlink()
    known = pack()
    assert known.left_out.keys() == {stale, damaged}
    assert known.left_out[stale].startswith("made by other code (0123456789abcdef")
    assert known.left_out[damaged].startswith("not a whole Parquet file")
    assert known.sections["functions"] == manifest.Section(asked=8, finished=5)
    assert len(unpack(Path("bundle.zip"), here / "new").laid) == 5


def test_what_is_written_meanwhile_is_left_out(here, monkeypatch):
    table = parquet.table

    def touching(path):
        os.utime(path, (10**9, 10**9))
        return table(path)

    monkeypatch.setattr(parquet, "table", touching)
    with pytest.raises(ConfigError, match="no finished run"):
        pack()
    assert not Path("bundle.zip").exists()


def test_what_is_no_result_is_not_in_it(here):
    folder = Path(RUN).parent
    for name in (".frog_k2.finished", ".bp.0123456789abcdef.journal", "other.parquet", "x.txt"):
        shutil.copy(RUN, folder / name)
    assert len(pack().runs) == 8
    assert not [n for n in entries() if "finished" in n or "journal" in n or "other" in n]


def test_another_file_is_not_replaced(here):
    Path("bundle.zip").write_text("mine")
    with pytest.raises(ConfigError, match=r"bundle\.zip: no bundle"):
        pack()
    assert Path("bundle.zip").read_text() == "mine"


def test_own_files_are_kept(here, tmp_path):
    Path("mine.py").write_text("def double(tangents, derivatives):\n    return 2 * derivatives\n")
    overlay = here / "overlay.yaml"
    overlay.write_text(
        "quality: {k: [1], aggregations: [mine.py:double], direct: [{n: [2], samples: 5}]}"
    )
    _, runs = asked_for(ROOT, [TINY, overlay])
    script = ROOT / "workflow/scripts" / SCRIPTS[QualityRun]
    options = runs.jobs["quality"]["n2_0"].options
    jobs.carry_out(QualityRun(**options), "results/runs/quality/n2_0.parquet", script=script)
    known = pack(overlay)
    assert "results/runs/quality/n2_0.parquet" in known.files
    found = unpack(Path("bundle.zip"), tmp_path / "new")
    kept = found.beside / "configuration"
    assert (kept / "mine.py").read_text() == Path("mine.py").read_text()
    again, _ = asked_for(ROOT, [kept / "configuration.yaml"])
    assert again.quality == asked_for(ROOT, [TINY, overlay])[0].quality


def test_halves_of_the_runs_are_put_together(here, tmp_path):
    runs = sorted(Path("results/runs").rglob("*.parquet"))
    for name, part in (("one.zip", runs[:5]), ("two.zip", runs[3:])):
        for path in runs:
            if path not in part:
                path.rename(path.with_suffix(".away"))
        assert len(pack(output=name).runs) == 5
        for path in Path("results/runs").rglob("*.away"):
            path.rename(path.with_suffix(".parquet"))
    unpack(Path("one.zip"), tmp_path / "new")
    found = unpack(Path("two.zip"), tmp_path / "new")
    assert (len(found.laid), len(found.same)) == (3, 2)
    for path in runs:
        assert (tmp_path / "new" / path).read_bytes() == path.read_bytes()


def seeded(path: str, *seeds: int, **options) -> FunctionRun:
    run = FunctionRun(
        function="styblinski-tang",
        n=4,
        gradient="frog",
        k=2,
        lr=0.01,
        steps=7,
        seeds=seeds,
        **options,
    )
    jobs.carry_out(run, path)
    return run


@pytest.mark.parametrize("angle", [(), (90.0, 15.0)])
def test_seeds_of_two_files_are_put_together(angle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeded("one", 1, 5, angle=angle)
    seeded("two", 0, 5, angle=angle)
    run = seeded("both", 0, 1, 5, angle=angle)
    assert "seeds = [1, 5] here" in merge.difference(Path("one"), Path("two"))
    assert merge.by_seeds(Path("one"), Path("two"), Path("merged"))
    assert merge.difference(Path("both"), Path("merged")) == ""
    made = parquet.provenance("merged")
    assert made["run"] == run.model_dump(mode="json")
    assert made["stop"] == parquet.provenance("both")["stop"]
    assert [one["seeds"] for one in made["merged"]] == [[1, 5], [0, 5]]
    assert merge.by_seeds(Path("merged"), Path("two"), Path("again")) == []
    assert not Path("again").exists()
    assert merge.by_seeds(Path("one"), Path("merged"), Path("again")) == [0]
    made = parquet.provenance("again")
    assert [one["seeds"] for one in made["merged"]] == [[1, 5], [0, 5]]


def test_seeds_of_other_runs_are_not_put_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeded("one", 0, 1)
    seeded("two", 1, 2)
    seeded("angles", 2, angle=(90.0,))
    assert merge.by_seeds(Path("one"), Path("angles"), Path("merged")) is None
    parquet.restamp("two", code="0123456789abcdef")
    assert merge.by_seeds(Path("one"), Path("two"), Path("merged")) is None
    seeded("three", 1, 2)
    table = parquet.table("three")
    values = table["value"].to_numpy() + (table["seed"].to_numpy() == 1)
    changed = table.set_column(table.column_names.index("value"), "value", [values])
    parquet.save("three", changed, parquet.provenance("three"), ["value"])
    assert merge.by_seeds(Path("one"), Path("three"), Path("merged")) is None
    assert not Path("merged").exists()


def test_bundles_of_other_seeds_are_put_together(here, tmp_path):
    overlay = tmp_path / "seeds.yaml"
    overlay.write_text("functions: {seeds: [2, 3]}")
    pack(output="one.zip")
    for name, job in asked_for(ROOT, [TINY, overlay])[1].jobs["functions"].items():
        if "sphere" in name:
            path = Path(f"results/runs/functions/{name}.parquet")
            path.unlink()
            script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
            jobs.carry_out(FunctionRun(**job.options), path, script=script)
    assert len(pack(overlay, output="two.zip").runs) == 4
    unpack(Path("one.zip"), tmp_path / "new")
    found = unpack(Path("two.zip"), tmp_path / "new")
    assert len(found.merged) == 4
    assert parquet.provenance(tmp_path / "new" / RUN)["run"]["seeds"] == [0, 1, 2, 3]
    merged = (tmp_path / "new" / RUN).read_bytes()
    for again in ("one.zip", "two.zip"):
        assert unpack(Path(again), tmp_path / "new").merged == []
    assert (tmp_path / "new" / RUN).read_bytes() == merged
    overlay.write_text("functions: {seeds: [0, 1, 2, 3]}")
    assert unpack(Path("one.zip"), tmp_path / "third")
    shutil.rmtree("results")
    shutil.copytree(tmp_path / "new/results", "results")
    assert len(pack(overlay, output="three.zip").runs) == 4
    before = (tmp_path / "third" / RUN).read_bytes()
    found = unpack(Path("three.zip"), tmp_path / "third")
    assert len(found.merged) == 4
    assert (tmp_path / "third" / RUN).read_bytes() != before


def test_every_run_lies_where_its_options_say(made):
    for overlays in ([TINY], [ROOT / "config/demo.yaml"], [], [ROOT / "config/laptop.yaml"]):
        _, runs = asked_for(ROOT, overlays)
        for section, name in runs.names():
            path = f"results/runs/{section}/{name}.parquet"
            options = runs.jobs[section][name].options
            assert names.fits(path, options), path
            assert not names.fits(path.replace("/runs/", "/runs/x"), options)


def fgrad_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fgrad", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_the_command(here, tmp_path):
    options = ("--workflow", str(ROOT), "--configfile", str(TINY), "--directory", str(here))
    done = fgrad_command("bundle", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"functions: 8 of 8 runs\n{here}/results/bundle.zip: 8 runs\n"
    done = fgrad_command("unpack", "results/bundle.zip", "--directory", str(tmp_path / "new"))
    assert done.stdout.startswith(f"{tmp_path}/new: 8 runs laid out\nwhat came with them: ")
    done = fgrad_command("compare", str(here), "results/bundle.zip")
    assert done.returncode == 0, done.stderr
    assert "\nruns: 8 identical\n" in done.stdout
    shutil.rmtree("results/runs")
    done = fgrad_command("bundle", *options)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no finished run" in done.stderr
    done = fgrad_command("bundle", *options[:-1], str(tmp_path))
    assert done.stderr == f"fgrad: {tmp_path}: no results here\n"
    done = fgrad_command("unpack", str(TINY))
    assert done.stderr == f"fgrad: {TINY}: no bundle: it does not begin as one\n"
