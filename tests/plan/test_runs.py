"""Configuration and tables: what is joined, and every wrong input in one clear line."""

import copy
import math
import re
import tomllib
from dataclasses import asdict
from importlib.metadata import version
from itertools import chain
from typing import Any

import pytest
import yaml
from configurations import PAPER, ROOT, changed, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrad import validation
from fgrad.errors import ConfigError
from fgrad.options import networks
from fgrad.options.quality import QualityRun
from fgrad.plan import rates, runs, sections
from fgrad.problems.registry import DATASETS


def options(values: dict) -> dict[str, dict[str, dict]]:
    """Section → name → options of each job."""
    _, found = runs.load(values, ROOT / "config")
    return {
        section: {name: job.options for name, job in jobs.items()}
        for section, jobs in found.jobs.items()
    }


def test_the_papers_runs():
    found = options(PAPER)
    functions, angles = found["functions"], found["angle_functions"]
    assert len(functions) == 264
    assert len(angles) == 14
    assert len(found["angle_quality"]) == 6
    quality = found["quality"].values()
    assert {n for run in quality for n in run["n"]} == {2**i for i in range(17)}
    for run in quality:
        assert run["n"][0] * run["samples"] <= PAPER["quality"]["job_size"]
    samples = sum(run["samples"] for run in quality if run["n"] == [16384])
    assert samples == 1000
    assert functions["sphere/n64/frog_k4"]["lr"] == 0.508263
    assert functions["rosenbrock/n2/bp"]["k"] is None
    assert functions["rosenbrock/n2/bp"]["steps"] == 25000
    # the projection's one rate is for all angles, the mean has one for each
    assert angles["styblinski-tang/n64/frog_k64"]["angle"] == [
        15,
        30,
        45,
        60,
        75,
        90,
    ]
    assert angles["styblinski-tang/n64/fg-mean_k64_a30"]["angle"] == [30]


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and plain(v) for key, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (int, float, str, bool)


def test_runs_are_plain_values():
    """What Snakemake records and compares: no NumPy, no paths, no tuples, no NaN."""
    found = options(PAPER)
    assert plain(found)
    for section in found.values():
        for run in section.values():
            assert not any(isinstance(v, float) and math.isnan(v) for v in run.values())
    assert plain(runs.load(PAPER, ROOT / "config")[1].published)


def test_a_job_is_all_that_its_numbers_depend_on():
    """Its options give the same run again, with the approach that its name stands for."""
    _, found = runs.load(PAPER, ROOT / "config")
    for section, jobs in found.jobs.items():
        for name, job in jobs.items():
            kind = runs.SECTIONS[section]
            kind = kind if job.search is None else runs.UNRATED[kind]
            again: Any = kind(**job.options)
            assert again.model_dump(mode="json") == job.options, name
            assert again.code() == job.code
            if "gradient" in job.options and kind is not QualityRun:
                how = asdict(again.how)
                assert how.pop("estimator") is None  # left out where there is none
                assert job.options["approach"] == how


def test_a_run_with_a_searched_rate_names_its_search():
    for values in (PAPER, changed("learning_rates", "searched")):
        _, found = runs.load(values, ROOT / "config")
        for jobs in found.jobs.values():
            for job in jobs.values():
                if job.search is None:
                    continue
                section, name = job.search.split("/", 1)
                assert "lr" not in job.options
                search = found.jobs[section][name].options
                task = {"function", "model", "width", "dataset", "n", "gradient", "k", "angle"}
                assert all(search[key] == job.options[key] for key in task & job.options.keys())
    first = [section for section, _ in found.names()]
    assert first == sorted(first, key=lambda section: not section.startswith("search_"))


