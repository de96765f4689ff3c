"""Folders of made-up results, to compare."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fgrad.options.functions import FunctionRun
from fgrad.options.networks import TrainRun
from fgrad.options.quality import QualityRun
from fgrad.store import parquet, schemas
from fgrad.validation import Model

STEPS = 30


def descents(
    folder: Path,
    gradient: str = "fg-mean",
    seeds: Sequence[int] = range(5),
    *,
    factor: float = 1.0,
    noise: float = 0.0,
    late: float = 1.0,
    lr: float = 0.1,
    spread: float = 0.05,
    function: str = "sphere",
    k: int = 4,
    **known: Any,
) -> None:
    """A run of descents whose logarithms of values fall at a rate that each seed draws.

    Args:
        folder: working directory of the workflow.
        gradient: its name; ``bp`` has no k, and no chance in it.
        seeds: of the descents.
        factor: of all rates: another formula.
        noise: relative, of the values from step 20 on: what rounding has grown to.
        late: factor of the values from then on.
        lr: learning rate; it is a factor too, as little as it matters.
        spread: of the rates over seeds.
        function: its name.
        k: number of tangents.
        known: other provenance.
    """
    tangents = None if gradient == "bp" else k
    run = FunctionRun(
        function=function,
        n=8,
        gradient=gradient,
        k=tangents,
        lr=lr,
        steps=STEPS,
        seeds=tuple(seeds),
    )
    step, values = np.arange(STEPS + 1), []
    for seed in seeds:
        draws = np.random.default_rng([seed, tangents or 0])
        rate = 0.2 * factor * (1 + spread * draws.normal() * (tangents is not None))
        value = 8 * np.exp(-rate * step)
        rounding = np.random.default_rng([seed, 1]).normal(size=len(step))
        values.append(value * np.where(step >= 20, late * np.exp(noise * rounding), 1))
    columns = {
        "seed": np.repeat(list(seeds), len(step)),
        "step": np.tile(step, len(seeds)),
        "value": np.concatenate(values),
    }
    fixed = {"function": function, "n": 8, "gradient": gradient, "k": tangents, "lr": lr}
    stop = [{"angle_deg": None, "seed": s, "steps": STEPS, "stop": "completed"} for s in seeds]
    path = folder / f"results/runs/functions/{function}/n8/{gradient}.parquet"
    _write(path, run, schemas.FUNCTIONS, columns | fixed, stop=stop, **known)


def samples(folder: Path, count: int = 200, *, seed: int = 0, factor: float = 1.0) -> None:
    """A run of section 4.1 with one row; ``factor`` is of all estimates: another formula."""
    run = QualityRun(n=(8,), k=(4,), samples=count, seed=seed)
    cosine = np.tanh(np.random.default_rng(seed).normal(1, 0.3, count))
    columns = {
        "sample": np.arange(count),
        "true_norm": np.full(count, 2.0),
        "estimate_norm": 2 * factor * cosine,
        "norm_ratio": factor * cosine,
        "difference_norm": 2 * np.abs(1 - factor * cosine),
        "dot": 4 * factor * cosine**2,
        "cosine": cosine,
    }
    fixed = {"n": 8, "k": 4, "aggregation": "projection", "normalized": False}
    path = folder / "results/runs/quality/n8_0.parquet"
    _write(path, run, schemas.QUALITY, columns | fixed)


def training(
    folder: Path, seed: int, *, noise: float = 0.0, seconds: float = 1.0, gradient: str = "bp"
) -> None:
    """A training of three epochs; ``noise`` is what rounding has grown to in the first of them."""
    run = TrainRun(
        model="fc", width=256, dataset="mnist5k", gradient=gradient, lr=0.1, seed=seed, epochs=3
    )
    draws, more = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    rate = 0.5 * (1 + 0.02 * draws.normal()) * (1 + noise * more.normal())
    epoch = np.arange(4)
    columns: dict[str, Any] = {"epoch": epoch, "train_seconds": np.full(4, seconds)}
    columns["eval_seconds"] = np.full(4, seconds / 2)
    for part in ("train", "val", "test"):
        columns[f"{part}_loss"] = 2.3 * np.exp(-rate * epoch)
        columns[f"{part}_accuracy"] = 1 - 0.9 * np.exp(-rate * epoch)
    fixed = {"experiment": "fc", "model": "fc", "width": 256, "dataset": "mnist5k"}
    fixed |= {"gradient": gradient, "lr": 0.1, "seed": seed}
    path = folder / f"results/runs/fc/fc_w256/mnist5k/{gradient}/seed{seed}.parquet"
    _write(path, run, schemas.NETWORKS, columns | fixed, stop="completed", n=522)


def change(folder: Path, column: str, values: Callable[[Any], Any] | None) -> None:
    """Make other values of a column of each result, or leave it out."""
    for path in sorted((folder / "results/runs").rglob("*.parquet")):
        table = parquet.table(path)
        place = table.column_names.index(column)
        if values is None:
            table = table.remove_column(place)
        else:
            changed = pa.array(values(table.to_pandas()), table.schema.field(place).type, from_pandas=False)  # fmt: skip
            table = table.set_column(place, table.schema.field(place), changed)
        parquet.save(path, table, parquet.provenance(path))


def claims(folder: Path, verdicts: Mapping[str, str]) -> None:
    """Claims of one section with these verdicts."""
    path = folder / "results/paper/claims/quality.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    judged = [{"name": name, "section": "4.1", "verdict": one} for name, one in verdicts.items()]
    path.write_text(json.dumps(judged))


def table(folder: Path, rows: Iterable[str]) -> None:
    """The table of final values."""
    path = folder / "results/paper/tables/final_values.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "function,n,gradient,k,lr,count,final_mean,final_std,diverged"
    path.write_text("\n".join([head, *rows]) + "\n")


def _write(
    path: Path, run: Model, schema: schemas.Schema, columns: Mapping[str, Any], **known: Any
) -> None:
    made = {"code": "0123", "device": "cpu", "stop": "completed"} | known
    parquet.write(path, schema, columns, run=run.model_dump(mode="json"), **made)
    parquet.restamp(path, **known)  # also what is written of this machine
