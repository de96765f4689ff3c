"""How much there is to do in a job: what its time depends on; torch is not imported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgrad.options.base import JobOptions
from fgrad.options.functions import FunctionComparison, FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.plugins import is_reference, short
from fgrad.problems.registry import DATASETS

SIZES = ("n", "k", "seeds", "rates", "width", "reduce", "batch", "units")
"""Numbers that the time of a unit depends on, and how many units there are at most."""

STAGES = 3
"""Of a search for the rate of a descent, each of which is one batch of descents."""

NETWORKS = {"lenet5": (4e5, 2e-3), "resnet18": (7e6, 1e-2), "vit": (4e7, 1.5e-2)}
"""Multiplications of a forward pass of a sample of 28 × 28, and seconds that a step takes however
small the network is."""

OTHERS = (2e7, 1e-2)
"""Of networks that are not known."""


@dataclass(frozen=True)
class Work:
    """What a job has to do.

    Args:
        kind: of the job, by the name of its rule.
        what: function, or network and data set; the method of a measurement.
        how: aggregation, or ``bp``.
        sizes: by the names in `SIZES`.
    """

    kind: str
    what: str
    how: str
    sizes: Mapping[str, float]

    @property
    def units(self) -> float:
        """Samples, steps or epochs, at most."""
        return self.sizes["units"]

    @property
    def nominal(self) -> float:
        """Seconds of a unit on one core, roughly: ratios between jobs are what it is good for."""
        return _NOMINAL[self.kind](self)

    def distance(self, other: "Work") -> float:
        """How unlike two jobs of a kind are: 1 for a size that is e times another one."""
        apart = 0.0 if self.how == other.how else 0.5
        if self.what != other.what:
            apart += 2.0 if self.what.split("/")[0] == other.what.split("/")[0] else 4.0
        for name in SIZES:
            weight = 0.25 if name == "units" else 1.0
            ratio = self.sizes.get(name, 1) / other.sizes.get(name, 1)
            apart += weight * abs(math.log(ratio))
        return apart


def work_of(kind: type[JobOptions], run: Mapping[str, Any]) -> Work:
    """The work of a job.

    Args:
        kind: of its options.
        run: options, as plain values.
    """
    return _WORKS[kind](run)


def _measure(run: Mapping[str, Any]) -> Work:
    one = run.get("approach") or {}
    how = one.get("estimator") or one.get("aggregation") or ""
    if run["method"] == "exact":
        sizes = {"n": len(run["n"]), "k": len(run["k"]), "units": run["samples"]}
        return Work("measure_quality", "exact", "", sizes)
    n = max(run["n"])
    k = max((k for k in run["k"] if k <= n), default=min(run["k"]))
    return Work("measure_quality", "direct", how, {"n": n, "k": k, "units": run["samples"]})


def _task(run: Mapping[str, Any]) -> tuple[str, str, dict[str, float]]:
    """Function, aggregation and sizes of a descent."""
    approach = run["approach"]
    how = approach.get("estimator") or approach["aggregation"] or "bp"
    return run["function"], how, {"n": run["n"], "k": run["k"] or 1}


def _descend(run: Mapping[str, Any]) -> Work:
    what, how, sizes = _task(run)
    units = run["steps"] * max(1, len(run["angle"]))
    return Work("descend_function", what, how, sizes | {"seeds": len(run["seeds"]), "units": units})


def _compare(run: Mapping[str, Any]) -> Work:
    one = _descend(run)
    twice = 2 if run.get("published") else 1
    return Work(one.kind, one.what, one.how, {**one.sizes, "units": twice * one.units})


def _search_function(run: Mapping[str, Any]) -> Work:
    what, how, sizes = _task(run)
    stages = STAGES if run["evaluations"] >= 4 else 1
    sizes |= {"seeds": run["repeats"], "rates": run["evaluations"] / stages}
    units = stages * run["steps"] * max(1, len(run["angle"]))
    return Work("search_function", what, how, sizes | {"units": units})


def _train(run: Mapping[str, Any], kind: str = "train_network", times: int = 1) -> Work:
    approach = run["approach"]
    how = approach.get("estimator") or approach["aggregation"] or "bp"
    data = run["dataset"]
    batch = run["batch"] or (64 if is_reference(data) else DATASETS[data].batch)
    sizes = {"k": run["k"] or 1, "reduce": run["reduce"], "batch": batch}
    sizes |= {"width": run["width"] or 256} if run["model"] == "fc" else {}
    units = max(1, times * run["epochs"])
    return Work(kind, f"{short(run['model'])}/{short(data)}", how, sizes | {"units": units})


def _search_network(run: Mapping[str, Any]) -> Work:
    return _train(run, "search_network", run["evaluations"])


_WORKS = {
    QualityRun: _measure,
    FunctionRun: _descend,
    FunctionComparison: _compare,
    FunctionSearch: _search_function,
    TrainRun: _train,
    NetworkSearch: _search_network,
}


def _of_sample(work: Work) -> float:
    n, k = work.sizes["n"], work.sizes["k"]
    if work.what == "exact":
        return 3e-6 * n * k
    return 3e-4 + 3e-9 * n * k + 1.6e-11 * n * k**2


def _of_step(work: Work) -> float:
    drawn = work.sizes["seeds"] * work.sizes["n"] * work.sizes["k"]
    return 1e-4 + drawn * (3e-9 + 4e-10 * work.sizes.get("rates", 0))


def _of_epoch(work: Work) -> float:
    model, dataset = work.what.split("/", 1)
    data = DATASETS[dataset] if dataset in DATASETS else DATASETS["mnist"]
    sizes = work.sizes
    if model == "fc":
        width = max(1.0, sizes["width"] / sizes["reduce"])
        each, step = width * (data.channels * data.size**2 + width + data.classes), 8e-4
    else:
        each, step = NETWORKS.get(model, OTHERS)
        each *= (data.size / 28) ** 2 / sizes["reduce"] ** 2
    samples = 3 * data.train + data.train + data.val + data.test  # a step is three passes
    return 1e-10 * each * samples + step * data.train / sizes["batch"]


_NOMINAL = {
    "measure_quality": _of_sample,
    "descend_function": _of_step,
    "search_function": _of_step,
    "train_network": _of_epoch,
    "search_network": _of_epoch,
}
