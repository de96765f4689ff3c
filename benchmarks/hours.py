"""How long sections 4.4 and 4.5 take on this machine's GPU, or on one core where there is none.

A few steps and a part of an evaluation of every network, data set and gradient of the paper are
timed; the hours are those of all epochs, should no run stop early. On a GPU the share of the time
in which it computes is printed as well.

Usage: python benchmarks/hours.py
"""

import time
from pathlib import Path

import torch
import yaml
from rich.progress import track

from fgrad.experiments.device import choose_device
from fgrad.experiments.state import EVALUATED, State
from fgrad.options.networks import TrainRun
from fgrad.plan import runs
from fgrad.problems.data import Split
from fgrad.problems.registry import DATASETS

ROOT = Path(__file__).parent.parent
STEPS = 3 if choose_device("auto").type == "cpu" else 30


def measure(run: TrainRun, device: torch.device) -> tuple[float, float, float]:
    """Seconds of a step, seconds of the evaluation of a sample, share of time the GPU computes."""
    data = DATASETS[run.dataset]

    def split(n: int) -> Split:
        images = torch.randn(n, data.channels, data.size, data.size, device=device)
        return Split(images, torch.randint(data.classes, (n,), device=device))

    batch = run.batch or data.batch
    state = State(run, (split(STEPS * batch), split(EVALUATED), split(1)))
    state.step_through()
    state.wait()
    start = time.perf_counter()
    state.step_through()
    state.wait()
    step = (time.perf_counter() - start) / STEPS
    state.evaluate()
    start = time.perf_counter()
    state.evaluate()
    evaluated = sum(len(part.labels) for part in state.data)
    sample = (time.perf_counter() - start) / evaluated
    busy = float("nan")
    if device.type == "cuda":
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            state.step_through()
            state.wait()
        kernels = sum(event.self_device_time_total for event in profiler.key_averages())
        busy = kernels / 1e6 / STEPS / step
    return step, sample, busy


def main() -> None:
    """Print the table and the sum."""
    torch.set_num_threads(1)
    device = choose_device("auto")
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    _, found = runs.load(paper, ROOT / "config")
    rows: dict[tuple[str, str], list[tuple[TrainRun, float, float, float]]] = {}
    timed: dict[tuple[object, ...], tuple[float, float, float]] = {}
    jobs = [*found.jobs["fc"].values(), *found.jobs["sota"].values()]
    for job in track(jobs):
        run = TrainRun(**job.options)
        name = run.model if run.width is None else f"{run.model}-{run.width}"
        key = name, run.dataset, run.gradient, run.k
        if key not in timed:
            timed[key] = measure(run, device)
        rows.setdefault((name, run.dataset), []).append((run, *timed[key]))
    print(f"Measured on {device if device.type == 'cpu' else torch.cuda.get_device_name(device)}\n")
    print("| network | data | steps/s, bp | steps/s, frog k = 16 | GPU busy | hours of its runs |")
    print("|---|---|---|---|---|---|")
    total = 0.0
    for (name, dataset), each in rows.items():
        data = DATASETS[dataset]
        samples = data.train + data.val + data.test
        seconds = sum(
            run.epochs * (-(-data.train // (run.batch or data.batch)) * step + samples * sample)
            for run, step, sample, _ in each
        )
        total += seconds / 3600
        bp, frog = (
            next(step for run, step, *_ in each if (run.gradient, run.k) == method)
            for method in (("bp", None), ("frog", 16))
        )
        busy = f"{each[-1][3]:.0%}" if device.type == "cuda" else ""
        speeds, hours = f"{1 / bp:.3g} | {1 / frog:.3g}", f"{seconds / 3600:.3g}"
        print(f"| {name} | {dataset} | {speeds} | {busy} | {hours} |")
    print(f"\nAll {len(jobs)} runs, one after the other: {total:,.0f} hours")


if __name__ == "__main__":
    main()
