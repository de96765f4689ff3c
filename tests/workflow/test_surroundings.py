"""Where the workflow is, what is set around it, and what else is at work: no result depends on it."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
from projects import Project, values

from fgrad.paper import contents
from fgrad.store import lease

pytestmark = pytest.mark.workflow

RUN = "results/runs/functions/sphere/n2/bp.parquet"
FIGURE = "results/paper/figures/final_values"
TABLE = "results/paper/tables/final_values"

SURROUNDINGS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "3",
    "TZ": "Asia/Tokyo", "COLUMNS": "3", "NO_COLOR": "1", "TMPDIR": "/nowhere",
    "OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "5", "OPENBLAS_NUM_THREADS": "3",
    "MPLCONFIGDIR": "/proc/nowhere",
}  # fmt: skip


@pytest.mark.parametrize("umask", [0o077, pytest.param(0o000, marks=pytest.mark.slow)])
def test_results_are_the_same_whatever_is_set(umask, finished, tmp_path):
    """With modules of the user's own, called like others, in the folder it is started from."""
    fresh = finished.copy(tmp_path, results=False)
    for name in ("config", "random", "fgrad", "yaml", "torch"):
        (fresh.work / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    (fresh.work / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: black\n")
    targets = [RUN, f"{FIGURE}.png", f"{TABLE}.csv"]
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    done = subprocess.run(
        [snakemake, *fresh.command(*targets)[3:]],
        cwd=fresh.work, env=fresh.environment() | SURROUNDINGS, umask=umask,
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (f"{FIGURE}.pdf", f"{FIGURE}.png", f"{TABLE}.md", f"{TABLE}.tex", f"{TABLE}.csv"):
        assert (fresh.work / path).read_bytes() == (finished.work / path).read_bytes(), path
    for name, path in fresh.runs().items():
        expected = values(finished.runs()[name])
        pd.testing.assert_frame_equal(values(path), expected, check_exact=True)
    mode = (fresh.work / RUN).stat().st_mode & 0o777
    assert mode == 0o666 & ~umask


def environment(folder: Path) -> str:
    """The path of Python in a small environment, that sees what is installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_paths()["purelib"])
    return str(folder / "bin/python")


@pytest.mark.parametrize(
    ("home", "work"),
    [
        ("with space", "w"),
        ("plain", "[a] 'working' $folder; no: `more`"),
        ("[c]he{ck}out $& 'o\"f\\ so#me%20one (ünï✓)", "with space"),
    ],
)
def test_a_checkout_and_a_working_folder_of_any_name(home, work, tmp_path):
    project = Project(tmp_path / home)
    project.work = tmp_path / work
    project.work.mkdir()
    python = environment(project.home / ".venv")
    command = project.command(RUN, "results/paper/figures/projection.png")
    done = subprocess.run(
        [python, *command[1:]],
        env=project.environment(), capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(values(project.work / RUN)) > 0
    assert (project.work / "results/paper/figures/projection.pdf").exists()


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in (folder / "results").rglob("*") if path.is_file()]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in found if p.suffix != ".lease"}


WHILE_AT_WORK = [
    "--delete-all-output",
    "--delete-temp-output",
    "--touch --forceall",
    f"--cleanup-metadata {RUN}",
    "--forceall",
]


@pytest.mark.parametrize("option", WHILE_AT_WORK)
def test_beside_a_run_at_work_nothing_is_changed(option, project):
    before = files_of(project.work)
    with lease.held(project.work / lease.WORKFLOW, "held"):
        output = project.run("functions", options=tuple(option.split()), ok=False)
    assert f"this folder: another process is at work on it: process {os.getpid()} on" in output
    assert "Traceback" not in output
    assert files_of(project.work) == before


@pytest.mark.parametrize("option", ["--delete-all-output", f"--cleanup-metadata {RUN}"])
def test_beside_a_job_whose_workflow_was_killed_nothing_is_changed(option, project):
    before = files_of(project.work)
    with lease.held(lease.lease_of(project.work / RUN), "held"):
        output = project.run("functions", options=tuple(option.split()), ok=False)
    assert "1 job of an earlier start still at work" in output
    assert files_of(project.work) == before


def test_alone_everything_can_be_deleted(project):
    project.run("functions", options=("--delete-all-output", "--dry-run"))
    assert (project.work / RUN).exists()
    project.run("functions", options=("--delete-all-output",))
    assert not (project.work / RUN).exists()
    assert not list((project.work / ".snakemake").glob("*.lease"))


def test_a_report_of_what_is_there(project):
    """As after `snakemake functions`: other sections are named as missing."""
    own = contents.SECTIONS["functions"]
    kept = {one.name for one in own.figures} | {one.name for one in own.tables} | {own.name}
    for path in (project.work / "results/paper").rglob("*.*"):
        if path.stem not in kept:
            path.unlink()
    report = project.work / "report.html"
    output = project.run(options=("--report", str(report)))
    (line,) = [line for line in output.splitlines() if line.startswith("fgrad: ")]
    assert line.startswith("fgrad: not there yet and left out: results/paper/claims/angles.html, ")
    assert re.search(r" and \d+ more$", line)
    assert "figures/final_values" not in line
    text = report.read_text()
    assert "final values" in text
    assert "found rates" not in text
    report.unlink()
    seeds = ("--config", 'functions={"seeds": [0, 7]}')
    output = project.run(options=("--report", str(report), *seeds), ok=False)
    assert "of these targets is there yet, and of what is asked for" in output
    output = project.run("quality", options=("--report", str(report)), ok=False)
    assert "nothing to report on: no figure, table or claim of these targets is there" in output
    assert not report.exists()
