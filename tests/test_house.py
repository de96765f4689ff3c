"""The house itself: sizes of files and classes, the top level, line ends, scripts."""

import ast
from pathlib import Path

import pytest

from fgrad.plan.status import SCRIPTS

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("src", "rules", "benchmarks", "workflow", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".smk")
]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_and_no_class_is_too_long(path):
    assert len(lines(path)) <= (600 if path.is_relative_to(ROOT / "tests") else 400)
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < 200, node.name


def test_the_top_level_is_a_hall_with_doors():
    package = ROOT / "src/fgrad"
    modules = {path.stem for path in package.glob("*.py")}
    assert modules == {
        "__init__", "__main__", "arguments", "errors", "jobs", "orphans", "plugins", "terminal",
        "upkeep", "validation",
    }  # fmt: skip
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms == {
        "cli", "comparing", "gradients", "problems", "options", "outlook", "plan", "experiments", "store",
        "paper", "sharing",
    }  # fmt: skip


def test_tables_have_plain_line_ends():
    for path in (*(ROOT / "config").rglob("*.csv"), *(ROOT / "docs").rglob("*.csv")):
        assert b"\r" not in path.read_bytes(), path


def test_scripts_hold_no_logic():
    scripts = list((ROOT / "workflow/scripts").glob("*.py"))
    assert set(SCRIPTS.values()) <= {path.name for path in scripts}
    for path in scripts:
        assert 5 <= len([line for line in lines(path) if line]) <= 13, path.name


def test_each_run_is_handed_over_by_the_script_whose_code_counts():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for kind, script in SCRIPTS.items():
        (section,) = (part for part in rules.split("\nrule ") if f"scripts/{script}" in part)
        assert f"sections_of({kind.__name__})" in section
        assert (
            f'Path(snakemake.scriptdir, "{script}")'
            in (ROOT / "workflow/scripts" / script).read_text()
        )
