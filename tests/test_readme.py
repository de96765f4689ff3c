"""What README and docs show works as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from fgrad import jobs
from fgrad.options.functions import FunctionRun

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
README = (ROOT / "README.md").read_text()
EXAMPLES = [
    pytest.param(example, id=page)
    for page in PAGES
    for example in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


@pytest.fixture(scope="module")
def a_run(tmp_path_factory) -> Path:
    """A folder with some descents of the demo."""
    folder = tmp_path_factory.mktemp("examples")
    for gradient, k, name in (
        ("bp", None, "bp"),
        ("frog", 4, "frog_k4"),
        ("fg-mean", 4, "fg-mean_k4"),
    ):
        run = FunctionRun(function="sphere", n=64, gradient=gradient, k=k, lr=0.01, steps=5)
        jobs.carry_out(run, folder / f"demo/results/runs/functions/sphere/n64/{name}.parquet")
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_python_examples(example, a_run, monkeypatch):
    found: dict[str, Any] = {}
    monkeypatch.chdir(a_run)
    exec(example, found)
    if "runs" in found:
        assert set(found["runs"]["gradient"]) == {"frog", "fg-mean"}
    elif "blocks" in found:
        gradients = [parameter.grad for parameter in found["network"].parameters()]
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    else:
        assert found["g"].shape == (8, 100)


COMMANDS = re.findall(r"^fgrad (?:descend|measure|train|search) .*$", README, re.M)


def test_no_command_writes_over_the_output_of_another():
    outputs = re.findall(r"--output (\S+)", "\n".join(COMMANDS))
    assert len(set(outputs)) == len(outputs) == len(COMMANDS) > 4


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_a_value(command):
    """And so an effect."""
    assert not re.search(r"--\S+ (?=--|$)", command + " --")
