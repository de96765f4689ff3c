"""The workflow, run for real on the smallest configuration: what runs, what reruns, what survives."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from fgrad.paper import contents
from fgrad.store import parquet

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "src", "tests/tiny.yaml")

pytestmark = pytest.mark.workflow


class Project:
    """A copy of the project and a folder it runs in, so that both can be changed."""

    def __init__(self, home: Path) -> None:
        self.home, self.work = home / "project", home / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source, target = ROOT / part, self.home / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(
                    source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
                )
            else:
                shutil.copy2(source, target)

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
        snakemake += ["--snakefile", str(self.home / "Snakefile"), "--directory", str(self.work)]
        return [*snakemake, "--configfile", str(self.home / "tests/tiny.yaml"), "--", *arguments]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.home / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(
        self, *arguments: str, options: tuple[str, ...] = (), cores: int = 2, ok: bool = True
    ) -> str:
        command = self.command(*arguments, cores=cores)
        where = command.index("--")
        command[where:where] = options
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=600,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, output
        return output

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of a dry run by rule."""
        output = self.run(*arguments, options=("--dry-run",))
        table = re.search(r"Job stats:\n.*?\n-.*?\n(.*?)\n\n", output, re.S)
        if table is None:
            assert "Nothing to be done" in output
            return {}
        jobs = dict(re.findall(r"^(\S+) +(\d+)$", table[1], re.M))
        return {rule: int(count) for rule, count in jobs.items() if rule not in ("total", "all")}

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.home / file).read_text()
        assert text.count(old) == 1, (file, old)
        (self.home / file).write_text(text.replace(old, new))

    def search(self) -> None:
        """Let the learning rates be searched for."""
        self.edit("config/config.yaml", "learning_rates: published\n", "learning_rates: searched\n")

    def runs(self) -> dict[str, Path]:
        folder = self.work / "results/runs"
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A finished run; tests that change it copy it first."""
    project = Project(tmp_path_factory.mktemp("finished"))
    project.run()
    return project


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Project:
    """A finished run that searched for its learning rates: from search to figures in one go."""
    project = Project(tmp_path_factory.mktemp("searched"))
    project.search()
    project.run()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Iterator[Project]:
    """A finished run that may be changed."""
    yield from changeable(finished, tmp_path)


@pytest.fixture
def searched_project(searched, tmp_path) -> Iterator[Project]:
    """A finished run with searched rates that may be changed."""
    yield from changeable(searched, tmp_path)


def changeable(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of a run, of the same age, in its very place."""
    shutil.copytree(
        finished.home.parent, tmp_path / "copy", symlinks=True, copy_function=shutil.copy2
    )
    # scripts are compared by path and time, so the copy must stand where the original stood
    aside = finished.home.parent.with_name("aside")
    finished.home.parent.rename(aside)
    (tmp_path / "copy").rename(finished.home.parent)
    yield finished
    shutil.rmtree(finished.home.parent)
    aside.rename(finished.home.parent)


FIGURES = {one.name for section in contents.PAPER for one in section.figures}
TABLES = {one.name for section in contents.PAPER for one in section.tables}


def test_everything_is_there(finished):
    paper = finished.work / "results/paper"
    assert {p.name for p in (paper / "figures").iterdir()} == {
        f"{n}.{t}" for n in FIGURES for t in ("pdf", "png")
    }
    assert {p.name for p in (paper / "tables").iterdir()} == {
        f"{n}.{t}" for n in TABLES for t in ("csv", "md", "tex")
    }
    assert {p.name for p in paper.iterdir() if p.is_file()} == {"claims.md", "claims.json"}
    for path in paper.rglob("*.*"):
        assert path.stat().st_size > 50
    runs = finished.runs()
    assert len(runs) == 2 + 1 + 2 + 8 + 3 + 4 + 4
    for name in runs:
        for kind, ending in (("logs", "log"), ("benchmarks", "tsv")):
            assert (finished.work / "results" / kind / name).with_suffix(f".{ending}").exists()


