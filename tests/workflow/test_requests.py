"""What jobs ask of a cluster, and how often it is asked; no Slurm is needed."""

import json
import os
import re
from itertools import pairwise, product
from math import ceil

import pytest
import yaml
from projects import ROOT, Project
from snakemake.cli import parse_args

from fgrad.problems.datasets import FORMAT

pytestmark = pytest.mark.workflow

DAY = 1440
ATTEMPTS = 4

# at the end of the Snakefile: what every job asks for at each attempt, and which rules wait for which
ASKED = """

onstart:
    import json

    jobs = list(workflow.dag.jobs)
    asked = []
    for job in jobs:
        for job.attempt in range(1, 5):
            own = {name: value for name, value in job.resources.items() if name != "_nodes"}
            asked.append([job.rule.name, job.attempt, own])
    waits = {(job.rule.name, one.rule.name) for job in jobs for one in workflow.dag.dependencies[job]}
    Path("asked.json").write_text(json.dumps([asked, sorted(waits)]))
    raise WorkflowError("asked for")
"""


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> tuple[list, set]:
    """Of everything at the paper's scale, with learning rates that are searched for."""
    project = Project(tmp_path_factory.mktemp("asked"))
    return ask(project, "all", "lr_search", options=("--config", "learning_rates=searched"))


def ask(project: Project, *targets: str, options: tuple[str, ...] = ()) -> tuple[list, set]:
    snakefile = project.home / "Snakefile"
    snakefile.write_text(snakefile.read_text() + ASKED)
    (project.home / "tests/tiny.yaml").write_text("{}")
    assert "asked for" in project.run(*targets, options=options, ok=False)
    requests, waits = json.loads((project.work / "asked.json").read_text())
    return requests, {tuple(pair) for pair in waits}


def test_no_job_asks_for_more_than_a_day(asked):
    requests, _ = asked
    assert len(requests) > 4 * 1200
    assert {own["runtime"] <= DAY for rule, _, own in requests if "runtime" in own} == {True}
    assert max(own["mem_mb"] for _, _, own in requests if "mem_mb" in own) < 64_000


def test_later_attempts_ask_for_more(asked):
    requests, _ = asked
    for at in range(0, len(requests), ATTEMPTS):
        attempts = [own for _, _, own in requests[at : at + ATTEMPTS]]
        if "runtime" in attempts[0]:  # targets ask for nothing
            for one, more in pairwise(attempts):
                assert one["mem_mb"] < more["mem_mb"]
                assert one["runtime"] < more["runtime"] or more["runtime"] == DAY


def test_a_gpu_is_asked_for_where_it_is_wanted_and_not_named_elsewhere(asked, tmp_path):
    requests, _ = asked
    with_gpu = {"train_network", "search_network"}
    assert {rule for rule, _, own in requests if own.get("gpu") == 1} == with_gpu
    assert not any("gpu" in own for rule, _, own in requests if rule not in with_gpu)
    project = Project(tmp_path)
    for section in ("fc", "sota"):
        models = {"fc": "[fc]", "sota": "[resnet18, vit]"}[section]
        project.edit("config/config.yaml", f"    models: {models}\n", f"    models: {models}\n    device: cpu\n")  # fmt: skip
    requests, _ = ask(project, "all", "lr_search")
    assert with_gpu < {rule for rule, _, _ in requests}
    assert not any("gpu" in own for _, _, own in requests)


def test_no_rule_of_a_group_waits_for_another(asked):
    requests, waits = asked
    after = {rule: {first for one, first in waits if one == rule} for rule, _, _ in requests}
    for rule, among in product(after, after):  # Warshall's closure
        if rule in after[among]:
            after[among] |= after[rule]
    groups = profile("slurm")["groups"]
    assert groups.keys() <= after.keys()
    for one, other in product(groups, groups):
        if groups[one] == groups[other]:
            assert other not in after[one]
    # the searches and the runs that take their rates from them do wait
    assert "search_function" in after["descend_function"]


def test_a_group_asks_for_no_more_than_a_day(asked):
    requests, _ = asked
    options = profile("slurm")
    sizes = {rule: options["group-components"][group] for rule, group in options["groups"].items()}
    for rule, attempt, own in requests:
        if rule in sizes:
            assert own["row"] == 1
            assert sizes[rule] * own["runtime"] <= DAY, (rule, attempt)
        else:
            assert "row" not in own


