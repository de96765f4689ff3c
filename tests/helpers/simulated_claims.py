"""Data on which the truth is known, with and without the effect that a claim is about.

``python tests/helpers/simulated_claims.py`` judges each claim on many such sets and writes how often
it errs, and how often it finds what is there, to docs/paper/power.md: the test of the tests.
"""

# mypy: no-warn-return-any
# scipy and pandas have none for what they compute

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fgrad.gradients import laws
from fgrad.paper.contents import CLAIMS
from fgrad.paper.evidence import trend
from fgrad.paper.evidence.check import LEVEL

Rng = np.random.Generator
APPROACHES = [("bp", None), *(("fg-mean", k) for k in (1, 2, 4, 16)), *(("frog", k) for k in (2, 4, 16))]  # fmt: skip
SEEDS = 5


def skewed(rng: Rng, size: int) -> np.ndarray:
    """Noise with a long tail: a few seeds are far worse than the others."""
    return 0.3 * rng.gamma(0.5, 1.0, size)


def descents(rng: Rng, left: Callable[[str, int, str, int | None], float], functions: tuple[str, ...] = ("sphere", "styblinski-tang"), dimensions: tuple[int, ...] = (16, 64, 256), angle: float | None = None) -> pd.DataFrame:  # fmt: skip
    """Seeds of descents that leave 10^left of their gap, and skewed noise; at 10⁻⁶ there is a floor."""
    rows = []
    for function in functions:
        for n in dimensions:
            for gradient, k in APPROACHES:
                noise = skewed(rng, SEEDS) if k else np.zeros(SEEDS)
                values = np.maximum(left(function, n, gradient, k) + noise, -6.0)
                for seed, value in enumerate(values):
                    row = {"function": function, "n": n, "gradient": gradient, "k": k, "seed": seed}
                    row |= {"log_left": value, "degenerate": False, "allowed": 25_000}
                    rows.append(row | {"tuned": False, "diverged": False, "angle_deg": angle})
    return pd.DataFrame(rows).astype({"k": "Int64"})


def trainings(rng: Rng, lost: Callable[[int, str, int | None], float], networks: tuple[tuple[str, int | None, int], ...] = (("fc", 64, 138), ("fc", 256, 522), ("fc", 1024, 2058)), seeds: int = 3, dataset: str = "mnist") -> pd.DataFrame:  # fmt: skip
    """Trainings whose losses are 10^lost, whose errors are a tenth of lost + 2, and noise that seeds share."""
    rows = []
    for model, width, n in networks:
        shared = 0.05 * rng.standard_normal(seeds)
        for gradient, k in APPROACHES:
            for seed in range(seeds):
                value = lost(n, gradient, k) + shared[seed] + 0.02 * rng.standard_normal()
                row: dict[str, Any] = {
                    "model": model,
                    "width": width,
                    "dataset": dataset,
                    "gradient": gradient,
                }
                row |= {"k": k, "n": n, "seed": seed, "log_train_loss": value, "tuned": False}
                row |= {
                    "test_accuracy": 1 - (value + 2) / 10,
                    "allowed": 200,
                    "seconds": 60.0,
                    "reduce": 1,
                }
                row |= {"equal_time_accuracy": 1 - (value + 2) / 10}
                rows.append(row | {"completed": False, "diverged": False})
    return pd.DataFrame(rows).astype({"k": "Int64", "width": "Int64"})


