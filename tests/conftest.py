"""Fixtures shared by all tests."""

import os
import shutil

# jobs run on one thread, and so do tests, beside each other; read when NumPy is imported
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` run where a GPU is, ``latex`` where pdflatex is."""
    if shutil.which("pdflatex") is None:
        without = pytest.mark.skip(reason="no pdflatex")
        for item in items:
            if "latex" in item.keywords:
                item.add_marker(without)
    if not torch.cuda.is_available():
        without = pytest.mark.skip(reason="no GPU")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(without)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Thread counts change bits."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)