def test_profiles_join_the_default(monkeypatch):
    monkeypatch.chdir(ROOT)
    default = profile("default")
    _, alone = parse_args(["fc"])
    for name in ("slurm", "gpu"):
        assert default.items() <= profile(name).items()  # as a --workflow-profile it is alone
        _, joined = parse_args(["--profile", f"profiles/{name}", "fc"])
        for key in default:
            option = {"scheduler-subsample": "scheduler_subsample"}.get(key, key.replace("-", "_"))
            assert getattr(joined, option) == getattr(alone, option), key
    assert joined.resources["gpu"].value == 2


STUBS = {
    # one file for each submission; its number is an id
    "sbatch": 'printf "%s\\n" "$@" > "$SUBMITTED/$$" && echo $$',
    "squeue": 'for job in "$SUBMITTED"/*; do echo "$(basename "$job")|FAILED"; done',
    "scontrol": 'echo "MinJobAge = 300 sec"',
    "sinfo": "echo PARTITION main*",
    "sacct": "exit 1",
    "sacctmgr": "echo my_project",
}


def submissions(project: Project, *targets: str, monkeypatch) -> list[dict[str, str]]:
    """Options of every call of sbatch while all jobs fail as soon as they are submitted."""
    home = project.work.parent
    (home / "submitted").mkdir()
    (home / "bin").mkdir()
    for name, body in STUBS.items():
        stub = home / "bin" / name
        stub.write_text(f"#!/bin/sh\n{body}\n")
        stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(home / "submitted"))
    options = (
        "--profile", str(project.home / "profiles/slurm"), "--retries", "0",
        "--slurm-init-seconds-before-status-checks", "1",
    )  # fmt: skip
    project.run(*targets, options=options, ok=False)
    calls = []
    for file in (home / "submitted").iterdir():
        words = file.read_text().splitlines()
        named = ("-t", "--mem", "-p", "-A", "-C", "--comment")
        call = {word: value for word, value in pairwise(words) if word in named}
        call |= dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        calls.append(call)
    return calls


@pytest.mark.parametrize(
    ("target", "rule", "rows", "memory", "time"),
    [
        ("functions", "descend_function", 264, 2000, 5),
        pytest.param("quality", "measure_quality", 1000, 4000, 10, marks=pytest.mark.slow),
    ],
)
def test_rows_are_submitted_by_the_dozen(tmp_path, monkeypatch, target, rule, rows, memory, time):
    project = Project(tmp_path)
    overlay = {}
    if rows == 1000:  # one for each n, and the exact ones together
        direct = [{"n": list(range(1, 1000)), "samples": 1}]
        overlay = {"quality": {"k": [1], "direct": direct}}
    (project.home / "tests/tiny.yaml").write_text(yaml.safe_dump(overlay))
    assert project.planned(target)[rule] == rows
    calls = submissions(project, target, monkeypatch=monkeypatch)
    options = profile("slurm")
    size = options["group-components"][options["groups"][rule]]
    assert len(calls) == ceil(rows / size) <= rows // 28
    for call in calls:
        assert int(call["-t"]) <= size * time <= DAY
        assert int(call["--mem"]) <= memory
        assert call["--cpus-per-task"] == "1"


def test_what_a_site_sets(tmp_path, monkeypatch):
    """The block at the top of the profile, as it stands there, reaches sbatch."""
    project = Project(tmp_path)
    file = project.home / "profiles/slurm/config.yaml"
    before, block, after = re.split(r"^# --+.*\n", file.read_text(), flags=re.M)
    block = re.sub(r"^# (?!#)", "", block, flags=re.M)
    file.write_text(f"{before}{block}{after}")
    data = project.work / f"results/data/mnist5k-{FORMAT}.pt"
    data.parent.mkdir(parents=True)
    data.touch()
    seed = "results/runs/fc/fc_w256/mnist5k/bp/seed0.parquet"
    row = "results/runs/functions/sphere/n2/bp.parquet"
    calls = submissions(project, seed, row, monkeypatch=monkeypatch)
    training, descent = sorted(calls, key=lambda call: "train" not in call["--comment"])
    for call in calls:
        assert call["-A"] == "my_project"
        assert call["--qos"] == "normal"
        assert call["-C"] == "skylake"
        assert (call["--mail-type"], call["--mail-user"]) == ("FAIL", "me@example.org")
        assert call["--wrap"].startswith("module load Python/3.12 && ")
    assert (training["-p"], training["--gpus"]) == ("gpu", "a100:1")
    assert descent["-p"] == "cpu"
    assert "--gpus" not in descent