def qualities(rng: Rng, off: Callable[[str, int, int], float] = lambda a, n, k: 1.0, angles: tuple[float | None, ...] = (None,), tilt: float = 1.0, count: int = 1000) -> pd.DataFrame:  # fmt: skip
    """What theory expects times ``off``, with the error of a mean over ``count`` samples."""
    rows = []
    for angle in angles:
        for n in (1, 16, 64, 256, 1024):
            for k in (1, 4, 16, 64):
                expected = {
                    "projection": float(laws.projection_ratio(n, min(n, k))),
                    "mean": float(laws.mean_cosine(n, k)),
                }
                for aggregation, cosine in expected.items():
                    factor = off(aggregation, n, k)
                    if angle is not None and aggregation == "mean":
                        factor *= (angle / 90) ** tilt
                    exact = n == 1 or (aggregation == "projection" and n <= k)
                    spread = 0.0 if exact else 0.7 * n**-0.5
                    row: dict[str, Any] = {
                        "n": n,
                        "k": k,
                        "aggregation": aggregation,
                        "normalized": False,
                    }
                    row |= {"angle_deg": angle, "count": count, "true_norm_mean": n**0.5}
                    values = {"cosine": (cosine, spread), "dot": (float(n), n * (2 / k) ** 0.5)}
                    square = float(laws.mean_squared_ratio(n, k))
                    values["squared_ratio"] = square, 0.1 * square
                    for name, (value, std) in values.items():
                        noise = std / count**0.5 * rng.standard_normal()
                        row |= {f"{name}_mean": value * factor + noise, f"{name}_std": std}
                    row["margin_min"] = 0.0 if aggregation == "projection" else 0.01
                    rows.append(row)
    return pd.DataFrame(rows)


def narrow(rng: Rng, tilt: float) -> pd.DataFrame:
    """Quality at n = 64 of tangents at three angles."""
    frame = qualities(rng, angles=(15.0, 45.0, 90.0), tilt=tilt, count=4000)
    return frame[frame["n"] == 64]


def with_k(function: str, n: int, gradient: str, k: int | None, flat: str = "", step: float = 0.3) -> float:  # fmt: skip
    """Part of the gap that falls with k, and for frog, but for one gradient."""
    if k is None:
        return -5.0
    return -1.0 if gradient == flat else -1.0 - step * np.log2(k) - 0.2 * (gradient == "frog")


def without_order(function: str, n: int, gradient: str, k: int | None) -> float:
    """On the sphere all alike; bp, which has no noise, amid the others."""
    if function != "sphere":
        return with_k(function, n, gradient, k)
    return -1.0 if k else -1.0 + float(0.3 * stats.gamma.median(0.5))


def with_n(function: str, n: int, gradient: str, k: int | None, flat: bool = False) -> float:
    """A distance to bp that grows with n, but for one approach."""
    if k is None:
        return -4.0
    return -3.0 if flat and (gradient, k) == ("frog", 4) else -4.0 + 0.4 * np.log2(n)


def lost(n: int, gradient: str, k: int | None, flat: str = "", step: float = 0.05, grows: float = 0.1) -> float:  # fmt: skip
    """Loss that falls with k and for frog, further from bp the larger n, but for one gradient."""
    if k is None:
        return -2.0
    behind = grows * np.log2(n / 64)
    if gradient == flat:
        return -1.0 + behind
    return -1.0 + behind - step * np.log2(k) - 0.05 * (gradient == "frog")


def paired(shift: float) -> Callable[[Rng], pd.DataFrame]:
    """Descents whose frog is fg-mean's, each seed above or below by chance, and a shift."""

    def make(rng: Rng) -> pd.DataFrame:
        frame = descents(rng, with_k)
        mean = frame[frame["gradient"] == "fg-mean"].set_index(["function", "n", "k", "seed"])
        own = frame["gradient"] == "frog"
        keys = pd.MultiIndex.from_frame(frame.loc[own, ["function", "n", "k", "seed"]])
        noise = shift + rng.choice([-1, 1], own.sum()) * rng.gamma(1, 0.2, own.sum())
        frame.loc[own, "log_left"] = mean["log_left"].reindex(keys).to_numpy() + noise
        return frame

    return make


def paired_trainings(shift: float) -> Callable[[Rng], pd.DataFrame]:
    """The same of trainings."""

    def make(rng: Rng) -> pd.DataFrame:
        frame = trainings(rng, lost)
        by = ["width", "k", "seed"]
        mean = frame[frame["gradient"] == "fg-mean"].set_index(by)
        own = frame["gradient"] == "frog"
        keys = pd.MultiIndex.from_frame(frame.loc[own, by])
        noise = shift + 0.1 * rng.standard_normal(own.sum())
        value = mean["log_train_loss"].reindex(keys).to_numpy() + noise
        frame.loc[own, "log_train_loss"] = value
        frame.loc[own, "test_accuracy"] = 1 - (value + 2) / 10
        return frame

    return make


