"""Every kind of network × perturbation × mode × training × precision: equal to a reference, or refused.

`python tests/helpers/matrix.py` writes the table of docs/networks.md.
"""

import copy
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chains import left
from kinds import KINDS, made
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fgrad.gradients.approach import APPROACHES
from fgrad.gradients.estimators import draw
from fgrad.gradients.perturbation import Perturbation

FROG = APPROACHES["frog"]
PERTURBED, MODES = ("activations", "weights"), ("sim", "fwad")
TRAINING, DTYPES = (True, False), (torch.float32, torch.float64)
TOLERANCE = {torch.float32: 2e-3, torch.float64: 1e-7}
VERSION = torch.__version__.partition("+")[0]
PAGE = Path(__file__).parents[2] / "docs/networks.md"


@dataclass(frozen=True)
class Cell:
    """What came of one gradient: how far it is off, relative to the largest entry, or why not."""

    off: float = 0.0
    refused: str = ""


def seeded() -> None:
    torch.manual_seed(3)
    np.random.seed(3)


def projected(v: Tensor, g: Tensor) -> Tensor:
    """[*, n] onto the span of v [k, n], in float64."""
    if len(v) >= v.shape[1]:
        return g
    basis = torch.linalg.svd(v.double(), full_matrices=False)[2]
    projection: Tensor = g.double() @ basis.mT @ basis
    return projection.to(g.dtype)


def reference(net: nn.Sequential, x: Tensor, y: Tensor, k: int, perturb: str) -> list[Tensor]:
    """By plain autograd on a chain cut between its blocks."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    seeded()
    if perturb == "weights":
        gradients = torch.autograd.grad(
            cross_entropy(net(x), y), parameters, allow_unused=True, materialize_grads=True
        )
        flat = torch.cat([g.flatten() for g in gradients])
        v = drawn(k, len(flat), flat)
        parts = projected(v, flat).split([p.numel() for p in parameters])
        return [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]
    inputs, outputs, a = [], [], x
    for block in net:
        given = a if a is x else a.detach().requires_grad_()
        inputs.append(given)
        a = block(given.clone() if given is not x else x.clone())
        outputs.append(a)
    last = outputs[-1].detach().requires_grad_()
    deltas = list(torch.autograd.grad(cross_entropy(last, y), last))
    for given, output in zip(inputs[:0:-1], outputs[:0:-1], strict=True):
        deltas += torch.autograd.grad(output, given, deltas[-1], retain_graph=True)
    deltas.reverse()
    flat = torch.cat([delta.flatten(1) for delta in deltas], 1)
    estimates = projected(drawn(k, flat.shape[1], flat), flat)
    total = [torch.zeros_like(p) for p in parameters]
    parts = estimates.split([delta[0].numel() for delta in deltas], 1)
    for output, part in zip(outputs, parts, strict=True):
        found = torch.autograd.grad(
            output, parameters, part.reshape(output.shape), True, allow_unused=True
        )
        total = [t if g is None else t + g for t, g in zip(total, found, strict=True)]
    return total


def drawn(k: int, n: int, like: Tensor) -> Tensor:
    return draw(FROG, (k, n), torch.Generator(like.device).manual_seed(0), dtype=like.dtype)


def state(net: nn.Module) -> list[Any]:
    """Buffers, counters, weights, and where the generators stand."""
    counters = [getattr(m, name, None) for m in net.modules() for name in ("calls", "sizes")]
    buffers = [b.clone() for b in net.buffers()]
    numpys = np.random.get_state(legacy=False)["state"]["key"].copy()
    weights = [p.detach().clone() for p in net.parameters()]
    random = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return [*buffers, *weights, *random, numpys, copy.deepcopy(counters)]


def alike(a: list[Any], b: list[Any], tolerance: float) -> bool:
    for one, other in zip(a, b, strict=True):
        if isinstance(one, Tensor) and one.is_floating_point():
            if not torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True):
                return False
        elif isinstance(one, list):
            if one != other:
                return False
        elif isinstance(one, Tensor):
            if not torch.equal(one, other):
                return False
        elif not np.array_equal(one, other):
            return False
    return True


def cell(
    kind: str,
    perturb: str,
    mode: str,
    training: bool,
    dtype: torch.dtype,
    enough: bool,
    device: str = "cpu",
) -> Cell:
    """With k = 3 tangents, fewer than samples, or enough of them for ∇f itself."""
    net, x, y = made(kind, dtype, device)
    net.train(training)
    g = torch.Generator(device).manual_seed(0)
    options: dict[str, Any] = {"perturb": perturb, "mode": mode, "sampling": "explicit"}
    seeded()
    before = state(net)
    try:
        asked = Perturbation(net, FROG, 1, g, **options)
        n = asked.n(x, y)
        if training:
            asked.true_gradient(x, y)
        assert alike(before, state(net), 0), "measuring left a trace"
        k = 2 * n if enough else 3
        Perturbation(net, FROG, k, g, **options)(x, y)
    except ValueError as error:
        assert "\n" not in str(error)
        return Cell(refused=str(error))
    found = left(net)
    after = state(net)
    plain, x, y = made(kind, dtype, device)
    plain.train(training)
    expected = reference(plain, x, y, k, perturb)
    assert alike(after, state(plain), 1e-5), "a step left another state than a plain pass"
    largest = max(float(one.abs().max()) for one in expected)
    return Cell(
        max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / largest
    )


def cells(
    kind: str, perturb: str, mode: str, device: str = "cpu"
) -> dict[tuple[bool, torch.dtype, bool], Cell]:
    settings = product(TRAINING, DTYPES, (True, False))
    return {one: cell(kind, perturb, mode, *one, device) for one in settings}


def said(found: dict[tuple[bool, torch.dtype, bool], Cell]) -> str:
    """A row's entry: refused, in which mode of the network, or the largest deviation in float64."""
    refused = {training for (training, _, _), one in found.items() if one.refused}
    if len(refused) == len(TRAINING):
        return "refused"
    off = max(one.off for (_, dtype, _), one in found.items() if dtype == torch.float64)
    equal = f"equal ({off:.0e})" if off else "equal"
    return (
        f"{equal}; refused in {'training' if True in refused else 'evaluation'}"
        if refused
        else equal
    )


