"""The notebook in examples does what it says, from scratch; what is committed is a run of it."""

import base64
import re

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from notebooks import EXAMPLES, executed

import fgrad

pytestmark = pytest.mark.long

NOTEBOOK = nbformat.read(EXAMPLES / "compare_estimators.ipynb", as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
STRICT = "import warnings\nwarnings.simplefilter('error')"


def outputs(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    return [output for cell in cells for output in cell.get("outputs", ())]


def kinds(cells: list[nbformat.NotebookNode]) -> list[list[object]]:
    """Of the outputs of each cell: text of which stream, data of which types."""
    return [[one.get("name") or sorted(one.data) for one in outputs([cell])] for cell in cells]


def strictly(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells, run with warnings as errors."""
    first = nbformat.v4.new_code_cell(STRICT)
    whole = nbformat.v4.new_notebook(cells=[first, *cells], metadata=NOTEBOOK.metadata)
    return executed(whole).cells[1:]


def test_what_it_says_is_true():
    """Its statements are assertions in its cells."""
    found = strictly(CODE)
    assert sum(cell.source.count("assert ") for cell in CODE) > 8
    assert kinds(found) == kinds(CODE)
    assert {one.name for one in outputs(found) if one.output_type == "stream"} == {"stdout"}


@pytest.mark.parametrize("source", ["assert 1 > 2", "warnings.warn('mind')"])
def test_what_is_not_true_is_found(source):
    with pytest.raises(CellExecutionError):
        strictly([nbformat.v4.new_code_cell(source)])


def test_it_was_run_in_order():
    assert len(CODE) <= 10
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))


def test_it_tells_nothing_of_the_machine():
    assert NOTEBOOK.metadata.language_info == {"name": "python"}
    assert not any(cell.metadata for cell in NOTEBOOK.cells)
    for one in outputs(CODE):
        text = str({**one, "data": {**one.get("data", {}), "image/png": ""}})
        assert not re.search(r"(?<![\w.])(/[\w.-]+){2,}|\b[A-Z]:\\", text), text


def test_its_figures_are_small():
    figures = [one.data["image/png"] for one in outputs(CODE) if "data" in one]
    assert len(figures) == 4
    assert max(len(base64.b64decode(figure)) for figure in figures) < 60_000


def test_it_knows_the_public_face_alone():
    source = "\n".join(cell.source for cell in CODE)
    assert "from fgrad" not in source
    assert set(re.findall(r"\bfgrad\.(\w+)", source)) <= set(fgrad.__all__)