def test_a_new_gradient_is_one_line():
    values = changed("gradients.scaled", {"aggregation": "projection", "scale": True, "k": [4]})
    lines = refused(values)  # the first missing rates at once, and how many there are
    assert len(lines) == 10
    assert lines[-2].endswith("functions.csv: and 25 more")
    assert "learning_rates: searched" in lines[-1]
    assert lines[0].endswith("no learning rate for function sphere, n 1, gradient scaled, k 4")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "functions.sedes",
            [1],
            "config: functions.sedes = [1]: unknown key; see config/README.md",
        ),
        ("colour", "red", "config: colour = 'red': unknown key"),
        ("functions.seeds", [], "config: functions.seeds = []: Tuple should have at least 1 item"),
        ("functions.seeds", [1, 1], "config: functions.seeds = [1, 1]: 1 listed twice"),
        ("functions.seeds", [-1], "config: functions.seeds.0 = -1: Input should be greater than"),
        ("functions.seeds", "0", "config: functions.seeds = '0': Input should be a valid tuple"),
        (
            "functions.n",
            [0],
            "config: functions.n.0 = 0: Input should be greater than or equal to 1",
        ),
        ("functions.n", [1.5], "config: functions.n.0 = 1.5: Input should be a valid integer"),
        (
            "functions.functions",
            ["shpere"],
            "config: functions.functions.0 = 'shpere': unknown func",
        ),
        ("functions.steps", {"sphere": 10}, "steps: no number of steps for rosenbrock, styblinski"),
        ("functions.mode", "magic", "config: functions.mode = 'magic': Input should be 'sim' or"),
        (
            "functions.patience",
            True,
            "config: functions.patience = True: Input should be a valid int",
        ),
        (
            "quality.k",
            [4, 0],
            "config: quality.k.1 = 0: Input should be greater than or equal to 1",
        ),
        (
            "quality.aggregations",
            ["median"],
            "quality.aggregations.0 = 'median': unknown aggregation",
        ),
        ("quality.gradient", "twos", "config: quality.gradient = 'twos': Input should be 'ones'"),
        ("angles.angle", [0], "config: angles.angle.0 = 0: Input should be greater than 0"),
        ("angles.angle", [float("nan")], "config: angles.angle.0 = nan: Input should be"),
        ("angles.angle", [True], "config: angles.angle.0 = True: Input should be a valid number"),
        (
            "gradients.a/b",
            {"aggregation": "mean", "k": [1]},
            "config: gradients.a/b.[key] = 'a/b': Str",
        ),
        (
            "quality.k",
            [10**30],
            "config: quality.k.0 = 1000000000000000000000000000000: Input should",
        ),
        ("functions.learning_rates", "a\0b", "cannot be read as a CSV table: embedded null byte"),
        ("gradients.a/b", {"aggregation": "mean", "k": [1]}, "config: gradients.a/b"),
        ("angles.gradients", ["frosch"], "config: angles.gradients: 'frosch' is no gradient with"),
        ("angles.gradients", ["bp"], "config: angles.gradients: 'bp' is no gradient with tangents"),
        (
            "gradients.frog",
            {"aggregation": "projection"},
            "config: gradients.frog: k lists the numb",
        ),
        (
            "gradients.frog",
            {"aggregation": "nearest", "k": [2]},
            "gradients.frog.aggregation = 'near",
        ),
        (
            "gradients.frog",
            {"sampler": "uniform"},
            "config: gradients.frog.sampler = 'uniform': unk",
        ),
        ("gradients.frog", None, "config: gradients.frog = None: keys with values are needed"),
        ("gradients", {}, "config: gradients: Dictionary should have at least 1 item"),
        (
            "functions.learning_rates",
            "nowhere.csv",
            "nowhere.csv: cannot be read as a CSV table: No s",
        ),
    ],
)
def test_wrong_values(path, value, expected):
    lines = refused(changed(path, value))
    assert any(expected in line for line in lines), lines