def test_only_the_working_directory_is_written(finished):
    own = {str(p.relative_to(finished.home)) for p in finished.home.rglob("*") if p.is_file()}
    expected = set()
    for part in PARTS:
        files = [ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*")
        expected |= {str(p.relative_to(ROOT)) for p in files if p.is_file()}
    assert {p for p in own if "__pycache__" not in p} <= expected
    assert {p.name for p in finished.work.iterdir()} == {"results", ".snakemake"}


def test_nothing_to_do(finished):
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("quality", {"measure_quality": 3, "summarize": 2, "figure_quality": 1}),
        ("functions", {"optimize_function": 8, "summarize": 2, "figure_descent_curves": 1}),
        ("angles", {"measure_quality": 2, "optimize_function": 3, "summarize": 3}),
        ("fc", {"prepare_data": 1, "train_network": 4, "summarize": 2, "figure_fc_training": 1}),
        ("sota", {"train_network": 8, "summarize": 3, "figure_epoch_time": 1}),
        ("figures", {"measure_quality": 5, "optimize_function": 11, "figure_projection": 1}),
        ("claims", {"measure_quality": 5, "optimize_function": 11, "judge_claims": 5}),
        (
            "lr_search_functions",
            {
                "search_function": 8,
                "optimize_function": 16,
                "collect_searches": 1,
                "figure_found_rates": 1,
            },
        ),
        (
            "lr_search_angles",
            {"search_function": 3, "optimize_function": 6, "figure_search_angles": 1},
        ),
        ("lr_search_fc", {"search_network": 4, "train_network": 40, "table_search_fc": 1}),
        (
            "lr_search",
            {"search_function": 11, "search_network": 8, "collect_searches": 5, "judge_claims": 4},
        ),
    ],
)
def test_targets(tmp_path, target, jobs):
    planned = Project(tmp_path).planned(target)
    assert planned | jobs == planned


def test_a_learning_rate(project):
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    project.edit("config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002"))
    assert project.planned() == {
        "optimize_function": 1, "summarize": 2, "figure_final_values": 1, "figure_descent_curves": 1,
        "table_learning_rates": 1, "table_final_values": 1, "table_stops": 1, "judge_claims": 1, "collect_claims": 1,
    }  # fmt: skip
    messages = re.findall(r"gradient descent, (\S+)", project.run(options=("--dry-run",)))
    assert messages == ["functions/rosenbrock/n2/frog_k2"]


def test_a_row_inserted_elsewhere(project):
    project.edit("config/learning_rates/functions.csv", "k,lr\n", "k,lr\nplane,1,bp,,0.1\n")
    assert project.planned() == {}


def test_a_learning_rate_of_a_network(project):
    rate = "sota,resnet18,,mnist,frog,2,0.508263\n"
    project.edit("config/learning_rates/networks.csv", rate, rate.replace("0.508263", "0.5"))
    assert project.planned() == {
        "train_network": 1, "summarize": 2, "figure_sota_training": 1, "figure_sota_tangents": 1,
        "figure_epoch_time": 1, "table_sota_learning_rates": 1, "table_sota_accuracy": 1,
        "judge_claims": 1, "collect_claims": 1,
    }  # fmt: skip


def test_an_added_seed_trains_that_seed(project):
    seeds = "seeds: [0]\n    epochs: 1\n    reduce: 32\n    search: {evaluations: 3"
    project.edit("tests/tiny.yaml", seeds, seeds.replace("[0]", "[0, 1]"))
    assert project.planned()["train_network"] == 4
    messages = re.findall(r"4\.5: training, (\S+)", project.run(options=("--dry-run",)))
    assert messages
    assert all(name.endswith("seed1") for name in messages)


def test_a_data_set_prepared_anew_is_the_same_one(project):
    text = (project.home / "tests/tiny.yaml").read_text()
    moved = text.replace("networks:\n", "networks:\n  data_dir: elsewhere\n")
    (project.home / "tests/tiny.yaml").write_text(moved)
    assert project.planned() == {"prepare_data": 1}


