"""Whether what LaTeX made of tables is fit to print."""

import re
from pathlib import Path

TOLERANCE = 0.0
"""Points that a line may be wider, or a float higher, than its place."""


def check(log: str, pdf: Path) -> None:
    """Everything fits, every label is defined, every character is there."""
    over = [float(points) for points in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt too", log)]
    assert [points for points in over if points > TOLERANCE] == []
    assert "undefined" not in log
    assert "multiply defined" not in log
    assert not re.search(r"^! ", log, re.M)
    assert "Missing character" not in log
    assert "Float too large" not in log
    assert pdf.read_bytes().startswith(b"%PDF")