TABLE = "function,n,gradient,k,lr\nsphere,1,bp,,0.1\nsphere,1,fg-mean,1,0.2\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "table.csv, row 1: 'function', 'n', 'gradient', 'lr' missing, unknown or twice; columns",
        ),
        ("function,n,gradient,k,lr\n", "table.csv: no rows"),
        (
            TABLE.replace("0.2", "-0.2"),
            "table.csv, row 3: lr = '-0.2': Input should be greater than 0",
        ),
        (TABLE.replace("0.2", "0"), "table.csv, row 3: lr = '0': Input should be greater than 0"),
        (
            TABLE.replace("0.2", "nan"),
            "table.csv, row 3: lr = 'nan': Input should be a finite number",
        ),
        (
            TABLE.replace("0.2", "fast"),
            "table.csv, row 3: lr = 'fast': Input should be a valid number",
        ),
        (TABLE.replace("0.2", ""), "table.csv, row 3: lr: required"),
        (
            TABLE.replace("mean,1", "mean,0"),
            "table.csv, row 3: k = '0': Input should be greater than",
        ),
        (
            TABLE.replace("mean,1", "mean,1.5"),
            "table.csv, row 3: k = '1.5': Input should be a valid i",
        ),
        (
            TABLE.replace("sphere,1,fg", "spere,1,fg"),
            "table.csv, row 3: function = 'spere': unknown f",
        ),
        (TABLE.replace("lr", "rate"), "table.csv, row 1: 'rate', 'lr' missing, unknown or twice"),
        (TABLE.replace("k,lr", "lr,lr"), "table.csv, row 1: 'lr' missing, unknown or twice"),
        (TABLE.replace(",", ";"), "table.csv, row 1: 'function;n;gradient;k;lr', 'function', 'n'"),
        (TABLE.replace("0.2", "1e39"), "table.csv, row 3: lr = '1e39': Input should be less than"),
        (TABLE.replace("sphere,1,fg", "\n\nspere,1,fg"), "table.csv, row 5: function = 'spere'"),
        (
            TABLE + "sphere,1,bp,,0.3\n",
            "table.csv, row 4: function sphere, n 1, gradient bp: same run",
        ),
        (TABLE + "sphere,1\n", "table.csv, row 4: 5 columns expected, as in the header"),
        (TABLE + "sphere,1,bp,,0.3,9\n", "table.csv, row 4: 5 columns expected, as in the header"),
        (
            'function,n\n"sphere,1',
            "table.csv: cannot be read as a CSV table: unexpected end of data",
        ),
    ],
)
def test_wrong_tables(tmp_path, text, expected):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ConfigError) as caught:
        rates.read_table(tmp_path / "table.csv", rates.FunctionRow)
    assert any(expected in line for line in str(caught.value).splitlines()), str(caught.value)


def test_searched_rates_need_no_rows_but_the_file(tmp_path):
    values = changed("learning_rates", "searched")
    own = tmp_path / "few.csv"
    own.write_text(TABLE)
    values["functions"]["learning_rates"] = str(own)
    _, found = runs.load(values, ROOT / "config")
    jobs = found.jobs["functions"]
    assert len(jobs) == 264
    for name, job in jobs.items():
        assert job.search == f"search_functions/{name}"
        assert "lr" not in job.options
    assert found.published["search_functions"] == {"sphere/n1/bp": 0.1, "sphere/n1/fg-mean_k1": 0.2}
    values["functions"]["learning_rates"] = "nowhere.csv"
    assert "nowhere.csv: cannot be read as a CSV table: No such" in refused(values)[0]


