"""A bundle is used where nothing of the sender's is: its configuration asks for the runs in it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from fgrad import jobs, plugins
from fgrad.options.functions import FunctionRun
from fgrad.plan import handed, read
from fgrad.plan.status import SCRIPTS, Status
from fgrad.sharing import bundle
from fgrad.sharing.unpack import Unpacked, unpack

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/tiny.yaml"
SCALE = (
    "from factor import TWO\n\ndef {name}(tangents, derivatives):\n    return TWO * derivatives\n"
)
DATA = """
def digits(directory):
    raise NotImplementedError
"""
RATE = "sphere,2,frog,2,"


@pytest.fixture
def sender(tmp_path, monkeypatch) -> Path:
    """A workflow in whose tables a rate was changed, with a folder that is the current one."""
    home = tmp_path / "sender"
    for name in ("config", "workflow", "rules"):
        shutil.copytree(ROOT / name, home / name)
    for name in ("Snakefile", "LICENSE", "CITATION.cff", "requirements.lock"):
        shutil.copy(ROOT / name, home)
    rates = home / "config/learning_rates/functions.csv"
    lines = [f"{RATE}0.0123" if one.startswith(RATE) else one for one in rates.read_text().split()]
    rates.write_text("\n".join(lines))
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "sender"))
    return home


def asked(sender: Path, **over: object) -> Path:
    """What is laid over the configuration, in a folder of its own."""
    (sender / "mine").mkdir()
    overlay = sender / "mine/overlay.yaml"
    tiny = yaml.safe_load(TINY.read_text())
    overlay.write_text(json.dumps(read.laid_over(tiny, over)))
    return overlay


def descended(sender: Path, overlay: Path) -> None:
    script = sender / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in read.asked_for(sender, [overlay])[1].jobs["functions"].items():
        if not job.search:
            path = f"results/runs/functions/{name}.parquet"
            jobs.carry_out(FunctionRun(**job.options), path, script=script)


def elsewhere(sender: Path, overlay: Path, monkeypatch, by_snakemake: bool = False) -> Unpacked:
    """What is unpacked in another folder, after all that is the sender's has gone."""
    config, runs = read.asked_for(sender, [overlay])
    if by_snakemake:
        name = handed.hand(config, runs)
        plugins._in_use.forget()
        config, runs = handed.take(name)
    bundle.pack(config, runs, sender, Path("../../bundle.zip"))
    monkeypatch.chdir(sender.parent)
    shutil.rmtree(sender)
    plugins._in_use.forget()
    found = unpack(Path("bundle.zip"), Path("new"))
    for path in found.beside.rglob("*.*"):
        assert str(sender).encode() not in path.read_bytes(), path
    return found


def all_are_asked_for(found: Unpacked, monkeypatch) -> None:
    """Each run is what the configuration that came with it asks for."""
    configuration = found.beside.absolute() / bundle.CONFIGURATION
    monkeypatch.chdir("new")
    status = Status(read.runs_of(ROOT, [configuration]), ROOT / "workflow/scripts")
    current = {status.asked(*key).path for key in status.runs.names() if key not in status.stale}
    assert {*found.laid} == current


def test_a_table_that_was_edited(sender, monkeypatch):
    overlay = asked(sender)
    descended(sender, overlay)
    found = elsewhere(sender, overlay, monkeypatch)
    assert len(found.laid) == 8
    all_are_asked_for(found, monkeypatch)


@pytest.mark.parametrize("by_snakemake", [False, True])
def test_own_tables_and_files(by_snakemake, sender, monkeypatch):
    """Two tables of one name, own files that no finished run used, a folder of data at home."""
    rates = sender / "config/learning_rates"
    overlay = asked(
        sender,
        gradients={
            "twice": {"aggregation": "some/mine.py:double", "k": [2]},
            "later": {"aggregation": "later.py:pair", "k": [2]},
        },
        learning_rates="missing",
        functions={"learning_rates": "./rates.csv"},
        networks={
            "learning_rates": str(sender / "rates.csv"),
            "data_dir": "~/data",
            "fc": {"rates_of": "digits.py:digits"},
        },
    )
    rows = [one for one in (rates / "functions.csv").read_text().split() if ",later," not in one]
    (sender / "mine/rates.csv").write_text("\n".join([*rows, "sphere,2,twice,2,0.01"]))
    shutil.move(rates / "networks.csv", sender / "rates.csv")
    (sender / "mine/some").mkdir()
    (sender / "mine/some/mine.py").write_text(SCALE.format(name="double"))
    (sender / "mine/some/factor.py").write_text("TWO = 2\n")
    (sender / "mine/later.py").write_text("def pair(tangents, derivatives):\n    return 0\n")
    (sender / "mine/digits.py").write_text(DATA)
    descended(sender, overlay)
    found = elsewhere(sender, overlay, monkeypatch, by_snakemake)
    assert len(found.laid) == 9
    kept = found.beside / "configuration"
    assert {str(path.relative_to(kept)) for path in kept.rglob("*.*")} == {
        "configuration.yaml",
        "published_results.csv",
        *(f"learning_rates/{one}.csv" for one in ("functions", "angles", "networks")),
        *("some/mine.py", "some/factor.py", "later.py", "digits.py"),
    }
    known = yaml.safe_load((kept / "configuration.yaml").read_text())
    assert known["networks"]["data_dir"] == "data"
    all_are_asked_for(found, monkeypatch)


def test_the_folder_of_data_is_as_shipped():
    assert read.read(ROOT / "config/config.yaml")["networks"]["data_dir"] == bundle.DATA


def test_tables_beside_the_file_that_names_them(tmp_path, monkeypatch):
    """As files of one's own; all others are below config/, as ever."""
    (tmp_path / "a").mkdir()
    rates = ROOT / "config/learning_rates/angles.csv"
    shutil.copy(rates, tmp_path / "a/own.csv")
    overlay = tmp_path / "a/overlay.yaml"
    overlay.write_text("angles: {learning_rates: ./own.csv}\nlearning_rates: missing")
    monkeypatch.chdir(tmp_path / "a")
    for path in (overlay, Path("overlay.yaml")):
        config, _ = read.asked_for(ROOT, [path])
        assert config.angles.learning_rates == str(tmp_path / "a/own.csv")
        assert config.functions.learning_rates == "learning_rates/functions.csv"
    given = read.given(["published_results=./x.csv", "learning_rates=missing"])
    assert given == {"published_results": str(tmp_path / "a/x.csv"), "learning_rates": "missing"}
