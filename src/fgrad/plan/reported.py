"""What the paper reports, entered by somebody who has it, of what a configuration asks for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fgrad.options.base import Name
from fgrad.options.functions import PAPER_STEPS, FunctionName
from fgrad.options.networks import DatasetName, ModelName
from fgrad.plan.rates import Plain, Record, Whole, read_table
from fgrad.plan.sections import Config, Experiment, Gradient
from fgrad.validation import one_of

QUALITY = ("cosine", "norm_ratio")
DESCENT = ("final", "best", "steps")
TRAINING = (
    "test_accuracy_percent",
    "test_loss",
    "val_accuracy_percent",
    "val_loss",
    "train_loss",
    "best_epoch",
    "epochs",
)
METRICS = {
    "functions": DESCENT,
    "angles": (*DESCENT, *QUALITY),
    "fc": TRAINING,
    "sota": TRAINING,
}
"""Experiment → what may be reported of it."""

_KINDS = {"functions": DESCENT, "angles": METRICS["angles"], "networks": TRAINING}
_METRICS = "; ".join(f"{of}: {', '.join(f'`{one}`' for one in its)}" for of, its in _KINDS.items())

Results = dict[str, list[dict[str, Any]]]
"""Experiment → rows as plain values, what is empty left out."""


class Reported(Record):
    """A row of the table of what the paper reports."""

    known = ("mean", "std", "count")

    experiment: Annotated[str, one_of("experiment", METRICS)]
    """Sections 4.2, 4.3, 4.4 and 4.5."""
    model: ModelName | None = None
    """Of `fc` and `sota`."""
    width: Whole | None = None
    """Of the model `fc`."""
    dataset: DatasetName | None = None
    """Of `fc` and `sota`."""
    function: FunctionName | None = None
    """Of `functions` and `angles`, but for `cosine` and `norm_ratio`."""
    n: Whole | None = None
    """Of `functions` and `angles`."""
    angle_deg: Annotated[float, Field(gt=0, lt=180), Plain] | None = None
    """Of `angles`."""
    gradient: Name
    """A name from `gradients`."""
    k: Whole | None = None
    """Number of tangents; empty for `bp`."""
    metric: Annotated[str, Field(title=_METRICS)]
    """What is reported; the validation accuracy and the test's are at the lowest validation loss,
    `train_loss` is the lowest."""
    mean: Annotated[float, Plain]
    """Over the seeds; accuracies in %."""
    std: Annotated[float, Field(ge=0), Plain] | None = None
    """Standard deviation over the seeds; empty: taken to be as ours."""
    count: Whole | None = None
    """Number of seeds; empty: taken to be as ours."""

    @model_validator(mode="after")
    def _of_its_experiment(self) -> Self:
        allowed = METRICS[self.experiment]
        if self.metric not in allowed:
            names = ", ".join(allowed)
            raise ValueError(f"metric = {self.metric[:80]!r}: {self.experiment} has {names}")
        needed, possible = self._columns()
        for name in ("model", "width", "dataset", "function", "n", "angle_deg"):
            empty = getattr(self, name) is None
            if empty and name in needed:
                raise ValueError(f"{name}: required for {self.metric} of {self.experiment}")
            if not empty and name not in (*needed, *possible):
                raise ValueError(f"{name}: leave it empty for {self.metric} of {self.experiment}")
        if self.metric.endswith("_percent") and not 0 <= self.mean <= 100:
            raise ValueError(f"mean = {self.mean:g}: {self.metric} is from 0 to 100")
        return self

    def _columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Columns that are needed, and others that may be given."""
        if self.experiment == "functions":
            return ("function", "n"), ()
        if self.experiment == "angles":
            return ("n", "angle_deg", *(("function",) if self.metric in DESCENT else ())), ()
        return ("model", "dataset"), (("width",) if self.model == "fc" else ())


def about(config: Config, path: Path, jobs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Results:
    """Rows about what a configuration asks for; others are left alone.

    Args:
        config: the configuration.
        path: the table; it may have no rows.
        jobs: section → options of its runs.

    Raises:
        ConfigError: a line for each of the first wrong rows.
    """
    asked = {
        "functions": _cells(jobs["functions"], ("function", "n", "gradient", "k")),
        "angles": _cells(_at_angles(jobs), ("function", "n", "gradient", "k", "angle_deg")),
        "fc": _cells(jobs["fc"], ("model", "width", "dataset", "gradient", "k")),
        "sota": _cells(jobs["sota"], ("model", "width", "dataset", "gradient", "k")),
    }
    asked["angles"] |= _qualities(config)
    results: Results = {}
    for row in read_table(path, Reported):
        plain = row.model_dump(exclude_none=True)
        cell = {name: value for name, value in plain.items() if name not in _OF_RESULT}
        if frozenset(cell.items()) in asked[row.experiment]:
            results.setdefault(row.experiment, []).append(plain)
            if row.metric in QUALITY:  # is told apart by aggregation, whatever it is called
                plain["aggregation"] = config.gradients[row.gradient].aggregation
    return results


_OF_RESULT = ("experiment", "metric", *Reported.known)


def _cells(
    runs: Iterable[Mapping[str, Any]], names: tuple[str, ...]
) -> set[frozenset[tuple[str, Any]]]:
    return {
        frozenset((name, run[name]) for name in names if run.get(name) is not None) for run in runs
    }


def _at_angles(jobs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterable[dict[str, Any]]:
    for run in jobs["angle_functions"]:
        for angle in run["angle"]:
            yield {**run, "angle_deg": angle}


def _qualities(config: Config) -> set[frozenset[tuple[str, Any]]]:
    """Cells whose quality is measured at an angle."""
    section = config.angles
    names = [
        name
        for name, one in config.gradients.items()
        if one.aggregation in config.quality.aggregations
    ]
    return _cells(
        (
            {"n": section.n, "angle_deg": angle, "gradient": name, "k": k}
            for angle in section.angle
            for name in names
            for k in section.quality_k
        ),
        ("n", "angle_deg", "gradient", "k"),
    )


def unlike(config: Config, experiment: str) -> str:
    """How a run differs from what the paper ran, in words; empty if it does not."""
    found = _descents(config, experiment) or _trainings(config, experiment)
    approaches = {"fg-mean": "mean", "frog": "projection"}
    for name, own in config.gradients.items():
        paper = Gradient(aggregation=approaches[name], k=own.k) if name in approaches else own
        if own != paper:
            found.append(f"{name} is another approach")
    return ", ".join(found)


def _descents(config: Config, experiment: str) -> list[str]:
    if experiment not in ("functions", "angles"):
        return []
    section = config.functions
    own = section.functions if experiment == "functions" else (config.angles.function,)
    found = [
        f"{section.steps[name]:,} steps on {name} instead of {PAPER_STEPS[name]:,}"
        for name in own
        if section.steps[name] != PAPER_STEPS.get(name, section.steps[name])
    ]
    return found + (
        [f"patience {section.patience} instead of 50"] if section.patience != 50 else []
    )


def _trainings(config: Config, experiment: str) -> list[str]:
    if experiment not in ("fc", "sota"):
        return []
    own: Experiment = getattr(config.networks, experiment)
    paper = type(own)(models=own.models, widths=own.widths, datasets=own.datasets, seeds=own.seeds)
    options = (
        "epochs",
        "batch",
        "patience",
        "perturb",
        "optimizer",
        "schedule",
        "augment",
        "reduce",
    )
    return [
        f"{name} {getattr(own, name)} instead of {getattr(paper, name)}"
        for name in options
        if getattr(own, name) != getattr(paper, name)
    ]