def test_a_comment(project):
    text = (project.home / "src/fgrad/descent.py").read_text()
    (project.home / "src/fgrad/descent.py").write_text(text + "\n# a comment\n")
    assert project.planned() == {}


def test_a_formula(project):
    project.edit("src/fgrad/descent.py", "g, lr, value=-1", "g, lr, value=-2")
    planned = project.planned()
    assert planned["optimize_function"] == 11
    assert "measure_quality" not in planned
    assert "figure_quality" not in planned
    assert planned["figure_final_values"] == 1


def test_code_both_sections_share(project):
    project.edit(
        "src/fgrad/estimators.py", "return torch.zeros_like(value) if", "return 0 * value if"
    )
    planned = project.planned()
    assert (planned["optimize_function"], planned["measure_quality"]) == (11, 5)
    assert planned["train_network"] == 8


def test_a_restyled_figure(project):
    project.edit("src/fgrad/paper/figures/aggregations.py", '"alpha": 0.2', '"alpha": 0.3')
    assert project.planned() == {"figure_aggregations": 1}


def test_a_reworded_caption(project):
    """A figure's is in the report alone, a table's also in its LaTeX."""
    captions = "src/fgrad/paper/contents/functions.py"
    project.edit(captions, "Gradient descent of section 4.2", "Descent of section 4.2")
    assert project.planned() == {}
    project.edit(captions, "Best value and steps", "Lowest value and steps")
    assert project.planned() == {"table_stops": 1}


def test_touched_files_are_the_same_files(project):
    for path in (project.home / "config").rglob("*"):
        path.touch()
    for path in (project.home / "src").rglob("*.py"):
        path.touch()
    assert project.planned() == {}


def test_an_added_seed_changes_no_bit(project):
    before = {name: parquet.read(path) for name, path in project.runs().items()}
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert project.planned()["optimize_function"] == 11
    project.run("results/summary/functions.parquet")
    for name, frame in before.items():
        if name.startswith("functions/"):
            after = parquet.read(project.runs()[name])
            assert set(after["seed"]) == {0, 1, 2}
            kept = after[after["seed"] < 2].reset_index(drop=True)
            pd.testing.assert_frame_equal(kept, frame, check_exact=True)


def values(path: Path) -> pd.DataFrame:
    """A result without the time it took."""
    return parquet.read(path).drop(columns=["train_seconds", "eval_seconds"], errors="ignore")


def test_one_core_or_two(finished, tmp_path):
    alone = Project(tmp_path)
    targets = [str(path.relative_to(finished.work)) for path in finished.runs().values()]
    alone.run(*targets, cores=1)
    assert finished.runs().keys() == alone.runs().keys()
    for name, path in finished.runs().items():
        pd.testing.assert_frame_equal(values(alone.runs()[name]), values(path), check_exact=True)


def test_killed_and_started_again(tmp_path):
    project = Project(tmp_path)
    target = "results/summary/functions.parquet"
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(project.runs()) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    log = next((project.work / ".snakemake/log").glob("*.log")).read_text()
    finished_jobs = re.findall(r"Finished jobid: \d+ \(Rule: optimize_function\)", log)
    done = {name: path.stat().st_mtime_ns for name, path in project.runs().items()}
    assert 2 <= len(done) < 8
    assert finished_jobs
    for path in project.runs().values():
        parquet.read(path)  # whatever is there is whole
    output = project.run(target)
    repeated = [
        name for name, when in done.items() if project.runs()[name].stat().st_mtime_ns != when
    ]
    # a result whose job had not yet been recorded as finished may be made again, no other
    assert len(repeated) <= len(done) - len(finished_jobs)
    assert len(project.runs()) == 8
    assert "steps (100%) done" in output


