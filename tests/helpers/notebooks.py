"""Notebooks of examples, run from scratch.

`python tests/helpers/notebooks.py` writes their outputs anew.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parents[2] / "examples"


def executed(notebook: NotebookNode) -> NotebookNode:
    """A copy with new outputs; a cell that raises ends it with `nbclient.CellExecutionError`."""
    fresh: NotebookNode = nbformat.from_dict(notebook)
    with TemporaryDirectory() as folder:
        # nothing of the user's settings is read, nothing is left in the home folder
        own = dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"), folder)
        with mock.patch.dict(os.environ, own):
            os.environ.pop("MPLBACKEND", None)
            where = {"metadata": {"path": folder}}
            NotebookClient(
                fresh, record_timing=False, startup_timeout=600, resources=where
            ).execute()
    fresh.metadata = notebook.metadata  # without the version of Python
    return fresh


if __name__ == "__main__":
    for path in EXAMPLES.glob("*.ipynb"):
        nbformat.write(executed(nbformat.read(path, as_version=4)), path)
