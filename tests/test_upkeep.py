"""Results that are no longer what is asked for: listed, taken over on purpose, or removed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgrad import jobs, upkeep
from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.plan.read import runs_of
from fgrad.plan.status import SCRIPTS, Status
from fgrad.store import files, identity, lease, parquet

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests/tiny.yaml"
NAME, OTHER_NAME = "rosenbrock/n2/frog_k2", "sphere/n2/bp"
RUN = f"results/runs/functions/{NAME}.parquet"
OTHER = f"results/runs/functions/{OTHER_NAME}.parquet"
OLD = "0123456789abcdef"
FGRAD = str(Path(sys.executable).with_name("fgrad"))


def asked() -> Status:
    return Status(runs_of(ROOT, [TINY]), ROOT / "workflow/scripts")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Every descent of section 4.2 of the smallest configuration."""
    folder = tmp_path_factory.mktemp("made")
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in asked().runs.jobs["functions"].items():
        path = folder / f"results/runs/functions/{name}.parquet"
        jobs.carry_out(FunctionRun(**job.options), path, script=script)
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    """A copy of them, which is the working directory."""
    for path in made.rglob("*.parquet"):
        target = tmp_path / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def forget_code(path: Path) -> None:
    """As results were made before there were fingerprints."""
    table = pq.read_table(path)
    known = {k: v for k, v in parquet.provenance(path).items() if k != "code"}
    metadata = table.schema.metadata | {parquet.KEY: json.dumps(known).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def lines() -> list[str]:
    return [line for line in upkeep.stale(asked()) if "missing" not in line]


def values(path: str) -> bytes:
    return pq.read_table(path).to_pandas().to_csv().encode()


def test_what_is_asked_for_is_not_listed(here):
    assert lines() == []
    (Path("results/runs/functions/sphere/n2/bp.parquet")).unlink()
    assert "functions: 1 of 8 results are missing" in upkeep.stale(asked())


def test_what_differs_is_listed_with_the_difference(here):
    Path(RUN).write_bytes(Path(OTHER).read_bytes())
    assert lines() == [f"{RUN}: gradient = 'bp', asked for 'frog'"]
    parquet.restamp(OTHER, code=OLD)
    assert {line.split(", now")[0] for line in lines()} == {
        f"{RUN}: gradient = 'bp', asked for 'frog'",
        f"{OTHER}: made by other code ({OLD}",
    }


def test_older_code_is_accepted_on_purpose_and_marked(here):
    parquet.restamp(RUN, code=OLD)
    before = values(RUN)
    assert upkeep.accept(asked(), OLD) == [RUN]
    assert lines() == []
    assert values(RUN) == before
    assert parquet.provenance(RUN)["code"] == OLD
    each = [asked().asked("functions", name).plain() for name in (NAME, OTHER_NAME)]
    words = identity.older(each)
    assert words == f"1 of 2 runs were made by older code ({OLD})"
    assert identity.older(each[1:]) == ""
    parquet.restamp(RUN, code=each[0]["code"][0])
    assert identity.older(each) == "", "the code is back"


def test_what_was_accepted_is_so_for_that_code_alone(here):
    parquet.restamp(RUN, code=OLD, accepted={"code": "fedcba9876543210"})
    assert [line.split(":")[0] for line in lines()] == [RUN]


@pytest.mark.parametrize("code", ["fedcba9876543210", "", OLD[:-1]])
def test_code_of_no_result_is_refused(here, code):
    parquet.restamp(RUN, code=OLD)
    with pytest.raises(ConfigError, match="no result differs from what is asked for in this code"):
        upkeep.accept(asked(), code)


def test_other_options_are_not_accepted(here):
    Path(RUN).write_bytes(Path(OTHER).read_bytes())
    parquet.restamp(RUN, code=OLD)
    with pytest.raises(ConfigError):
        upkeep.accept(asked(), OLD)


def test_results_before_there_were_fingerprints_are_adopted(here):
    for path in Path("results/runs").rglob("*.parquet"):
        forget_code(path)
    assert len(lines()) == 8
    said = list(upkeep.adopt(asked()))  # by gradient and function, whose code differs
    assert sum(int(line.split()[1]) for line in said) == 8
    assert len(said) == 6
    assert all("computed again, is the same" in line for line in said)
    assert lines() == []
    assert "adopted" in parquet.provenance(RUN)
    assert "nothing to take over" in next(upkeep.adopt(asked()))


def test_results_of_code_that_was_edited_meanwhile_are_not_adopted(here):
    parquet.restamp(RUN, code=None)
    assert "nothing to take over" in next(upkeep.adopt(asked()))
    assert [line.split(":")[0] for line in lines()] == [RUN]


def test_a_value_that_differs_is_not_adopted(here):
    for path in Path("results/runs").rglob("*.parquet"):
        table = pq.read_table(path)
        value = table["value"].to_numpy().copy()
        value[-1] = np.nextafter(value[-1], 1)
        changed = table.set_column(table.schema.get_field_index("value"), "value", [value])
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
        forget_code(path)
    with pytest.raises(ConfigError, match="value is not what the code computes today"):
        list(upkeep.adopt(asked()))
    assert "code" not in parquet.provenance(OTHER)


def test_other_options_are_not_adopted(here):
    Path(RUN).write_bytes(Path(OTHER).read_bytes())
    for path in Path("results/runs").rglob("*.parquet"):
        forget_code(path)
    said = list(upkeep.adopt(asked()))
    assert sum(int(line.split()[1]) for line in said) == 7
    assert [line.split(":")[0] for line in lines()] == [RUN]


def test_versions_that_an_upgrade_left_behind(here):
    assert list(upkeep.versions(asked())) == []
    known = parquet.provenance(RUN)["versions"]
    parquet.restamp(RUN, versions=known | {"torch": "1.0"})
    (line,) = upkeep.versions(asked())
    assert line.startswith(f"{RUN}: torch 1.0, now ")


def test_only_what_nobody_asks_for_is_removed(here):
    folder = Path("results/runs/functions/sphere/n2")
    gone = [
        folder / "frog_k99.parquet",
        Path("results/runs/fc/fc_w9/mnist5k/bp/seed0.parquet"),
        folder / f".frog_k99.{OLD}.journal",
        folder / f".bp.{OLD}.checkpoint",  # of a run that has ended
    ]
    kept = [folder / "notes.txt", folder / ".bp.lease", folder / ".bp.parquet.part"]
    job = asked().runs.jobs["fc"]["fc_w256/mnist5k/bp/seed0"]
    training = Path("results/runs/fc/fc_w256/mnist5k/bp/seed0.parquet")
    code = str(asked().asked("fc", "fc_w256/mnist5k/bp/seed0").code[0])
    key = identity.digest(identity.description(job.options, code, "cpu"))
    kept.append(files.beside(training, key, "checkpoint"))  # of a run that is to go on
    gone.append(files.beside(training, OLD, "checkpoint"))
    kept.append(folder / "mine.parquet")  # no result of ours
    kept.append(folder / ".mine.finished")
    results = [*gone[:2], files.finished(gone[0]), files.finished(folder / "bp.parquet")]
    gone.append(results[2])
    kept.append(results[3])  # not summarised yet
    for path in (*gone, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(OTHER).read_bytes() if path in results else b"x")
    assert upkeep.unasked([asked()]) == sorted(gone)


def test_what_one_of_several_configurations_asks_for_is_kept(here):
    extra = Path("results/runs/functions/plane/n1/bp.parquet")
    extra.parent.mkdir(parents=True)
    extra.write_bytes(Path(OTHER).read_bytes())
    assert upkeep.unasked([asked(), Status(runs_of(ROOT), ROOT / "workflow/scripts")]) == [extra]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    own = ["--workflow", str(ROOT), "--configfile", str(TINY)]
    line = [FGRAD, *arguments, *own]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_commands(here):
    parquet.restamp(RUN, code=OLD)
    assert f"{RUN}: made by other code ({OLD}" in command("stale").stdout
    done = command("stale", "--accept-code", "none")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert command("stale", "--accept-code", OLD).stdout == f"{RUN}: accepted\n"
    extra = Path("results/runs/functions/plane/n1/bp.parquet")
    extra.parent.mkdir(parents=True)
    extra.write_bytes(Path(OTHER).read_bytes())
    assert command("prune").stdout == f"{extra}\n"  # nobody is there to say yes
    assert extra.exists()
    assert "1 files removed" in command("prune", "--yes").stdout
    assert not extra.exists()
    assert "nothing to take over" in command("adopt").stdout
    with lease.held(lease.WORKFLOW, "this folder"):
        for verb in ("adopt", "prune"):
            assert "this folder: another process is at work on it" in command(verb).stderr


@pytest.mark.parametrize("held", [lease.WORKFLOW, Path("results/runs/functions/.a.lease")], ids=str)
@pytest.mark.parametrize("verb", ["stale --accept-code 0", "adopt", "prune --yes"])
def test_beside_a_run_at_work_nothing_is_changed(here, verb, held):
    """Nor beside a job whose workflow was killed."""
    extra = here / "results/runs/functions/unasked.parquet"
    extra.write_bytes(next(here.rglob("*.parquet")).read_bytes())
    before = {path: path.read_bytes() for path in here.rglob("*.parquet")}
    command = [FGRAD, *verb.split(), "--workflow", str(ROOT), "--configfile", str(TINY)]
    with lease.held(held, "held"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fgrad: this folder: ")
    assert f"process {os.getpid()} on " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in here.rglob("*.parquet")} == before


@pytest.mark.parametrize("verb", ["stale", "adopt", "prune"])
def test_where_there_is_nothing(tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    done = command(verb)
    assert done.returncode == 1
    assert done.stderr.startswith("fgrad: ")
    assert done.stderr.endswith(": no results here\n")


def test_a_configuration_that_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overlay.yaml").write_text("quality: [")
    line = [FGRAD, "stale", "--workflow", str(ROOT)]
    line += ["--configfile", "overlay.yaml"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "overlay.yaml: no YAML: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