def test_training_killed_and_started_again(tmp_path):
    project = Project(tmp_path)
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("epochs: 1", "epochs: 40"))
    target = "results/runs/fc/fc_w256/mnist5k/frog_k2/seed0.parquet"
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder, deadline = (project.work / target).parent, time.monotonic() + 120
    while not list(folder.glob(".*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert list(folder.glob(".*.checkpoint"))
    assert not (project.work / target).exists()
    project.run(target)
    log = (project.work / target.replace("runs", "logs")).with_suffix(".log").read_text()
    assert "resumed after epoch" in log
    assert not list(folder.glob(".*"))
    killed = values(project.work / target)
    project.run(target, options=("--force",))
    pd.testing.assert_frame_equal(values(project.work / target), killed, check_exact=True)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("tests/tiny.yaml", "seeds: [0, 1]\n  search: {evaluations: 6, repeats: 2}\nangles", "sedes: [0, 1]\nangles", "config: functions.sedes = [0, 1]: unknown key; see config/README.md"),
        ("tests/tiny.yaml", "quality_k: [4]", "quality_k: [0]", "config: angles.quality_k.0 = 0: Input should be greater than or equal to 1"),
        ("tests/tiny.yaml", "n: [2]", "n: [2, 3]", "functions.csv: no learning rate for function rosenbrock, n 3, gradient frog, k 2"),
        ("config/learning_rates/functions.csv", "sphere,2,bp,,0.331631", "sphere,2,bp,,-0.331631", "functions.csv, row 186: lr = '-0.331631': Input should be greater than 0"),
        ("tests/tiny.yaml", "models: [resnet18]", "models: [resnet19]", "config: networks.sota.models.0 = 'resnet19': unknown model; allowed: fc, lenet5, resnet18, vit, mlpmixer"),
        ("config/learning_rates/angles.csv", "gradient,k,", "gradient,q,", "angles.csv, row 1: 'q' missing, unknown or twice"),
        ("config/config.yaml", "learning_rates: published\n", "learning_rates: found\n", "config: learning_rates = 'found': Input should be 'published' or 'searched'"),
        ("tests/tiny.yaml", "evaluations: 6, repeats: 2}\nangles", "evaluations: 0, repeats: 2}\nangles", "config: functions.search.evaluations = 0: Input should be greater than or equal to 1"),
        ("tests/tiny.yaml", "evaluations: 3, epochs: 1", "range: [1, 0.1], epochs: 1", "config: networks.fc.search.range = [1, 0.1]: the first bound must be below the second"),
        ("tests/tiny.yaml", "evaluations: 2, epochs: 1", "range: [1, 1], epochs: 1", "config: networks.sota.search.range = [1, 1]: the first bound must be below the second"),
    ],
)  # fmt: skip
def test_wrong_input_stops_before_any_job(tmp_path, file, old, new, expected):
    project = Project(tmp_path)
    project.edit(file, old, new)
    output = project.run(ok=False)
    assert expected in output
    assert "Traceback" not in output
    assert not (project.work / "results").exists()


def test_results_that_cannot_be_written(tmp_path):
    project = Project(tmp_path)
    (project.work / "results").write_text("mine")
    output = project.run(ok=False)
    assert "is a file; a folder that can be written is needed" in output
    assert "Traceback" not in output
    assert (project.work / "results").read_text() == "mine"


def test_a_truncated_result_is_named(project):
    path = project.runs()["functions/sphere/n2/bp.parquet"]
    path.write_bytes(path.read_bytes()[:100])
    (project.work / "results/summary/functions.parquet").unlink()
    output = project.run("results/summary/functions.parquet", ok=False)
    assert "bp.parquet: not a whole Parquet file, delete it and run again" in output
    path.unlink()
    project.run("results/summary/functions.parquet")