def diverging(make: Callable[..., pd.DataFrame], share: float) -> Callable[[Rng], pd.DataFrame]:
    """Runs that diverge by chance."""

    def made(rng: Rng) -> pd.DataFrame:
        frame = pd.concat([make(rng) for _ in range(10)], ignore_index=True)
        return frame.assign(diverged=rng.random(len(frame)) < share)

    return made


def at_angles(step: float) -> Callable[[Rng], pd.DataFrame]:
    """fg-mean's descents, that end lower the wider the angle."""

    def make(rng: Rng) -> pd.DataFrame:
        def part(a: int) -> pd.DataFrame:
            left = -1.0 - step * a
            return descents(rng, lambda f, n, g, k: left, ("sphere",), (64,), 15.0 * a)

        return pd.concat([part(a) for a in range(1, 7)], ignore_index=True)

    return make


def opening(opened: bool) -> Callable[[Rng], pd.DataFrame]:
    """Dimensions in which the single tangent fails in about half of the seeds, or always."""

    def make(rng: Rng) -> pd.DataFrame:
        frame = descents(rng, with_k, dimensions=(4, 8, 16, 32, 64, 128, 256, 512))
        noise = rng.standard_normal(len(frame))
        high = frame["k"].fillna(0) == 1
        value = np.where(high, -0.5, -2.0) if opened else np.where(high, -0.5, -1.0)
        return frame.assign(log_left=value + (0.1 if opened else 1.0) * noise)

    return make


def searched(share: float) -> Callable[[Rng], pd.DataFrame]:
    """Rows whose found rate is worse by chance."""

    def make(rng: Rng) -> pd.DataFrame:
        worse = rng.random(278) < share
        frame = pd.DataFrame({"function": "sphere", "n": range(278), "gradient": "bp"})
        constant = {"degenerate": False, "found_lr": 0.2, "published_lr": 0.1, "ratio": 1.3}
        constant |= {"ratio_low": 1.1, "ratio_high": 1.5, "found_diverged": 0}
        constant |= {"published_diverged": 0, "found_low": -3.0, "published_high": -3.0}
        return frame.assign(**constant, verdict=np.where(worse, "worse", "equal"))

    return make


Make = Callable[[Rng], pd.DataFrame]


def both(make: Callable[..., pd.DataFrame], without: Any, present: Any) -> tuple[Make, Make]:
    """Data without the effect and with it."""
    return (lambda rng: make(rng, without)), (lambda rng: make(rng, present))


