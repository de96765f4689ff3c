"""Pages, figures, tables and verdicts in docs are what `make docs` makes of the summaries kept there."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

HOME = Path(__file__).resolve().parent.parent
MAKE = runpy.run_path(str(HOME / "docs/make.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("docs")
    MAKE["make"](HOME / "docs", target)
    return target


def test_nothing_in_docs_is_stale(made):
    """To the last byte, figures too; a figure that nobody refers to is one that nobody makes."""
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    stale = [
        str(path)
        for path in files
        if not (HOME / "docs" / path).is_file()
        or (HOME / "docs" / path).read_bytes() != (made / path).read_bytes()
    ]
    assert stale == [], "make docs"
    for run in MAKE["RUNS"]:
        for folder in ("figures", "tables"):
            own = {
                path.relative_to(HOME / "docs") for path in (HOME / "docs" / run / folder).glob("*")
            }
            if (HOME / "docs" / run / "summary").is_dir():
                assert own <= set(files)


def test_there_is_something_to_compare(made):
    assert (made / "paper/claims.md").is_file()
    assert len(list(made.rglob("*.png"))) > 10


def test_a_page_that_says_something_else_is_stale(made, tmp_path):
    """Captions are written anew from what was run."""
    page = tmp_path / "docs/paper/README.md"
    page.parent.mkdir(parents=True)
    page.write_text("![Quality](figures/quality.png)\n\n> Something else.\n", encoding="utf-8")
    (page.parent / "summary").symlink_to(HOME / "docs/paper/summary")
    MAKE["make"](tmp_path / "docs", tmp_path / "out")
    text = (tmp_path / "out/paper/README.md").read_text(encoding="utf-8")
    assert "Something else" not in text
    assert "> The paper, section 4.1" in text
    assert (tmp_path / "out/paper/figures/quality.png").read_bytes() == (
        made / "paper/figures/quality.png"
    ).read_bytes()
