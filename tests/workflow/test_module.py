"""The rules in somebody else's workflow: as a `module`, and by `include`."""

import os
import re
from pathlib import Path

import pytest
import warm
import yaml
from projects import ROOT, jobs_of

pytestmark = pytest.mark.workflow

SMALL = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
COPY = """
rule copy:
    input: "results/paper/figures/{figure}.png"
    output: "{section}/{figure}.copy"
    shell: "cp {input} {output}"
"""
ALL = """
rule all:
    default_target: True
    input: "Own-9/quality.copy"
"""
CONFIGURED = 'configfile: f"{workflow.current_basedir}/own.yaml"\n'
MODULE = """
module fgrad:
    snakefile: SNAKEFILE
    config: config["fgrad"]

use rule * from fgrad as fgrad_*
"""
INCLUDE = "\ninclude: SNAKEFILE\n"
WAYS = {"module": (MODULE, "fgrad_"), "include": (INCLUDE, "")}


class Caller:
    """Somebody's workflow in a folder, with a configuration of its own, at work in another one."""

    def __init__(self, folder: Path, way: str, work: Path | None = None) -> None:
        self.home, self.work = folder / "caller", work or folder / "work"
        self.home.mkdir(parents=True)
        self.work.mkdir(exist_ok=True)
        part, self.prefix = WAYS[way]
        keys = {"fgrad": SMALL} if way == "module" else SMALL
        self.configure({"samples": ["a", "b"]} | keys)
        self.write(CONFIGURED + part + ALL + COPY)

    def configure(self, config: dict) -> None:
        (self.home / "own.yaml").write_text(yaml.safe_dump(config))

    def write(self, text: str) -> None:
        # as a user would write it, relative to the caller
        path = os.path.relpath(ROOT / "Snakefile", self.home)
        (self.home / "Snakefile").write_text(text.replace("SNAKEFILE", repr(path)))

    def run(self, *arguments: str, ok: bool = True) -> str:
        command = ["--cores", "2", "--directory", str(self.work)]
        command += ["--snakefile", str(self.home / "Snakefile"), *arguments]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # at home, where no profile of ours is found
        status, output = warm.snakemake(command, environment, self.home)
        assert (status == 0) == ok, output
        return output

    def planned(self, *arguments: str) -> dict[str, int]:
        jobs = jobs_of(self.run("--dry-run", *arguments))
        return {rule.removeprefix(self.prefix): count for rule, count in jobs.items()}

    def refused(self, *arguments: str) -> str:
        """The one line of a refusal."""
        output = self.run("--dry-run", *arguments, ok=False)
        (line,) = re.findall(r"^WorkflowError.*:\n(.*)\n  File", output, re.M)
        return line


WHOLE = {"measure_quality": 2, "summarize": 1, "figure_quality": 1, "copy": 1, "all": 1}


@pytest.fixture(params=WAYS)
def caller(request, tmp_path) -> Caller:
    return Caller(tmp_path, request.param)


@pytest.mark.slow
def test_from_nothing_to_a_file_of_the_callers(tmp_path):
    module = Caller(tmp_path / "module", "module", tmp_path)
    assert module.planned() == WHOLE
    module.run()
    assert (tmp_path / "Own-9/quality.copy").stat().st_size > 1000
    # without our profile, so that Snakemake compares what it compares by default
    assert module.planned() == {}
    (tmp_path / ".snakemake/fgrad.stale").unlink()
    assert module.planned() == {}
    # other rules in the same folder find the same results, and go on
    include = Caller(tmp_path / "include", "include", tmp_path)
    assert include.planned() == {}
    extension = "Own-9/extension.copy"
    assert include.planned(extension) == {
        "measure_quality": 1, "summarize": 1, "figure_extension": 1, "copy": 1,
    }  # fmt: skip
    include.run(extension)
    assert include.planned(extension) == {}
    assert module.planned(extension) == {}
    # and an overlay of the caller's reruns what it changes
    small = SMALL | {"quality": SMALL["quality"] | {"direct": [{"n": [2, 16], "samples": 31}]}}
    module.configure({"fgrad": small})
    assert module.planned(extension) == {}
    assert module.planned() == WHOLE
    report = tmp_path / "report.html"
    include.run(extension, "--report", str(report))
    assert "Approximation quality" in report.read_text()


def test_a_caller_without_configuration_gets_the_papers(caller):
    caller.write(MODULE.replace('config["fgrad"]', "{}") if caller.prefix else INCLUDE)
    caller.configure({})
    jobs = caller.planned(f"{caller.prefix}quality")
    assert jobs["measure_quality"] == 23


def test_what_is_local_stays_local(caller):
    assert "localrules directive" not in caller.run("--dry-run")
    printed = caller.run("--dry-run", "--list-rules")
    assert f"{caller.prefix}prepare_data" in printed


def test_a_handler_of_the_callers_can_hold_the_lock(tmp_path):
    caller = Caller(tmp_path, "module")
    text = (caller.home / "Snakefile").read_text()
    caller.write(
        f"{text}\nonstart:\n    fgrad.onstart()\n"
        "    print('held by', open('.snakemake/fgrad.lease').read())\n\nrule one:\n    output: touch('one')\n"
    )
    assert "held by filelock" in caller.run("one")


@pytest.mark.parametrize(
    "overlay", [{"quality": {"sampels": 3}}, {"functions": {"seeds": "none"}}], ids=str
)
def test_a_wrong_key_or_value_is_refused(caller, overlay):
    (section,) = overlay
    overlay = {section: SMALL[section] | overlay[section]}
    caller.configure({"fgrad": overlay} if caller.prefix else overlay)
    assert caller.refused().startswith(f"config: {section}.")


def test_unknown_sections_are_refused_in_a_module_and_the_callers_in_an_include(tmp_path):
    module = Caller(tmp_path / "module", "module")
    module.configure({"fgrad": {"qualty": {}}})
    assert module.refused() == "config: qualty: unknown key; see config/README.md"
    include = Caller(tmp_path / "include", "include")
    include.configure(SMALL | {"qualty": {}})
    assert include.planned() == WHOLE


@pytest.mark.parametrize("moved", ['prefix: "other"', 'replace_prefix: {"results/": "other/"}'])
def test_a_prefix_is_refused(tmp_path, moved):
    caller = Caller(tmp_path, "module")
    caller.write(CONFIGURED + MODULE.replace("config:", f"{moved}\n    config:") + ALL + COPY)
    assert caller.refused().startswith("prefix and replace_prefix: results are looked for below")
