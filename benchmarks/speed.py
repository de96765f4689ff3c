"""Speed against the textbook versions, as ratios of CPU time on the same work in one process.

The textbook: one seed, one step, one tangent after the other, each directional derivative a call of
`torch.autograd.forward_ad`; for quality, fresh tangents for every sample, k and aggregation.

Usage: python benchmarks/speed.py
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from rich.progress import track
from torch.autograd import forward_ad

from fgrad import jobs
from fgrad.experiments import descent, quality
from fgrad.gradients.estimators import draw
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.plan import runs
from fgrad.problems.registry import FUNCTIONS

ROOT = Path(__file__).parent.parent
REPEATS = 5


def textbook_descent(run: FunctionRun, steps: int) -> None:
    """`fgrad.experiments.descent.descend`, written plainly."""
    f = FUNCTIONS[run.function].value
    start = FUNCTIONS[run.function].start
    for seed in run.seeds:
        generator = torch.Generator().manual_seed(seed)
        x = torch.full((run.n,), float(start[1]))
        x[0] = start[0]
        for _ in range(steps):
            if run.k is None:
                x.requires_grad_()
                (gradient,) = torch.autograd.grad(f(x), x)
                x = x.detach()
            else:
                tangents, derivatives = [], []
                for _ in range(run.k):
                    v = torch.randn(run.n, generator=generator)
                    with forward_ad.dual_level():
                        value = f(forward_ad.make_dual(x, v))
                        d = forward_ad.unpack_dual(value).tangent
                    tangents.append(v)
                    derivatives.append(torch.zeros(()) if d is None else d)
                v, d = torch.stack(tangents, 1), torch.stack(derivatives)
                if run.gradient == "frog":
                    v, d = v[:, : run.n], d[: run.n]
                    gradient = v @ torch.linalg.solve(v.T @ v, d)
                else:
                    gradient = v @ d / run.k
            x = x - run.lr * gradient
            f(x).item()


def textbook_quality(run: QualityRun) -> None:
    """`fgrad.experiments.quality.direct`, written plainly."""
    (n,) = run.n
    generator = torch.Generator().manual_seed(run.seed)
    gradient = torch.ones(n)
    pairs = [(name, False) for name in run.aggregations] + [(name, True) for name in run.normalized]
    for _ in range(run.samples):
        for k in run.k:
            for aggregation, normalized in pairs:
                v = torch.randn(n, k, generator=generator)
                if normalized:
                    v /= v.norm(dim=0)
                if aggregation == "projection":
                    v = v[:, :n]
                    estimate = v @ torch.linalg.solve(v.T @ v, v.T @ gradient)
                else:
                    estimate = v @ (v.T @ gradient) / (k if aggregation == "mean" else 1)
                norm, true = estimate.norm(), gradient.norm()
                dot = estimate @ gradient
                difference = (estimate - gradient).norm()
                torch.stack([true, norm, norm / true, difference, dot, dot / norm / true]).tolist()


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, float]:
    """Median CPU seconds of both, taken in turn, and the median ratio of the pairs."""
    ours(), theirs()
    pairs = [(cpu(ours), cpu(theirs)) for _ in range(REPEATS)]
    times = [median(column) for column in zip(*pairs, strict=True)]
    return times[0], times[1], median(b / a for a, b in pairs)


def descent_row() -> tuple[str, float, float, float, str]:
    values = dict[str, Any](function="styblinski-tang", n=1024, gradient="frog", k=16, lr=0.0293)
    run = FunctionRun(**values, seeds=(0, 1, 2, 3, 4), steps=64)
    result = compare(lambda: descent.descend(run), lambda: textbook_descent(run, 64))
    return ("descent, Styblinski–Tang, n = 1024, frog k = 16, 5 seeds, 64 steps", *result, "20")


def grid_row() -> tuple[str, float, float, float, str]:
    """The grid of 4.2 by the time of a step: 64 steps of ours and 2 of the textbook, each row."""
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    _, found = runs.load(paper, ROOT / "config")
    ours = theirs = 0.0
    for job in track(list(found.jobs["functions"].values()), "whole grid of 4.2"):
        full = FunctionRun(**job.options)
        run = full.model_copy(update={"steps": 64, "patience": 10**6})
        steps = 50 if FUNCTIONS[run.function].degenerate_n == run.n else full.steps
        ours += cpu(partial(descent.descend, run)) / 64 * steps
        theirs += cpu(partial(textbook_descent, run, 2)) / 2 * steps
    return (
        "whole grid of 4.2, from the time of a step of each row",
        ours,
        theirs,
        theirs / ours,
        "15",
    )


def quality_row(n: int, samples: int, wanted: str) -> tuple[str, float, float, float, str]:
    run = QualityRun(
        n=(n,), k=tuple(2**i for i in range(11)), samples=samples, normalized=("mean", "sum")
    )
    result = compare(lambda: quality.direct(run, n), lambda: textbook_quality(run))
    return (f"quality, direct, n = {n}, all k and aggregations, {samples} samples", *result, wanted)


def exact_seconds() -> float:
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    _, found = runs.load(paper, ROOT / "config")
    run = QualityRun(**found.jobs["exact"]["exact"].options)
    with tempfile.TemporaryDirectory() as folder:
        return cpu(lambda: jobs.carry_out(run, Path(folder) / "exact.parquet"))


def drawing_share() -> float:
    """Part of a descent step, n = 1024, frog k = 16, five seeds, that drawing tangents takes."""
    run = FunctionRun(
        function="styblinski-tang", n=1024, gradient="frog", k=16, lr=0.0293, seeds=(0, 1, 2, 3, 4),
        steps=64,
    )  # fmt: skip
    generators = [torch.Generator().manual_seed(seed) for seed in run.seeds]
    draws = run.steps // 16  # ELEMENTS of one seed at a time

    def drawn() -> None:
        for _ in range(draws):
            draw(run.how, (16, 16, 1024), generators)

    return compare(lambda: descent.descend(run), drawn)[2]


def search_row(n: int) -> tuple[str, float, float, float]:
    """Half of a search's rates in one batch, and as descents of their own."""
    values = dict[str, Any](function="rosenbrock", n=n, gradient="frog", k=16, lr=1e-6)
    run = FunctionRun(**values, seeds=(0, 1, 2, 3, 4), steps=64)
    rates = [1e-6 * 1.05**i for i in range(50)]

    def one_by_one() -> None:
        for lr in rates:
            descent.descend(run.model_copy(update={"lr": lr}))

    result = compare(lambda: descent.descend_all(run, rates, run.seeds), one_by_one)
    return (f"Rosenbrock, n = {n}, frog k = 16: 50 rates, 5 seeds, 64 steps", *result)