def test_a_binary_table(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00sphere")
    with pytest.raises(ConfigError, match=r"table\.csv: cannot be read as a CSV table"):
        rates.read_table(tmp_path / "table.csv", rates.FunctionRow)


def test_a_table_from_a_spreadsheet(tmp_path):
    """A byte-order mark, spaces and other line endings are no mistakes."""
    text = TABLE.replace(",", ", ").replace("\n", "\r\n")
    (tmp_path / "table.csv").write_text(text, encoding="utf-8-sig", newline="")
    assert [row.lr for row in rates.read_table(tmp_path / "table.csv", rates.FunctionRow)] == [
        0.1,
        0.2,
    ]


def test_close_angles_are_two_jobs():
    checked = validation.validate(
        sections.Config, changed("angles.angle", [15, 15.0000001]), "config"
    )
    assert list(runs._angle_quality_runs(checked)) == ["a15", "a15.0000001"]


def test_conda_builds_the_same_environment():
    """environment.yml adds Python alone to the lock file and the package."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *rest, pip = environment["dependencies"]
    assert rest == ["python=3.11", "pip"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}


def test_networks_at_paper_scale_are_56_rows_and_168_runs():
    found = options(PAPER)
    fc, sota = found["fc"], found["sota"]
    assert (len(fc), len(sota)) == (72, 96)
    one = sota["vit/cifar10/frog_k16/seed2"]
    assert (one["lr"], one["seed"], one["epochs"], one["patience"]) == (0.486368, 2, 200, 10)
    assert fc["fc_w4096/mnist/bp/seed0"]["lr"] == 0.0386684
    for run in [*fc.values(), *sota.values()]:
        assert networks.TrainRun(**run).batch is None
        assert DATASETS[run["dataset"]].batch == (128 if run["dataset"] == "cifar10" else 64)


def test_rates_of_another_data_set():
    config = changed("networks.fc.datasets", ["fashion-mnist"])
    with pytest.raises(ConfigError) as caught:
        runs.load(config, ROOT / "config")
    lines = str(caught.value).splitlines()
    assert lines[-2].endswith("networks.csv: and 16 more")
    assert lines[0].endswith(
        "networks.csv: no learning rate for experiment fc, model fc, width 256, "
        "dataset fashion-mnist, gradient bp"
    )
    config["networks"]["fc"]["rates_of"] = "mnist"
    found = options(config)
    assert found["fc"]["fc_w256/fashion-mnist/frog_k16/seed0"]["lr"] == 0.0423211


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("models", ["fc", "vgg"], "networks.fc.models.1 = 'vgg': unknown model; allowed: fc, lenet5, resnet18"),
        ("datasets", ["imagenet"], "networks.fc.datasets.0 = 'imagenet': unknown dataset; allowed: mnist,"),
        ("seeds", [], "networks.fc.seeds = []"),
        ("epochs", -1, "networks.fc.epochs = -1"),
        ("mode", "backward", "networks.fc.mode = 'backward': Input should be 'sim' or 'fwad'"),
        ("perturb", "biases", "networks.fc.perturb = 'biases': Input should be 'activations' or 'weights'"),
        ("device", "tpu", "networks.fc.device = 'tpu'"),
        ("epoch", 3, "networks.fc.epoch = 3: unknown key; see config/README.md"),
        ("sampling", "exact", "sampling exact needs perturb weights"),
    ],
)  # fmt: skip
def test_wrong_networks(key, value, message):
    with pytest.raises(ConfigError) as caught:
        runs.load(changed(f"networks.fc.{key}", value), ROOT / "config")
    assert message in str(caught.value)


def test_the_lock_file_is_what_is_installed():
    locked = pins("requirements.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    own = {name: extras.pop(name) for name in ("cloud", "docs")}  # are installed by their targets
    for requirement in [*project["dependencies"], *chain(*extras.values())]:
        if requirement.startswith("fgrad["):
            continue
        assert version(name_of(requirement)) == locked[name_of(requirement)], requirement
    for name, requirements in own.items():
        more = pins(f"requirements-{name}.lock")
        assert {name_of(requirement) for requirement in requirements} <= more.keys()
        assert not more.keys() & locked.keys()


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    pinned = (line.split(" ;")[0].split("==") for line in lines if not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pinned}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0].lower()


def test_all_mistakes_of_a_table_at_once(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE.replace("0.1", "-1").replace("0.2", "inf"))
    with pytest.raises(ConfigError) as caught:
        rates.read_table(tmp_path / "table.csv", rates.FunctionRow)
    assert len(str(caught.value).splitlines()) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(values: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += paths(value, f"{prefix}{key}.")
    return found


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(paths(PAPER)), value=JSON)
def test_no_configuration_ends_in_a_traceback(path, value):
    """Any value at any key is accepted or refused in lines that name the place."""
    try:
        runs.load(changed(path, value), ROOT / "config")
    except ConfigError as error:
        for line in str(error).splitlines():
            assert ": " in line


@settings(max_examples=100, deadline=None)
@given(value=JSON)
def test_nor_does_anything_instead_of_one(value):
    try:
        runs.load(value, ROOT / "config")
    except ConfigError as error:
        assert str(error).startswith("config: ")


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=80) | st.sampled_from([TABLE]),
    cut=st.integers(0, 80),
)
def test_no_table_ends_in_a_traceback(tmp_path_factory, text, cut):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text(TABLE[:cut] + text, newline="")
    try:
        rates.read_table(path, rates.FunctionRow)
    except ConfigError as error:
        assert all("table.csv" in line for line in str(error).splitlines())


def test_the_demo_lays_over_the_paper():
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    values = copy.deepcopy(PAPER)
    update_config(values, load_configfile(ROOT / "config/demo.yaml"))
    _, found = runs.load(values, ROOT / "config")
    assert 0 < len(found.jobs["functions"]) < 100
