"""Summaries of the shape that the paper's scale gives, with made-up numbers, for tables."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

METHODS = (
    [("bp", None)] + [("fg-mean", k) for k in (1, 2, 4, 16)] + [("frog", k) for k in (2, 4, 16)]
)
INTEGERS = {"n": "Int64", "k": "Int64", "width": "Int64"}


def _described(
    rows: list[Any], values: dict[str, tuple[float, float]], seed: int = 0
) -> pd.DataFrame:
    """Each value log-uniform between two bounds, with a deviation of 10⁻³ to 1 times it."""
    frame = pd.DataFrame(rows).astype({k: v for k, v in INTEGERS.items() if k in rows[0]})
    draws = np.random.default_rng(seed)
    for name, (low, high) in values.items():
        mean = 10 ** draws.uniform(np.log10(low), np.log10(high), len(frame))
        frame[f"{name}_mean"] = mean
        frame[f"{name}_std"] = mean * 10 ** draws.uniform(-3, 0, len(frame))
    return frame


def functions(angles: tuple[float | None, ...] = (None,)) -> pd.DataFrame:
    """Sections 4.2 and 4.3: 264 rows."""
    names, sizes = ("sphere", "rosenbrock", "styblinski-tang"), [2**i for i in range(11)]
    rows = [
        {"function": name, "n": n, "gradient": gradient, "k": k, "angle_deg": angle, "count": 5}
        for name, n, (gradient, k), angle in product(names, sizes, METHODS, angles)
    ]
    values = {
        "final": (1e-26, 4e4),
        "best": (1e-26, 4e4),
        "steps": (1, 25000),
        "log_left": (1e-6, 1),
    }
    frame = _described(rows, values)
    frame["angle_deg"] = frame["angle_deg"].astype(float)
    frame["lr"] = 10 ** np.random.default_rng(1).uniform(-6, 0, len(frame))
    frame["degenerate"] = (frame["function"] == "rosenbrock") & (frame["n"] == 1)
    frame["diverged"] = np.where(frame.index % 40 == 7, 2, 0)
    frame.loc[frame["diverged"] > 0, "final_mean"] = np.inf
    frame.loc[frame["diverged"] > 0, "final_std"] = np.nan
    tang = frame["function"] == "styblinski-tang"
    frame.loc[tang, "final_mean"] = -39.16599 * frame.loc[tang, "n"].astype(float) * 0.9
    frame.loc[tang & (frame["n"] == 4), "final_std"] = 0.0
    frame["start"], frame["minimum"] = 4.0, 0.0
    return frame.assign(completed=5 - frame["diverged"], stalled=0)


def angle_functions() -> pd.DataFrame:
    frame = functions((15.0, 30.0, 45.0, 60.0, 75.0, 90.0))
    own = (frame["function"] == "styblinski-tang") & (frame["n"] == 64) & (frame["k"] == 16)
    other = frame[own].assign(k=64).astype({"k": "Int64"})
    return pd.concat([frame[own], other], ignore_index=True)


def quality(angles: tuple[float | None, ...] = (None,)) -> pd.DataFrame:
    """Sections 4.1 and 4.3: 935 rows."""
    sizes = [2**i for i in range(17)] if angles == (None,) else [64]
    tangents = [2**i for i in range(11)] if angles == (None,) else [4, 16, 64]
    ways = [("projection", False), ("mean", False), ("sum", False)]
    ways += [("mean", True), ("sum", True)] if angles == (None,) else []
    rows = [
        {"n": n, "k": k, "aggregation": a, "normalized": unit, "angle_deg": angle, "count": 1000}
        for n, k, (a, unit), angle in product(sizes, tangents, ways, angles)
    ]
    frame = _described(rows, {"cosine": (4e-3, 1), "norm_ratio": (1e-3, 300)})
    return frame.astype({"angle_deg": float})


def networks(models: list[tuple[str, int | None]], datasets: tuple[str, ...]) -> pd.DataFrame:
    """Section 4.4 or 4.5."""
    rows = [
        {"experiment": "fc", "model": model, "width": width, "dataset": dataset, "n": 2058,
         "gradient": gradient, "k": k, "lr": 0.0123, "count": 3}
        for (model, width), dataset, (gradient, k) in product(models, datasets, METHODS)
    ]  # fmt: skip
    frame = _described(rows, {"train_seconds": (3, 4000), "log_train_loss": (1e-6, 1)})
    frame["test_accuracy_mean"] = np.linspace(0.12, 0.9934, len(frame))
    frame["test_accuracy_std"] = np.linspace(0.0006, 0.02, len(frame))
    return frame.assign(diverged=np.where(frame.index == 5, 1, 0), completed=0, stalled=3)


def fc() -> pd.DataFrame:
    return networks([("fc", width) for width in (256, 1024, 4096)], ("mnist",))


def sota() -> pd.DataFrame:
    return networks([("resnet18", None), ("vit", None)], ("mnist", "cifar10"))


def search(of: pd.DataFrame) -> pd.DataFrame:
    """What a search for each of these rows found."""
    frame = of.assign(published=of["lr"] * 1.1, loss=0.01234567, within=4, tried=100, edge="")
    frame = frame.assign(widened=False, minimum=0.0, start=1.0, selected=True)
    frame.loc[frame.index[::9], "edge"] = "high"
    frame.loc[frame.index[::9], "widened"] = True
    return frame


def compared(of: pd.DataFrame) -> pd.DataFrame:
    """Found against published rates of each of these rows."""
    rows = of[
        [
            one
            for one in of
            if one in ("model", "width", "dataset", "function", "n", "gradient", "k", "angle_deg")
        ]
    ]
    values = {"found": (1e-9, 4e4), "published": (1e-9, 4e4)}
    frame = pd.concat(
        [rows.reset_index(drop=True), _described(rows.to_dict("records"), values).iloc[:, -4:]],
        axis=1,
    )
    frame = frame.assign(
        found_lr=0.00123457, published_lr=0.1, found_diverged=0, published_diverged=0
    )
    frame = frame.assign(
        ratio=1.0234, ratio_low=0.00123, ratio_high=12.3, verdict="equal", degenerate=False
    )
    frame.loc[frame.index[::7], "verdict"] = "both diverge"
    frame.loc[frame.index[::7], ["found_mean", "published_mean"]] = np.nan
    return frame


BY_NAME = {
    "functions": functions, "angle_functions": angle_functions, "quality": quality, "fc": fc, "sota": sota,
    "angle_quality": lambda: quality((15.0, 30.0, 45.0, 60.0, 75.0, 90.0)),
    "search_functions": lambda: search(functions()), "compared_functions": lambda: compared(functions()),
    "search_angles": lambda: search(angle_functions()), "compared_angles": lambda: compared(angle_functions()),
    "search_fc": lambda: search(fc()), "compared_fc": lambda: compared(fc()),
    "search_sota": lambda: search(sota()), "compared_sota": lambda: compared(sota()),
}  # fmt: skip
"""Summary → what it is at the paper's scale."""