def test_a_data_set_that_is_nowhere(tmp_path):
    project = Project(tmp_path)
    text = (project.home / "tests/tiny.yaml").read_text()
    (project.home / "tests/tiny.yaml").write_text(text.replace("mnist5k", "svhn"))
    project.edit(
        "src/fgrad/datasets.py",
        '("http://ufldl.stanford.edu/housenumbers/",)',
        '("file:///nowhere/",)',
    )
    project.edit("src/fgrad/data.py", "PAUSE = 5.0", "PAUSE = 0.0")
    output = project.run("fc", ok=False)
    assert "data set svhn: train_32x32.mat cannot be downloaded" in output
    assert "put it into data/svhn" in output
    assert not (project.work / "results/runs").exists()


def test_two_at_once_are_refused(project):
    (project.work / "results/paper/claims.md").unlink()
    with FileLock(project.work / ".snakemake/fgrad.lock"):
        output = project.run(ok=False)
    assert "another run is at work in this folder" in output
    assert not (project.work / "results/paper/claims.md").exists()


def test_a_dry_run_imports_no_torch(finished):
    command = finished.command()
    command[1:1] = ["-X", "importtime"]
    command[command.index("--")] = "--dry-run"
    done = subprocess.run(
        command, capture_output=True, text=True, env=finished.environment(), check=True
    )
    assert "fgrad.config" in done.stderr
    assert not re.search(r"\| +(torch|matplotlib|seaborn)$", done.stderr, re.M)


def test_the_report_has_every_figure_and_table(project):
    project.run(options=("--report", str(project.work / "report.html")))
    report = (project.work / "report.html").read_text()
    for name in FIGURES | TABLES:
        assert name.replace("_", " ") in report
    for words in ("Claims", *(section.heading for section in contents.PAPER)):
        assert words in report
    for section in contents.PAPER:
        for one in (*section.figures, *section.tables):
            assert json.dumps(one.caption[:20])[1:-1] in report


def found(path: Path) -> float:
    return parquet.provenance(path)["found"]["lr"]


def test_from_search_to_figures_in_one_run(searched):
    runs = searched.runs()
    assert {name.split("/")[0] for name in runs if name.startswith("search_")} == {
        "search_functions", "search_angles", "search_fc", "search_sota",
    }  # fmt: skip
    of = {"functions": "functions", "angle_functions": "angles", "fc": "fc", "sota": "sota"}
    for name, path in runs.items():
        section, _, rest = name.partition("/")
        if section in of:
            row = rest if section.endswith("functions") else f"{Path(rest).parent}.parquet"
            assert set(parquet.read(path)["lr"]) == {found(runs[f"search_{of[section]}/{row}"])}
    table = pd.read_csv(searched.work / "results/paper/tables/learning_rates.csv")
    assert table["bp"].tolist() == [
        found(runs[f"search_functions/{f}/n2/bp.parquet"]) for f in table["function"]
    ]
    assert (searched.work / "results/paper/claims.md").read_text().count(
        "searched learning rates"
    ) == 4
    shipped = (ROOT / "config/learning_rates").iterdir()
    for path in shipped:  # never written to
        assert (searched.home / "config/learning_rates" / path.name).read_text() == path.read_text()
    assert searched.planned() == {}


def test_the_range_of_one_section_reruns_that_section(searched_project):
    searched_project.edit(
        "tests/tiny.yaml",
        "{evaluations: 6, repeats: 2}\nangles",
        "{evaluations: 6, repeats: 2, range: [0.001, 1]}\nangles",
    )
    planned = searched_project.planned()
    assert (planned["search_function"], planned["optimize_function"]) == (8, 8)
    assert not {"search_network", "train_network", "measure_quality", "figure_angle_descent"} & set(
        planned
    )
    assert planned["figure_final_values"] == 1
    output = searched_project.run(options=("--dry-run",))
    assert set(re.findall(r"search for a learning rate, (\w+)/", output)) == {"search_functions"}


def test_the_seed_of_one_networks_search(searched_project):
    searched_project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, seed: 1, epochs: 1"
    )
    planned = searched_project.planned()
    assert (planned["search_network"], planned["train_network"]) == (4, 4)
    assert not {"search_function", "optimize_function", "figure_sota_training"} & set(planned)


