"""What jobs will take, from what others took."""

from dataclasses import replace
from pathlib import Path

import pytest

from fgrad.errors import ConfigError
from fgrad.options.functions import FunctionRun
from fgrad.options.networks import TrainRun
from fgrad.outlook import ahead, measured
from fgrad.outlook.ahead import BEGIN, EACH, Step, wall
from fgrad.outlook.cost import Cost, Costs
from fgrad.outlook.measured import Ended, Measured, Start
from fgrad.outlook.work import Work, work_of
from fgrad.plan.read import runs_of
from fgrad.plan.runs import SECTIONS
from fgrad.plan.status import SCRIPTS, Status

ROOT = Path(__file__).parents[2]
SIZES = {"n": 1024, "k": 16, "seeds": 5, "units": 25_000}
DESCENT = Work("descend_function", "rosenbrock", "projection", SIZES)
START = {"descend_function": Start(2.0, 500.0)}


def sized(**sizes: float) -> Work:
    return replace(DESCENT, sizes=SIZES | sizes)


def tiny() -> Status:
    return Status(runs_of(ROOT, [ROOT / "tests/tiny.yaml"]), ROOT / "workflow/scripts")


def test_a_job_like_one_that_was_measured_takes_what_that_took():
    costs = Costs([Measured(DESCENT, 0.001, share=0.4, memory_mb=700)], START)
    assert costs.of(DESCENT) == Cost(2 + 10, 2 + 25, 700)
    assert costs.of(sized(units=50_000)) == Cost(2 + 20, 2 + 50, 700)


def test_a_larger_job_takes_what_it_does_more():
    costs = Costs([Measured(DESCENT, 0.001)], START)
    more = (costs.of(sized(n=2048)).seconds - 2) / (costs.of(DESCENT).seconds - 2)
    assert 1.5 < more < 2
    assert costs.of(sized(n=1)).seconds < costs.of(DESCENT).seconds / 2


def test_what_is_nothing_like_anything_measured_is_told_by_the_formula():
    assert Costs([], START).of(DESCENT).seconds == 2 + 25_000 * DESCENT.nominal


def test_the_folders_own_jobs_count_more_than_the_table():
    own = [Ended(DESCENT, 2 + 50.0, 25_000, 600, False)]
    costs = Costs([Measured(DESCENT, 0.001)], START, own)
    assert costs.of(DESCENT).seconds == pytest.approx(52)


def test_a_slower_machine_is_slower_for_what_it_has_not_done_yet():
    own = [Ended(sized(n=n), 2 + 75.0, 25_000, 600, False) for n in (1024, 1025, 1026)]
    other = Work("descend_function", "sphere", "mean", SIZES)
    rows = [Measured(DESCENT, 0.001), Measured(other, 0.001)]
    assert Costs(rows, START, own).of(other).seconds == pytest.approx(2 + 75, rel=0.01)


def test_trainings_serve_for_searches_and_gpus_for_gpus():
    sizes = {"k": 16, "reduce": 1, "batch": 64, "units": 200}
    training = Work("train_network", "vit/mnist", "projection", sizes)
    costs = Costs([Measured(training, 900), Measured(training, 4.0, gpu=True)], {})
    search = replace(training, kind="search_network", sizes=sizes | {"units": 1000})
    assert costs.of(search).at_most == pytest.approx(measured.USUAL.seconds + 900_000)
    assert costs.of(search, gpu=True).at_most == pytest.approx(measured.USUAL.seconds + 4000)


def test_the_shipped_table_knows_every_kind_of_job_and_the_papers_networks():
    rows, starts = measured.shipped()
    assert starts.keys() >= {*measured.PAPER.values(), "descend_function", "train_network"}
    networks = {(row.work.what, row.gpu) for row in rows if row.work.kind == "train_network"}
    for what in ("fc/mnist", "resnet18/cifar10", "vit/cifar10"):
        assert {(what, False), (what, True)} <= networks
    # docs/benchmarks.md: 3,001 core-hours, or 17 hours of an H100
    for gpus, hours in ((0, 3001), (1, 16.8)):
        status = Status(runs_of(ROOT), ROOT / "workflow/scripts")
        costs = Costs(rows, starts)
        works = [
            work_of(SECTIONS[section], job.options)
            for section in ("fc", "sota")
            for job in status.runs.jobs[section].values()
        ]
        told = sum(costs.of(work, gpus > 0).seconds for work in works) / 3600
        assert told == pytest.approx(hours, rel=0.12)


