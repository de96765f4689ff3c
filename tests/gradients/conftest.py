"""Fixtures of what a step of a network is made of."""

import pytest
from chains import Seen, recorded


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Tangents, directional derivatives and coefficients of every call."""
    return recorded(monkeypatch)
