"""Networks of every kind: the gradient of a reference in every mode, or a refusal; never another."""

from itertools import product

import pytest
import torch
from kinds import KINDS
from matrix import MODES, PAGE, PERTURBED, TOLERANCE, VERSION, cells, said

pytestmark = [
    # a plain pass of what is refused: its checkpoint wants a gradient of the data
    pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning"),
    # torch's compiler looks for one wherever it passes
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]  # fmt: skip

REFUSED = {
    "spectral norm": "weights",
    "weight norm": "weights",
    "weight norm by hooks": "weights",
    "rounding by a function of one's own": "both",
    "weights under no_grad": "both",
    "randomised ReLU": "both",
    "checkpointed block": "both",
}
"""Kinds that forward mode refuses: where tangents perturb weights, or both."""

ALWAYS = {"checkpointed block, reentrant": "torch.utils.checkpoint", "output cut off": "detached"}


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("perturb", PERTURBED)
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_a_reference_or_refused(kind, perturb, mode):
    found = cells(kind, perturb, mode)
    for (_, dtype, _), cell in found.items():
        assert cell.refused or cell.off < TOLERANCE[dtype]
    refused = {cell.refused for cell in found.values() if cell.refused}
    if kind in ALWAYS:
        assert perturb == "weights" or all(ALWAYS[kind] in line for line in refused)
        assert perturb == "weights" or len(refused) > 0
    elif mode == "sim" or REFUSED.get(kind) not in ("both", perturb):
        assert not refused
    else:
        assert refused
    if f"torch {VERSION}:" in PAGE.read_text():
        assert_on_page(kind, perturb, mode, said(found))


def assert_on_page(kind: str, perturb: str, mode: str, entry: str) -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {kind} |"))
    there = row.split("|")[2 + list(product(PERTURBED, MODES)).index((perturb, mode))]
    assert without_digits(there) == without_digits(entry)


def without_digits(entry: str) -> str:
    return entry.partition("(")[0].strip() + entry.partition(")")[2].strip()


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("perturb", PERTURBED)
@pytest.mark.parametrize("kind", KINDS)
def test_on_the_gpu_too(kind, perturb, mode):
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        found = cells(kind, perturb, mode, "cuda")
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    for (_, dtype, _), cell in found.items():
        assert cell.refused or cell.off < TOLERANCE[dtype]
    for (training, _, _), cell in found.items():
        if cell.refused and mode == "sim" and kind not in ALWAYS:
            assert not training
            assert "cudnn RNN backward" in cell.refused  # as a plain backward pass is