@pytest.mark.parametrize(
    ("name", "steps", "cores", "gpus", "seconds"),
    [
        ("none", [], 2, 0, None),
        ("side by side", [("a", 4), ("b", 4)], 2, 0, 4),
        ("one core", [("a", 4), ("b", 4)], 1, 0, 8),
        ("longest first", [("a", 1), ("b", 1), ("c", 2)], 2, 0, 2),
        ("one waits", [("a", 4), ("b", 4, "a")], 2, 0, 8),
        ("what is there is not waited for", [("b", 4, "a")], 2, 0, 4),
        ("one GPU", [("a", 4, None, True), ("b", 4, None, True)], 4, 1, 8),
        ("two GPUs", [("a", 4, None, True), ("b", 4, None, True)], 4, 2, 4),
    ],
)  # fmt: skip
def test_the_longest_job_that_is_ready_goes_first(name, steps, cores, gpus, seconds):
    made = [
        Step(one[0], Cost(one[1], one[1], 0), gpu=len(one) > 3, after=tuple(filter(None, one[2:3])))
        for one in steps
    ]
    told = wall(made, cores, gpus)
    assert (
        told == 0
        if seconds is None
        else BEGIN + seconds <= told <= BEGIN + seconds + 2 * EACH + 1e-9
    )


def test_an_empty_folder_lacks_everything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status = tiny()
    parts = {part.name: part for part in ahead.parts(status, ahead.costs(status))}
    assert parts["functions"].total == parts["functions"].missing == 8
    assert parts["data"].missing == 1
    assert "search_fc" not in parts
    assert not any(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="unknown section nothing; allowed: quality, functions"):
        ahead.parts(status, ahead.costs(status), "nothing")
    searches = [part.name for part in ahead.parts(status, ahead.costs(status), "lr_search_fc")]
    assert searches == ["data", "search_fc", "compared_fc", "summaries, figures, tables, claims"]


@pytest.mark.long
def test_what_is_done_is_not_planned_and_tells_what_the_rest_takes(tmp_path, monkeypatch):
    from fgrad import jobs

    monkeypatch.chdir(tmp_path)
    status, section = tiny(), "functions"
    names = list(status.runs.jobs[section])
    for name in names[:3]:
        path = Path(f"results/runs/{section}/{name}.parquet")
        script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
        jobs.carry_out(FunctionRun(**status.runs.jobs[section][name].options), path, script=script)
        tsv = measured.benchmark_of(path)
        tsv.parent.mkdir(parents=True, exist_ok=True)
        tsv.write_text("s\tmax_rss\tcpu_time\n30.0\t432.1\t20.0\n")
    assert measured.benchmark_of(path) == Path(f"results/benchmarks/{section}/{name}.tsv")
    Path(f"results/runs/{section}/{names[3]}.parquet").write_bytes(b"PAR1, damaged")
    status = tiny()
    part = next(p for p in ahead.parts(status, ahead.costs(status)) if p.name == section)
    assert (part.done, part.stale, part.missing) == (3, 1, 4)
    assert all(19 < step.cost.seconds < 25 for step in part.steps)
    assert "8     3     1       4" in "\n".join(ahead.lines([part], 2, 0))


def test_durations_are_in_the_unit_that_fits():
    assert ahead.duration(5) == "5 seconds"
    assert ahead.duration(3600 * 2823, "core") == "2,823 core-hours"
    assert ahead.duration(60 * 99.7) == "100 minutes"


def test_a_network_of_ones_own_in_a_folder_costs_what_it_does_beside():
    run = TrainRun(model="fc", width=256, dataset="mnist5k", gradient="bp", lr=0.1).model_dump()
    here, there = (
        work_of(TrainRun, run | {"model": model, "width": None})
        for model in ("mine.py:net", "models/mine.py:net")
    )
    assert here == there
    assert (
        here.nominal
        < work_of(TrainRun, run | {"model": "mine.py:net", "dataset": "mnist"}).nominal / 5
    )