def gram_share() -> float:
    """Part of a quality sample at n = 4096 that the Gram matrix of 1,024 tangents alone takes."""
    run = QualityRun(n=(4096,), k=tuple(2**i for i in range(11)), samples=2)
    v = torch.randn(2, 1024, 4096)
    return compare(lambda: quality.direct(run, 4096), lambda: v @ v.mT)[2] / 2


def householder_ratio() -> float:
    """Time of float64 Gram matrix and factor over a float32 Householder factor, n = 1024."""
    v = torch.randn(2, 1024, 1024)
    wide = v.double()
    return compare(lambda: torch.geqrf(v), lambda: torch.linalg.cholesky_ex(wide @ wide.mT))[2]


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = [
        descent_row(),
        grid_row(),
        quality_row(64, 32, "8"),
        quality_row(1024, 3, "2.5"),
        quality_row(4096, 2, "2.5"),
    ]
    print("| work, one thread | fgrad, CPU s | textbook, CPU s | ratio | at least |")
    print("|---|---|---|---|---|")
    for name, ours, theirs, ratio, wanted in rows:
        print(f"| {name} | {ours:.3g} | {theirs:.3g} | {ratio:.1f} | {wanted} |")
    print("\n| search, one thread | one batch, CPU s | one by one, CPU s | ratio |")
    print("|---|---|---|---|")
    for name, ours, theirs, ratio in map(search_row, (4, 64, 1024)):
        print(f"| {name} | {ours:.3g} | {theirs:.3g} | {ratio:.1f} |")
    print(f"\nDrawing of tangents in a descent step: {drawing_share():.0%}")
    print(f"Half a Gram matrix in a quality sample, n = 4096: {gram_share():.0%}")
    print(f"Float64 Gram matrix and factor over float32 Householder: {householder_ratio():.1f} x")
    print(f"\n`exact`, the whole grid to n = 10⁹, written as Parquet: {exact_seconds():.1f} s")


if __name__ == "__main__":
    main()
