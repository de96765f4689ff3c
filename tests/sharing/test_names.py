"""Names in a bundle: which there can be, how they are written, what is refused when it is packed."""

import json
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest

from fgrad import jobs
from fgrad.cli import folder, sharing
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.plan.read import asked_for
from fgrad.plan.status import SCRIPTS
from fgrad.sharing import archive, bundle, manifest
from fgrad.sharing.unpack import unpack

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
pytestmark = pytest.mark.long

OWN = "def double(tangents, derivatives):\n    return 2 * derivatives\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def descended(**gradients: str) -> Path:
    """Descents of gradients of these names; the configuration that asks for them."""
    rows = ["function,n,gradient,k,lr", "sphere,2,bp,,0.1"]
    rows += [f"sphere,2,{name.replace('_', '+')},2,0.1" for name in gradients]
    Path("rates.csv").write_text("\n".join(rows))
    overlay = Path("overlay.yaml").absolute()
    known = {
        name.replace("_", "+"): {"aggregation": one, "k": [2]} for name, one in gradients.items()
    }
    functions = {"functions": ["sphere"], "learning_rates": str(Path("rates.csv").absolute())}
    asked = {"gradients": known, "learning_rates": "missing", "functions": functions}
    overlay.write_text(json.dumps(asked, ensure_ascii=False))
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in asked_for(ROOT, [TINY, overlay])[1].jobs["functions"].items():
        if not job.search:
            path = f"results/runs/functions/{name}.parquet"
            jobs.carry_out(FunctionRun(**job.options), path, script=script)
    return overlay


def pack(overlay: Path, output: str = "bundle.zip") -> manifest.Manifest:
    config, runs = asked_for(ROOT, [TINY, overlay])
    return bundle.pack(config, runs, ROOT, Path(output))


@pytest.mark.parametrize("folder", ["my files", "größe", "全　角"])
def test_names_that_are_encoded(folder, tmp_path):
    Path(folder).mkdir()
    Path(folder, "mine.py").write_text(OWN)
    known = pack(descended(frog_x=f"{folder}/mine.py:double"))
    assert "results/runs/functions/sphere/n2/frog+x_k2.parquet" in known.runs
    assert f"configuration/{folder}/mine.py" in known.files
    graph = json.loads(zipfile.ZipFile("bundle.zip").read(manifest.CRATE))["@graph"]
    found = {one["@id"]: one for one in graph}
    paths = {unquote(one["@id"]): one["@id"] for one in graph if "contentSize" in one}
    assert paths.keys() == known.files.keys() - {manifest.CRATE}
    # what a path of a URI may hold (RFC 3986)
    assert all(re.fullmatch(r"([\w.~/-]|%[0-9A-F]{2})+", one, re.A) for one in paths.values())
    run = paths["results/runs/functions/sphere/n2/frog+x_k2.parquet"]
    assert {"@id": run} in found["#run"]["result"]
    assert {"@id": paths[f"configuration/{folder}/mine.py"]} in found["#run"]["object"]
    assert found[run]["exampleOfWork"] == {"@id": "#output"}
    assert len(unpack(Path("bundle.zip"), tmp_path / "new").laid) == 2


def test_names_that_differ_in_case_alone():
    overlay = descended(Sum="sum", sum="mean")
    with pytest.raises(ConfigError, match=r"bundle\.zip: \S+sum_k2\.parquet: the same .* rename"):
        pack(overlay)
    assert not Path("bundle.zip").exists()


REFUSED = {
    "a?b": "? ", "a*b": "* ", "a<b": "< ", "a>b": "> ", "a|b": "| ", 'a"b': '" ', "a:b": "colon",
    "a\\b": "backslash", "con": "devices", "con .txt": "devices", "CONIN$": "devices",
    "x/conout$.csv": "devices", "com¹": "devices", "a\x1b[31m": "control", "a\u2028b": "control",
    "\ud800": "control", ".a": "hidden", "a ": "ends with a space", "../a": "leads out",
}  # fmt: skip
"""Name → why it is refused."""


@pytest.mark.parametrize(("name", "why"), REFUSED.items())
def test_names_that_some_system_does_not_have(name, why, tmp_path):
    assert why in archive.unfit(name)
    with (
        pytest.raises(ConfigError, match="rename it") as error,
        archive.written(tmp_path / "a.zip") as add,
    ):
        add(name, b"")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["a\u3000b", "größe", "a+b c", "condor", "x$", "con2", "😀"])
def test_names_that_every_system_has(name, tmp_path):
    with archive.written(tmp_path / "a.zip") as add:
        add(name, b"1")
    with archive.opened(tmp_path / "a.zip") as found:
        assert found.read(name) == b"1"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a", "a"), "a: there twice"),
        (("a", "b/c", "B/C"), "B/C: the same name as b/c but for its case"),
        (("a", "A/b"), "A/b: in a folder of the name of a file, a"),
        (("x/a/b", "X/a"), "X/a: a file, and the folder of x/a/b"),
    ],
)
def test_names_that_cannot_be_beside_each_other(names, words, tmp_path):
    """Packing refuses what unpacking would."""
    with pytest.raises(ConfigError, match=words), archive.written(tmp_path / "a.zip") as add:
        for name in names:
            add(name, b"")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as written:
        for name in dict.fromkeys(names):
            info = zipfile.ZipInfo(name, archive.DATE)
            info.create_system, info.external_attr = 3, archive.MODE << 16
            written.writestr(info, b"")
    if len({*names}) == len(names):
        with pytest.raises(ConfigError, match=words), archive.opened(tmp_path / "b.zip"):
            pass


def test_an_archive_that_gets_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    with (
        pytest.raises(ConfigError, match="more than 2 GB"),
        archive.written(tmp_path / "a.zip") as add,
    ):
        add("a", b"1" * 90)  # too much with the list of entries, which is written last
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize("output", ["results/mine", "mine.ZIP", "mine.zip.bak", "here"])
def test_a_bundle_is_called_zip(output):
    overlay = descended()
    with pytest.raises(ConfigError, match=rf"{output}: .* call it {output}\.zip$"):
        pack(overlay, output)
    assert not Path(output).exists()


def test_a_home_is_not_a_folder_of_that_name(here, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(here / "home"))
    place = folder.Place(ROOT, here, (TINY, descended()))
    sharing.bundle(place, Path("~/x.zip"))
    assert (here / "home/x.zip").is_file()
    sharing.unpack(Path("~/x.zip"), Path("~/new"))
    assert (here / "home/new/results/runs").is_dir()
    assert not (here / "~").exists()
    assert "1 runs laid out" in capsys.readouterr().out
    for output in (Path("s3:/x.zip"), Path("~nobody-at-all/x.zip")):
        with pytest.raises(ConfigError, match="output = "):
            sharing.bundle(place, output)
