"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest
import torch

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("example", EXAMPLES)
def test_python_examples(example):
    found: dict[str, object] = {}
    exec(example, found)
    if "blocks" in found:
        gradients = [parameter.grad for parameter in found["network"].parameters()]
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    else:
        assert found["g"].shape == (8, 100)
