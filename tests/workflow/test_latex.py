"""The tables of a real run in one PDF."""

import pytest
from compiled import check

from fgrad.paper.tables import document

pytestmark = [pytest.mark.workflow, pytest.mark.latex]


def test_the_tables_of_a_small_run_compile_and_fit(project):
    project.run("latex")
    pdf = project.work / "results/paper/tables.pdf"
    assert pdf.read_bytes().startswith(b"%PDF")
    assert project.planned("latex") == {}
    tex = sorted(map(str, (project.work / "results/paper/tables").glob("*.tex")))
    check(document.compile_tables(tex, str(pdf)), pdf)
