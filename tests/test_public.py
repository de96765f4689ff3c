"""The public face: every name is there, cheap to reach, explained by an example."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import fgrad
from examples import examples
from fgrad import jobs
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.quality import QualityRun

ROOT = Path(__file__).parent.parent


def needed(*names: str) -> set[str]:
    """Distributions that these need, however far, and they themselves."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.findall(r"[\w.-]+", one)[0] for one in requires if "extra ==" not in one]
    return found


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> dict[str, str]:
    """The surroundings of an environment that has the core alone, and what that needs."""
    names = [re.findall(r"[\w.-]+", one)[0] for one in project()["dependencies"]]
    assert names == ["numpy", "scipy", "torch"]
    site = tmp_path_factory.mktemp("site")
    for name in needed(*names):
        one = metadata.distribution(name)
        for top in {path.parts[0] for path in one.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(one.locate_file(top))
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{site}:{ROOT / 'src'}"}


def python(code: str, *options: str, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False, **how
    )


def test_every_name_is_there():
    assert fgrad.__all__ == sorted(fgrad.__all__, key=lambda one: (not one.isupper(), one))
    assert set(fgrad.__all__) <= set(dir(fgrad))
    assert set(fgrad._WHERE) | set(fgrad._MODULES) == set(fgrad.__all__)
    exec(f"from fgrad import {', '.join(fgrad.__all__)}", {})
    with pytest.raises(AttributeError, match="no attribute 'frog'"):
        fgrad.frog  # noqa: B018  the look raises


def test_importing_it_imports_nothing():
    code = "import sys, time; began = time.perf_counter(); import fgrad; took = time.perf_counter() - began\n"
    code += "print(*({'torch', 'numpy', 'scipy', 'pandas', 'pydantic'} & set(sys.modules))); assert took < 0.2, took"
    done = python(code)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("name", fgrad.__all__)
def test_an_example_explains_every_public_name(name):
    """That it gives what stands there is for `test_doctests` to say."""
    module, inner = fgrad.defined(name)
    assert f"{module}.{inner}".rstrip(".") in examples(import_module(module))


@pytest.mark.long
def test_the_core_alone_is_enough_for_the_mathematics(core):
    readme = (ROOT / "README.md").read_text()
    examples = [
        one for one in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "load" not in one
    ]
    assert len(examples) == 2
    done = python("\n".join(examples) + "\nprint(g.shape, loss)", "-S", env=core)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([8, 100])" in done.stdout


@pytest.mark.parametrize("name", ["load", "provenance"])
def test_what_needs_more_names_the_extra(name, core):
    done = python(f"import fgrad\nfgrad.{name}('here')", "-S", env=core)
    assert done.returncode == 1
    assert re.search(
        rf"ImportError: fgrad.{name} needs \w+: pip install 'fgrad\[paper\]'", done.stderr
    )


def test_the_command_of_the_core_alone(core):
    def fgrad_of(*arguments: str) -> subprocess.CompletedProcess[str]:
        end = "from fgrad.__main__ import main\nmain()"
        return python(f"import sys\nsys.argv[1:] = {list(arguments)}\n{end}", "-S", env=core)

    assert fgrad_of("--version").stdout == f"fgrad {fgrad.__version__}\n"
    done = fgrad_of("train", "--help")
    assert done.returncode == 1
    assert re.fullmatch(r"fgrad: this needs \w+: pip install 'fgrad\[paper\]'\n", done.stderr)


def test_the_version_stands_in_one_place():
    assert project()["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == fgrad.__version__


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Runs of three kinds, and what a run leaves beside them."""
    folder = tmp_path_factory.mktemp("run")
    runs = folder / "results/runs"
    descent: dict[str, Any] = {"function": "sphere", "n": 4, "lr": 0.1, "steps": 3}
    for gradient, k in (("bp", None), ("frog", 2), ("fg-mean", 2)):
        jobs.carry_out(
            FunctionRun(**descent, gradient=gradient, k=k, seeds=(0, 1)),
            runs / f"functions/sphere/n4/{gradient}.parquet",
        )
    jobs.carry_out(QualityRun(n=(4,), k=(1, 2), samples=5), runs / "quality/n4_0.parquet")
    search = dict[str, Any](function="sphere", n=4, gradient="bp", evaluations=3, repeats=1)
    jobs.carry_out(FunctionSearch(**search), runs / "search_functions/sphere/n4/bp.parquet")
    (runs / "functions/.half.finished").write_text("no result")
    (runs / "functions/.other.parquet").write_text("no result")
    return folder


def test_all_runs_as_one_frame(folder):
    found = fgrad.load(folder)
    assert set(found["section"]) == {"functions", "quality", "search_functions"}
    trials = int((found["section"] == "search_functions").sum())
    assert len(found) == 3 * 2 * 4 + 2 * 3 * 5 + trials
    kinds = {"k": "Int64", "seed": "Int64", "lr": "float64", "value": "float64", "gradient": "str"}
    assert {name: str(found[name].dtype) for name in kinds} == kinds
    assert str(found["normalized"].dtype) == "boolean"
    assert found["k"].isna().sum() == 2 * 4 + trials
    for other in (folder / "results", folder / "results/runs"):
        pd.testing.assert_frame_equal(fgrad.load(other), found)


def test_a_section_a_gradient_a_value(folder):
    assert set(fgrad.load(folder, section="functions")["gradient"]) == {"bp", "frog", "fg-mean"}
    frog = fgrad.load(folder, section="functions", gradient="frog", seed=[1])
    assert (set(frog["k"]), len(frog)) == ({2}, 4)
    assert set(fgrad.load(folder, section="functions", k=None)["gradient"]) == {"bp"}
    file = folder / "results/runs/functions/sphere/n4/frog.parquet"
    assert len(fgrad.load(file)) == 2 * 4
    assert "trial" not in fgrad.load(folder / "results/runs/functions")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"section": "fc"},
            "no run with section = 'fc'; there are functions, quality, search_functions",
        ),
        ({"gradient": "frgo"}, "no run with gradient = 'frgo'; there are"),
        ({"speed": 3}, "no column speed; there are section,"),
    ],
)
def test_what_is_not_there_is_named(where, message, folder):
    with pytest.raises(fgrad.ConfigError, match=re.escape(message)) as caught:
        fgrad.load(folder, **where)
    assert "\n" not in str(caught.value)


def test_no_results(tmp_path):
    with pytest.raises(fgrad.ConfigError, match="no results"):
        fgrad.load(tmp_path)


def test_what_is_known_of_one(folder):
    known = fgrad.provenance(folder / "results/runs/functions/sphere/n4/frog.parquet")
    assert known["run"]["approach"]["aggregation"] == "projection"
    assert known["versions"]["fgrad"]


@pytest.mark.slow
def test_a_wheel_and_a_source_distribution_are_whole(tmp_path):
    """Both hold every module; what is installed from the wheel works on its own."""
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/fgrad").rglob("*.py")}
    build = "from setuptools import build_meta as b; print(b.build_wheel({0!r})); print(b.build_sdist({0!r}))"
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    done = python(build.format(str(tmp_path)), cwd=copy)
    assert done.returncode == 0, done.stderr
    (wheel,), (archive,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    assert wheel.name.startswith(f"fgrad-{fgrad.__version__}-py3")
    assert sources <= set(zipfile.ZipFile(wheel).namelist())
    for one, name in ((wheel, "wheel"), (archive, "archive")):
        target = tmp_path / name
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-build-isolation",
            "-q",
        ]
        subprocess.run([*command, "--target", str(target), str(one)], check=True)
        code = f"import sys; sys.path.insert(0, {str(target)!r}); import fgrad; print(fgrad.__file__); fgrad.Perturbation"
        done = python(code, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
        assert done.stdout.startswith(str(target)), done.stderr
