"""The list of contents: it names what exists, everything that exists is named, and it costs nothing."""

import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from pkgutil import resolve_name

import pytest

from fgrad.paper import captions, claims, contents, figures, scale, summary, tables
from fgrad.plan.runs import SECTIONS as RUNS

SECTIONS = contents.SECTIONS.values()
FIGURES, TABLES = contents.FIGURES.values(), contents.TABLES.values()
SUMMARIES, CLAIMS = contents.SUMMARIES.values(), contents.CLAIMS.values()
COVERED = [section.covers for section in SECTIONS if section.claims]
REFERENCES = [
    *(one.makes for one in SUMMARIES),
    *(one.draws for one in FIGURES),
    *(one.makes for one in TABLES),
    *(one.check for one in CLAIMS),
    *COVERED,
]

HELPERS = {"fgrad.paper.figures.style"}
"""Modules of figures that others use."""


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
    for one in (*FIGURES, *TABLES, *CLAIMS):
        assert set(one.of) <= contents.SUMMARIES.keys(), one.name
    used = {name for one in (*FIGURES, *TABLES, *CLAIMS) for name in one.of}
    tables_of_rates = {one.name for one in SUMMARIES if one.rates}
    assert contents.SUMMARIES.keys() == used | tables_of_rates
    for one in SUMMARIES:
        assert set(one.runs) <= RUNS.keys(), one.name
        assert not one.rates or one.name == f"search_{one.rates}"  # both made by one rule


@pytest.mark.parametrize("package", [figures, claims])
def test_every_module_is_named(package):
    """A figure or claim that no rule makes is an error."""
    folder = Path(package.__file__).parent
    modules = {f"{package.__name__}.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert modules - HELPERS == {
        reference.partition(":")[0]
        for reference in REFERENCES
        if reference.startswith(f"{package.__name__}.")
    }


@pytest.mark.parametrize("module", [summary, tables, scale])
def test_every_public_function_is_named(module):
    """But for the writing of files."""
    public = {
        f"{module.__name__}:{name}"
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    assert public - {f"{module.__name__}:write"} == {
        reference for reference in REFERENCES if reference.startswith(f"{module.__name__}:")
    }


def test_every_check_is_named():
    """Functions of the modules of checks that a claim could name."""
    for path in Path(claims.__file__).parent.glob("[!_]*.py"):
        name = f"fgrad.paper.claims.{path.stem}"
        for attribute, value in vars(resolve_name(name)).items():
            if not attribute.startswith("_") and getattr(value, "__module__", "") == name:
                returned = getattr(value, "__annotations__", {}).get("return")
                if name not in HELPERS and getattr(returned, "__name__", "") == "Verdict":
                    assert f"{name}:{attribute}" in REFERENCES


def test_nothing_is_without_words():
    for section in SECTIONS:
        assert section.title
        assert section.number
        assert bool(section.covers) == bool(section.claims)
    for text in (*(one.caption for one in (*FIGURES, *TABLES)), *(one.statement for one in CLAIMS)):
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


def test_the_paper_is_made_without_torch_and_experiments():
    code = "import sys, pkgutil; [pkgutil.resolve_name(name) for name in sys.argv[1:]]; "
    code += "print(*sys.modules)"
    command = [sys.executable, "-c", code, *sorted(set(REFERENCES))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"torch", "fgrad.experiments"} & set(done.stdout.split())


PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_pages_show_the_captions(page):
    """If not: python -m fgrad.paper.captions docs/*/*.md."""
    text = page.read_text(encoding="utf-8")
    assert captions.captioned(text) == text


def test_a_page_is_captioned_once_and_anew():
    page = "![Rates](a/found_rates.png)\n\nText.\n\n![No figure](a/photo.png)\n\n> Said.\n"
    caption = contents.FIGURES["found_rates"].caption
    once = captions.captioned(page)
    assert once == page.replace("\n\nText", f"\n\n> {caption}\n\nText")
    assert captions.captioned(once.replace("found (lines)", "found")) == once