def test_trials_in_flight_rerun_nothing(searched_project):
    searched_project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, in_flight: 2, epochs: 1"
    )
    assert searched_project.planned() == {}


def test_trials_in_flight_find_the_same(searched, tmp_path):
    project = Project(tmp_path)
    project.edit(
        "tests/tiny.yaml", "evaluations: 3, epochs: 1", "evaluations: 3, in_flight: 2, epochs: 1"
    )
    name = "search_fc/fc_w256/mnist5k/frog_k2.parquet"
    project.run(f"results/runs/{name}")
    pd.testing.assert_frame_equal(
        parquet.read(project.runs()[name]), parquet.read(searched.runs()[name]), check_exact=True
    )


def test_with_searched_rates_a_published_one_reruns_nothing(searched_project):
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    searched_project.edit(
        "config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002")
    )
    assert searched_project.planned() == {}


def test_a_published_rate_reruns_its_comparison_and_no_search(project):
    target = ("lr_search_functions",)
    project.run(*target)
    rate = "rosenbrock,2,frog,2,0.0019253\n"
    project.edit("config/learning_rates/functions.csv", rate, rate.replace("0.0019253", "0.002"))
    assert project.planned(*target) == {
        "optimize_function": 1, "collect_searches": 1, "summarize": 1, "table_search_functions": 1, "table_found_functions": 1, "judge_claims": 1,
        "figure_search_functions": 1, "figure_found_rates": 1, "lr_search_functions": 1,
    }  # fmt: skip


def test_a_gradient_without_published_rates_is_searched_for(tmp_path):
    project = Project(tmp_path)
    gradient = "  frog: {aggregation: projection, k: [2, 4, 16]}\n"
    project.edit("config/config.yaml", gradient, gradient + "  mine: {aggregation: max, k: [2]}\n")
    assert "no learning rate for function sphere, n 2, gradient mine" in project.run(ok=False)
    project.search()
    assert project.planned("functions")["search_function"] == 10
    project.run("results/runs/functions/sphere/n2/mine_k2.parquet")


def test_searches_on_one_core_or_two_and_after_a_kill_are_the_same(searched, tmp_path):
    """Identical tables whichever way."""
    target = "results/lr_search/functions.csv"
    expected = {
        name: path for name, path in searched.runs().items() if name.startswith("search_functions")
    }
    project = Project(tmp_path)
    started = subprocess.Popen(
        project.command(target), env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(project.runs()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert 2 <= len(project.runs()) < 8
    project.run(target, cores=1)
    assert project.runs().keys() == expected.keys()
    for name, path in expected.items():
        pd.testing.assert_frame_equal(
            parquet.read(project.runs()[name]), parquet.read(path), check_exact=True
        )
    searched.run(target, options=("--allowed-rules", "collect_searches"))
    assert (project.work / target).read_text() == (searched.work / target).read_text()
    assert not list((project.work / "results/runs").rglob(".*.journal"))


def test_a_range_in_which_all_diverge(tmp_path):
    project = Project(tmp_path)
    project.edit(
        "tests/tiny.yaml",
        "{evaluations: 6, repeats: 2}\nangles",
        "{evaluations: 6, repeats: 2, range: [100, 1000]}\nangles",
    )
    sphere, plain = (
        f"results/runs/search_{name}.parquet"
        for name in ("functions/sphere/n2/bp", "angles/styblinski-tang/n64/frog_k16")
    )
    for _ in range(2):
        output = project.run(sphere, plain, ok=False)
        assert (
            "function sphere, n 2, gradient bp: range = [100, 1000]: all 4 rates diverge; lower ones are needed"
            in output
        )
        assert "Traceback" not in output
    assert (project.work / plain).exists()
    assert not (project.work / sphere).exists()
    assert list((project.work / sphere).parent.glob(".bp.*.journal"))  # the trials are kept
