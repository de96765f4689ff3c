"""The ways to a stale file: each is scheduled again, or refused in one line; never drawn."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project, found

from fgrad.store import files, parquet

pytestmark = pytest.mark.workflow

RATE = "rosenbrock,2,frog,2,0.0019253"
RUN = "functions/rosenbrock/n2/frog_k2"
OTHER = "functions/sphere/n2/frog_k2"
SUMMARY = "results/summary/functions.parquet"
SUMMARIES = (SUMMARY, "results/summary/function_seeds.parquet", "results/summary/curves.parquet")


def another_rate(project: Project) -> None:
    project.edit("config/learning_rates/functions.csv", RATE, RATE.replace("0.0019253", "0.002"))


def records_deleted(project: Project) -> tuple[str, ...]:
    shutil.rmtree(project.work / ".snakemake")
    another_rate(project)
    return ()


def touched(project: Project) -> tuple[str, ...]:
    another_rate(project)
    project.run(options=("--touch",))
    return ()


def copied_over(project: Project) -> tuple[str, ...]:
    shutil.copy2(result(project, OTHER), result(project, RUN))
    return ()


def copied_over_and_older(project: Project) -> tuple[str, ...]:
    copied_over(project)
    os.utime(result(project, RUN), (0, 0))
    return ()


def copied_over_and_of_the_future(project: Project) -> tuple[str, ...]:
    copied_over(project)
    os.utime(result(project, RUN), (2**32, 2**32))
    return ()


def of_another_branch(project: Project) -> tuple[str, ...]:
    """The right options, made with a formula that is no more."""
    parquet.restamp(result(project, RUN), code="0123456789abcdef")
    return ()


def damaged(project: Project) -> tuple[str, ...]:
    path = result(project, RUN)
    path.write_bytes(path.read_bytes()[:100])
    return ()


def foreign(project: Project) -> tuple[str, ...]:
    shutil.copy2(project.work / "results/summary/functions.parquet", result(project, RUN))
    return ()


def foreign_triggers(project: Project) -> tuple[str, ...]:
    another_rate(project)
    return ("--rerun-triggers", "mtime")


def without_params(project: Project) -> tuple[str, ...]:
    shutil.rmtree(project.work / ".snakemake")
    copied_over(project)
    return ("--rerun-triggers", "mtime")


def edited_while_queued(project: Project) -> tuple[str, ...]:
    """A job that was submitted with one rate ends when the table says another."""
    another_rate(project)
    project.run(f"results/runs/{RUN}.parquet")
    project.edit("config/learning_rates/functions.csv", RATE.replace("0.0019253", "0.002"), RATE)
    return ()


def deleted(project: Project) -> tuple[str, ...]:
    """Missing below summaries that are there: also what a failed or a killed job leaves."""
    another_rate(project)
    result(project, RUN).unlink()
    return ()


def failed(project: Project) -> tuple[str, ...]:
    another_rate(project)
    in_the_way = files.finished(result(project, RUN))
    in_the_way.mkdir()
    assert "a folder, where a file is to be written" in project.run(ok=False)
    in_the_way.rmdir()
    assert not result(project, RUN).exists()
    return ()


def restored(project: Project) -> tuple[str, ...]:
    """A file of the options asked for, older than the summary that was made of another."""
    kept = result(project, RUN).read_bytes()
    when = result(project, RUN).stat().st_mtime
    another_rate(project)
    project.run(*SUMMARIES)
    project.edit("config/learning_rates/functions.csv", RATE.replace("0.0019253", "0.002"), RATE)
    result(project, RUN).write_bytes(kept)
    os.utime(result(project, RUN), (when, when))
    return ()


def result(project: Project, name: str) -> Path:
    return project.work / f"results/runs/{name}.parquet"


WAYS: list[Callable[[Project], tuple[str, ...]]] = [
    touched, copied_over, edited_while_queued,
]  # fmt: skip
MORE: list[Callable[[Project], tuple[str, ...]]] = [
    deleted, foreign, records_deleted, copied_over_and_older, copied_over_and_of_the_future, of_another_branch,
    damaged, foreign_triggers, without_params, failed,
]  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [*WAYS, *(pytest.param(way, marks=pytest.mark.slow) for way in MORE)],
    ids=lambda way: way.__name__,
)
def test_a_stale_run_is_scheduled_and_no_other(way, project):
    options = way(project)
    output = project.run(options=(*options, "--dry-run"))
    assert re.findall(r"gradient descent, (\S+)", output) == [RUN]
    assert not re.search(r"(training|quality of gradient estimates), ", output)
    project.run(SUMMARY, options=options)
    assert project.planned(SUMMARY) == {}


def fewer(project: Project) -> None:
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(
        text.replace("fg-mean: {k: [1, 2]}", "fg-mean: {k: [1]}")
    )


@pytest.mark.parametrize("lost", ["touched", pytest.param("deleted", marks=pytest.mark.slow)])
def test_a_summary_knows_which_runs_it_is_of(project, lost):
    """Fewer runs, whose list Snakemake has forgotten or taken for the old one."""
    fewer(project)
    if lost == "touched":
        project.run(options=("--touch",))
    else:
        shutil.rmtree(project.work / ".snakemake")
    project.run(SUMMARY)
    assert project.planned(SUMMARY) == {}
    frame = parquet.read(project.work / SUMMARY)
    assert not ((frame["gradient"] == "fg-mean") & (frame["k"] == 2)).any()


@pytest.mark.slow
def test_a_summary_knows_the_rate_it_is_of(project):
    restored(project)
    planned = project.planned()
    assert "descend_function" not in planned
    assert planned["summarize"] == 3
    project.run(*SUMMARIES)
    assert project.planned(*SUMMARIES) == {}
    frame = parquet.read(project.work / SUMMARY)
    assert 0.0019253 in frame["lr"].tolist()


@pytest.mark.parametrize("way", [copied_over, of_another_branch, damaged, foreign])
def test_what_a_summary_finds_stale_it_refuses(way, project):
    """If Snakemake is told to make nothing else."""
    way(project)
    summary = project.work / SUMMARY
    before = summary.read_bytes()
    only = ("--force", "--allowed-rules", "summarize")
    output = project.run(SUMMARY, options=only, ok=False)
    lines = [line for line in output.splitlines() if f"{RUN}.parquet: " in line]
    assert len(lines) == 1, output
    assert "Traceback" not in output
    assert not summary.exists() or summary.read_bytes() == before


def test_a_data_set_is_prepared_for_runs_that_must_run(project):
    shutil.rmtree(project.work / "results/data")
    assert project.planned() == {}
    rate = "sota,resnet18,,mnist,frog,2,0.508263"
    project.edit("config/learning_rates/networks.csv", rate, rate.replace("0.508263", "0.5"))
    planned = project.planned()
    assert (planned["prepare_data"], planned["train_network"]) == (1, 1)


def test_a_touched_data_set_retrains_nothing(project):
    for path in (project.work / "results/data").iterdir():
        path.touch()
    assert project.planned() == {}


@pytest.mark.slow
def test_moved_data_and_a_rate_at_once(project):
    project.edit("tests/tiny.yaml", "networks:\n", "networks:\n  data_dir: elsewhere\n")
    another_rate(project)
    assert project.planned()["descend_function"] == 1
    project.run(*SUMMARIES)
    assert project.planned(*SUMMARIES) == {}


@pytest.mark.slow
def test_a_run_waits_for_the_rate_of_its_search(searched_project):
    """A run with another rate than its search found is stale, whatever its age."""
    project = searched_project
    run, search = "functions/sphere/n2/bp", "search_functions/sphere/n2/bp"
    known = parquet.provenance(result(project, run))["run"]
    assert known["lr"] == found(result(project, search))
    parquet.restamp(result(project, run), run=known | {"lr": known["lr"] / 2})
    output = project.run(options=("--dry-run",))
    assert re.findall(r"gradient descent, (\S+)", output) == [run]
    result(project, search).unlink()
    output = project.run(options=("--dry-run",))
    assert re.findall(r"search for a learning rate, (\S+)", output) == [search]
    assert re.findall(r"gradient descent, (\S+)", output) == [run]


def test_forced_jobs_have_what_they_read(project):
    """Of runs that need not run nothing is an input; what is forced has its data all the same."""
    target = "results/runs/fc/fc_w256/mnist5k/bp/seed0.parquet"
    shutil.rmtree(project.work / "results/data")
    project.run(target, options=("--forcerun", "train_network"))
    planned = project.planned()  # what shows it, and no other run
    assert not {"train_network", "prepare_data", "descend_function"} & set(planned)


def test_accepted_results_are_marked_wherever_they_are_shown(project):
    old = "0123456789abcdef"
    parquet.restamp(result(project, RUN), code=old)
    place = ["--workflow", str(project.home), "--directory", str(project.work)]
    place += ["--configfile", str(project.home / "tests/tiny.yaml")]
    fgrad = [sys.executable, "-c", "from fgrad.cli import main; main()", "stale", *place]
    subprocess.run([*fgrad, "--accept-code", old], env=project.environment(), check=True)
    words = f"1 of 8 runs were made by older code ({old})"
    paper = project.work / "results/paper"
    files = ("tables/stops.md", "tables/stops.tex", "claims/functions.md", "claims.md")
    shown = [f"results/paper/{file}" for file in files]
    project.run(*shown)
    assert project.planned(*shown) == {}
    for file in files:
        assert words in (paper / file).read_text()
    assert words not in (paper / "claims/quality.md").read_text()
    parquet.restamp(result(project, RUN), accepted={"code": old})
    assert project.planned()["descend_function"] == 1
