"""What ``fgrad compare`` prints, writes and refuses, and how it ends."""

import re
import sys
import zipfile
from pathlib import Path

import compared
import pytest

from fgrad import cli


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders that differ in one row of two."""
    for name, factor in (("a", 1.0), ("b", 2.0)):
        compared.descents(tmp_path / name, factor=factor)
        compared.descents(tmp_path / name, "frog")
    return tmp_path / "a", tmp_path / "b"


def fgrad(monkeypatch, *arguments):
    """The exit status, or what is said with one that is not 0."""
    monkeypatch.setattr(sys, "argv", ["fgrad", "compare", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


def test_the_same_ends_with_0(sides, monkeypatch, capsys):
    a, b = sides
    assert fgrad(monkeypatch, a, a) == 0
    assert capsys.readouterr().out.endswith("the same\n")
    assert fgrad(monkeypatch, a, b, "--only", "functions", "--gradient", "frog") == 0


def test_a_difference_ends_with_1_and_names_the_row(sides, monkeypatch, capsys):
    assert fgrad(monkeypatch, *sides) == 1
    said = capsys.readouterr().out
    assert "rows: 1 identical, 1 different" in said
    assert "different: functions: sphere, n = 8, fg-mean, k = 4 (from the start" in said
    assert said.endswith("not the same: 1 row different\n")


def test_reports_say_it_too(sides, monkeypatch, tmp_path):
    out = tmp_path / "new/report"
    assert fgrad(monkeypatch, *sides, "--output", out) == 1
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.md"]
    markdown, page = ((out / f"report.{end}").read_text() for end in ("md", "html"))
    for text in (markdown, page):
        assert "A against B: not the same: 1 row different" in text
        assert "sphere, n = 8, fg-mean, k = 4" in text
        assert "functions/sphere/n8/frog" in text
    assert page.count("<svg") == 1
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_names_of_folders_are_text(sides, monkeypatch, tmp_path):
    a, b = sides
    nasty = tmp_path / "<script>|*x*"
    a.rename(nasty)
    assert fgrad(monkeypatch, nasty, b, "--output", tmp_path) == 1
    assert "<script>" not in (tmp_path / "report.html").read_text()
    assert r"&lt;script>\|\*x\*" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere", "no such folder or bundle"),
        ("empty", "no results; a folder with results/runs or a bundle is needed"),
        ("notes.txt", "a folder of results or a bundle (.zip) is needed"),
    ],
)
def test_what_holds_no_results_is_refused_in_a_line(sides, monkeypatch, tmp_path, given, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no bundle")
    path = tmp_path / given
    for pair in ((sides[0], path), (path, sides[0])):
        assert fgrad(monkeypatch, *pair) == f"fgrad: {path}: {said}"


def test_nothing_in_common_is_refused(monkeypatch, tmp_path):
    compared.descents(tmp_path / "a")
    compared.samples(tmp_path / "b")
    a, b = tmp_path / "a", tmp_path / "b"
    assert fgrad(monkeypatch, a, b) == (
        f"fgrad: {a}, {b}: no run of one is comparable with one of the other"
    )


def test_unknown_names_are_refused(sides, monkeypatch):
    assert fgrad(monkeypatch, *sides, "--only", "quality") == (
        "fgrad: only = quality: no run of it on either side; there are functions"
    )
    assert fgrad(monkeypatch, *sides, "--gradient", "bp") == (
        "fgrad: gradient = bp: no run of it on either side; there are fg-mean, frog"
    )


def test_a_target_that_cannot_be_written_is_refused(sides, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert fgrad(monkeypatch, *sides, "--output", tmp_path / "file") == (
        f"fgrad: {tmp_path / 'file'}: {tmp_path / 'file'} is a file; "
        "a folder that can be written is needed"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_bundle_is_refused_in_a_line(sides, monkeypatch, tmp_path):
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("notes.txt", "no bundle")
    said = fgrad(monkeypatch, sides[0], bundle)
    assert isinstance(said, str)
    assert said.startswith("fgrad: ")
    assert "please report it" not in said
