"""The list of contents: it names what exists, everything that exists is named, and it costs nothing."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from fgrad.paper import claims, contents, figures, scale, summary, tables
from fgrad.plan import read, reported, runs
from fgrad.plan.runs import SECTIONS as RUNS

SECTIONS = contents.SECTIONS.values()
FIGURES, TABLES = contents.FIGURES.values(), contents.TABLES.values()
SUMMARIES, CLAIMS = contents.SUMMARIES.values(), contents.CLAIMS.values()
BESIDE = [one.beside_published for one in SECTIONS if one.beside_published]
COVERED = [section.covers for section in SECTIONS if section.claims]
REFERENCES = [
    *(one.makes for one in SUMMARIES),
    *(one.draws for one in FIGURES),
    *(one.makes for one in TABLES),
    *(one.check for one in (*CLAIMS, *BESIDE)),
    *COVERED,
]

HELPERS = {
    *(f"fgrad.paper.figures.{name}" for name in ("files", "intervals", "look", "style")),
    *(f"fgrad.paper.tables.{name}" for name in ("digits", "document", "latex", "table", "typeset")),
}
"""Modules of figures, tables and claims that others use."""

CONFIG = Path(__file__).parents[2] / "config"


def test_sections_are_listed_once():
    assert len(SECTIONS) == len(contents.PAPER) + len(contents.SEARCHES)
    targets = [section.target for section in SECTIONS if section.target]
    assert len(targets) == len(set(targets))


@pytest.mark.parametrize("kind", ["summaries", "figures", "tables", "claims"])
def test_names_are_unique(kind):
    listed = [one.name for section in SECTIONS for one in getattr(section, kind)]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("reference", sorted(set(REFERENCES)))
def test_what_is_named_exists(reference):
    assert callable(resolve_name(reference))


def test_summaries_that_are_named_exist():
    shown: list[Any] = [*FIGURES, *TABLES, *CLAIMS]
    for one in (*shown, *BESIDE):
        assert set(one.of) <= contents.SUMMARIES.keys(), one.name
    used = {name for one in shown for name in one.of}
    tables_of_rates = {one.name for one in SUMMARIES if one.rates}
    assert contents.SUMMARIES.keys() == used | tables_of_rates
    for one in SUMMARIES:
        assert set(one.runs) <= RUNS.keys(), one.name
        assert not one.rates or one.name == f"search_{one.rates}"  # both made by one rule


@pytest.mark.parametrize("package", [figures, tables, claims])
def test_every_module_is_named(package):
    """A figure, table or claim that no rule makes is an error."""
    folder = Path(package.__file__).parent
    modules = {f"{package.__name__}.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert modules - HELPERS == {
        reference.partition(":")[0]
        for reference in REFERENCES
        if reference.startswith(f"{package.__name__}.")
    }


@pytest.mark.parametrize(
    "module",
    [summary, scale, *(resolve_name(one.makes.partition(":")[0]) for one in TABLES)],
)
def test_every_public_function_is_named(module):
    """But for the writing of files, and for what captions are filled with."""
    public = {
        f"{module.__name__}:{name}"
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    assert public - {f"{module.__name__}:{name}" for name in ("write", "facts", "tuned")} == {
        reference for reference in REFERENCES if reference.startswith(f"{module.__name__}:")
    }


def test_every_check_is_named():
    """Functions of the modules of checks that a claim could name."""
    for path in Path(claims.__file__).parent.glob("[!_]*.py"):
        name = f"fgrad.paper.claims.{path.stem}"
        for attribute, value in vars(resolve_name(name)).items():
            if not attribute.startswith("_") and getattr(value, "__module__", "") == name:
                returned = getattr(value, "__annotations__", {}).get("return")
                helps = attribute == "rising"  # two claims are one question
                if not helps and getattr(returned, "__name__", "") == "Verdict":
                    assert f"{name}:{attribute}" in REFERENCES


def test_nothing_is_without_words():
    for section in SECTIONS:
        assert section.title
        assert section.number
        assert bool(section.covers) == bool(section.claims)
    for text in (*dict(captions()).values(), *(one.statement for one in (*CLAIMS, *BESIDE))):
        assert text.endswith(".")
        assert len(text) > 30
        assert "  " not in text


def test_captions_name_claims_that_exist():
    for one in FIGURES:
        emphasised = one.caption.split("*")[1::2]
        assert {word for word in emphasised if "-" in word} <= contents.CLAIMS.keys()


def test_entries_are_frozen_plain_values():
    for section in SECTIONS:
        hash(astuple(section))
        for question in section.questions:
            assert all(type(value) in (str, list) for value in question.values())


@pytest.mark.parametrize("module", ["fgrad.paper.contents", "fgrad.paper.scale"])
def test_reading_the_contents_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "matplotlib", "seaborn"} & set(done.stdout.split())


@pytest.mark.long
def test_the_paper_is_made_without_torch_and_experiments():
    code = "import sys, pkgutil; [pkgutil.resolve_name(name) for name in sys.argv[1:]]; "
    code += "print(*sys.modules)"
    command = [sys.executable, "-c", code, *sorted(set(REFERENCES))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"torch", "fgrad.experiments"} & set(done.stdout.split())


@cache
def facts(**values: Any) -> dict[str, dict[str, str]]:
    """Of the paper's scale with some values laid over it."""
    own = read.laid_over(read.read(CONFIG / "config.yaml"), values)
    return scale.facts(runs.load(own, CONFIG)[0])


def captions() -> Iterator[tuple[str, str]]:
    """Names of figures and tables with their captions at the paper's scale."""
    for section in SECTIONS:
        one: Any
        for one in (*section.figures, *section.tables):
            yield one.name, one.caption_of(facts()[section.name])


def test_what_is_published_is_judged_by_the_summaries_that_claims_need_anyway():
    """So that entering a number adds no input."""
    for section in SECTIONS:
        if section.beside_published:
            assert set(section.beside_published.of) <= set(section.judged_by)


def test_tables_have_room_for_metrics_that_may_be_entered():
    for section in SECTIONS:
        for one in section.tables:
            assert set(one.metrics) <= set(reported.METRICS.get(section.name, ()))
    assert {name for name, one in contents.SECTIONS.items() if one.beside_published} == set(
        reported.METRICS
    )


def test_captions_follow_the_rates():
    searched = facts(learning_rates="searched")
    for section in SECTIONS:
        one: Any
        for one in (*section.figures, *section.tables):
            if "{rates}" in one.caption:
                assert "published learning rates" in one.caption_of(facts()[section.name])
                found = one.caption_of(searched[section.name])
                assert "learning rates that a search found" in found


def test_captions_say_what_was_run():
    for seeds, said in ((5, "mean over 5 seeds"), (2, "mean of two seeds"), (1, "one seed")):
        functions = {"seeds": list(range(seeds))}
        config = read.laid_over(read.read(CONFIG / "config.yaml"), {"functions": functions})
        found = scale.facts(runs.load(config, CONFIG)[0])["functions"]
        assert said in contents.FIGURES["descent_curves"].caption_of(found)


def test_every_caption_can_be_filled():
    for _, text in captions():
        assert not {"{", "}"} & set(text)
        assert text[0].isupper() or not text[0].isalpha()