LAW = both(qualities, lambda a, n, k: 1.022, lambda a, n, k: 1.0)
MORE = both(descents, partial(with_k, flat="frog"), partial(with_k, step=0.1))
TRAIN = both(trainings, partial(lost, flat="frog"), partial(lost, step=0.04))
GAP = both(trainings, partial(lost, grows=0.0), lost)
SAME = 0.0212  # the bound of as good, log₁₀ 1.05
AGAINST: dict[str, tuple[Make, Make]] = {
    "projection-follows-theory": LAW,
    "mean-is-unbiased": LAW,
    "mean-norm-follows-theory": LAW,
    "extension-follows-theory": LAW,
    "projection-quality-ignores-angle": LAW,
    "more-tangents-approximate-better": both(
        qualities,
        lambda a, n, k: float(laws.projection_ratio(64, 1) / laws.projection_ratio(64, k)) if n == 64 else 1.0,
        lambda a, n, k: 1.0,
    ),
    "mean-quality-needs-angle": (partial(narrow, tilt=0.0), partial(narrow, tilt=1.0)),
    "single-tangent-fades": both(qualities, lambda a, n, k: (n / 128) ** 0.055, lambda a, n, k: 1.0),
    "projection-gains-with-k-over-n": both(
        qualities, lambda a, n, k: 1.08 if a == "projection" and k / n <= 1 / 64 else 1.0, lambda a, n, k: 1.0
    ),
    "more-tangents-optimise-better": MORE,
    "projection-optimises-better": (paired(SAME), paired(-0.3)),
    "multi-tangent-opens-dimensions": (opening(False), opening(True)),
    "gap-to-the-gradient-grows-with-n": both(descents, partial(with_n, flat=True), with_n),
    "descents-rarely-diverge": (diverging(partial(descents, left=with_k), 0.05), diverging(partial(descents, left=with_k), 0.001)),
    "quality-predicts-progress": both(
        descents, without_order, with_k
    ),
    "mean-descent-needs-angle": (at_angles(0.0), at_angles(0.2)),
    "more-tangents-train-better": TRAIN,
    "projection-trains-better": (paired_trainings(SAME), paired_trainings(-0.15)),
    "gap-grows-with-width": GAP,
    "fc-more-tangents-win-at-equal-time": TRAIN,
    "fc-trainings-rarely-diverge": (diverging(partial(trainings, lost=lost), 0.05), diverging(partial(trainings, lost=lost), 0.0)),
    "more-tangents-classify-better": TRAIN,
    "projection-classifies-better": (paired_trainings(10 * 0.005), paired_trainings(-0.15)),
    "gap-grows-with-size": GAP,
    "sota-more-tangents-win-at-equal-time": TRAIN,
    "sota-trainings-rarely-diverge": (diverging(partial(trainings, lost=lost), 0.05), diverging(partial(trainings, lost=lost), 0.0)),
    "found-rates-descend-as-far": (searched(0.1), searched(0.02)),
    "found-rates-at-an-angle-descend-as-far": (searched(0.1), searched(0.02)),
    "found-rates-train-as-well": (searched(0.1), searched(0.02)),
    "found-rates-classify-as-well": (searched(0.1), searched(0.02)),
}  # fmt: skip
"""Each claim's data just without its effect, and with it."""

CERTAIN = {"projection-is-best", "projection-descent-ignores-angle"}
"""Claims without chance in them: an inequality of every sample, curves that are the same."""


def verdicts(name: str, present: bool, repeats: int) -> pd.Series:
    """How often a claim gets each verdict."""
    check = resolve_name(CLAIMS[name].check)
    found = [
        check(AGAINST[name][present](np.random.default_rng((7, i)))).verdict for i in range(repeats)
    ]
    return (
        pd.Series(found).value_counts().reindex(["holds", "fails", "not decidable"], fill_value=0)
    )


def too_often(errors: int, repeats: int) -> bool:
    """Whether there are more errors than the stated rate explains."""
    return bool(stats.binom.sf(errors - 1, repeats, LEVEL) < 1e-3)


def shares(name: str, repeats: int) -> list[float]:
    """Of the sets without an effect, and of those with one, where a claim holds, and fails."""
    trend.DRAWS = 4_999
    none, some = (verdicts(name, present, repeats) for present in (False, True))
    counts = (none["holds"], none["fails"], some["holds"], some["fails"])
    return [count / repeats for count in counts]


def main(path: Path = Path("docs/paper/power.md"), repeats: int = 400) -> None:
    """Write the table."""
    lines = [
        "# The test of the tests",
        "",
        f"Each claim judged on {repeats} simulated sets of data just without its effect and on as many",
        "with it, by `python tests/helpers/simulated_claims.py`. Where a statement is made for several groups,",
        f"one of them is without effect. Stated error: {LEVEL:.0%} each.",
        "",
        "| claim | without: holds | without: fails | with: holds (power) | with: fails |",
        "|---|---|---|---|---|",
    ]
    with ProcessPoolExecutor() as pool:
        for name, row in zip(AGAINST, pool.map(shares, AGAINST, repeat(repeats)), strict=True):
            lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in row)} |")
            print(lines[-1], flush=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    given: list[Any] = [*map(Path, sys.argv[1:2]), *map(int, sys.argv[2:3])]
    main(*given)