def table() -> str:
    heads = [f"{p}, `{m}`" for p in PERTURBED for m in MODES]
    lines = ["| network | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    reasons: dict[str, str] = {}
    tried = equal = refused = 0
    worst = dict.fromkeys(DTYPES, 0.0)
    for kind in KINDS:
        row = []
        for perturb, mode in product(PERTURBED, MODES):
            found = cells(kind, perturb, mode)
            row.append(said(found))
            tried += len(found)
            refused += sum(bool(one.refused) for one in found.values())
            for (_, dtype, _), one in found.items():
                worst[dtype] = max(worst[dtype], one.off)
                if one.refused:
                    reasons.setdefault(kind, one.refused)
        lines.append(f"| {kind} | " + " | ".join(row) + " |")
    equal = tried - refused
    summary = (
        f"torch {VERSION}: {tried} gradients tried, {equal} equal, {refused} refused. Largest deviation, relative to "
        f"the largest entry: {worst[torch.float64]:.0e} in float64, {worst[torch.float32]:.0e} in float32."
    )
    why = [f"- {kind}: {reason}" for kind, reason in reasons.items()]
    return "\n".join([*lines, "", summary, "", "Refused, in these words:", "", *why])


def main() -> None:
    page = PAGE.read_text()
    marked = re.compile(r"(<!-- table -->\n).*(<!-- end of table -->)", re.DOTALL)
    made_now = table()
    PAGE.write_text(marked.sub(lambda m: f"{m[1]}\n{made_now}\n\n{m[2]}", page))
    print(made_now)


if __name__ == "__main__":
    main()
