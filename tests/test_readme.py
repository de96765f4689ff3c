"""What README and docs show works as it stands there."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
EXAMPLES = [
    pytest.param(example, id=page)
    for page in PAGES
    for example in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_python_examples(example):
    found: dict[str, object] = {}
    exec(example, found)
    if "blocks" in found:
        gradients = [parameter.grad for parameter in found["network"].parameters()]
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    else:
        assert found["g"].shape == (8, 100)
