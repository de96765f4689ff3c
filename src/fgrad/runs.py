"""From the configuration and its learning-rate tables to runs: one plain dict for each job.

Nothing here imports torch, and no result depends on this module: a job is handed its run.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from fgrad.config import (
    Aggregation,
    Approach,
    Count,
    Degrees,
    FunctionName,
    FunctionRun,
    Model,
    Name,
    QualityRun,
    Seed,
    TrueGradient,
    Unique,
    unique,
    validate,
)
from fgrad.networks import DatasetName, ModelName, TrainOptions, TrainRun
from fgrad.rates import FunctionRow, NetworkRow, read_table, refuse_missing


class Gradient(Approach):
    """An approach and the numbers of tangents it is run with; none for backpropagation."""

    k: Annotated[tuple[Count, ...], AfterValidator(unique)] = ()
    """Numbers of tangents."""

    @model_validator(mode="after")
    def _needs_k(self) -> Self:
        if (self.aggregation is None) != (self.k == ()):
            raise ValueError("k lists the numbers of tangents of an aggregation; none without one")
        return self


class QualityBlock(Model):
    """Dimensions that share a number of samples."""

    n: Unique[Count]
    samples: Count


class QualitySection(Model):
    """Section 4.1."""

    seed: Seed
    gradient: TrueGradient
    k: Unique[Count]
    aggregations: Unique[Aggregation]
    normalized: Annotated[tuple[Aggregation, ...], AfterValidator(unique)]
    direct: Annotated[tuple[QualityBlock, ...], Field(min_length=1)]
    exact: QualityBlock
    job_size: Count
    """n × samples of one job at most."""

    @model_validator(mode="after")
    def _dimensions_once(self) -> Self:
        unique(tuple(n for block in self.direct for n in block.n))
        return self


class FunctionsSection(Model):
    """Section 4.2."""

    learning_rates: str
    functions: Unique[FunctionName]
    n: Unique[Count]
    steps: dict[FunctionName, Count]
    patience: Count
    seeds: Unique[Seed]
    mode: Literal["sim", "fwad"]

    @model_validator(mode="after")
    def _steps_given(self) -> Self:
        missing = [name for name in self.functions if name not in self.steps]
        if missing:
            raise ValueError(f"steps: no number of steps for {', '.join(missing)}")
        return self


class AnglesSection(Model):
    """Section 4.3."""

    learning_rates: str
    angle: Unique[Degrees]
    n: Annotated[int, Field(ge=2, strict=True)]
    quality_k: Unique[Count]
    samples: Count
    function: FunctionName
    optimize_k: Unique[Count]
    gradients: Unique[str]
    seeds: Unique[Seed]


class Experiment(TrainOptions):
    """Networks of section 4.4 or 4.5, data sets and seeds, and how they are trained."""

    models: Unique[ModelName]
    widths: Annotated[tuple[Count, ...], AfterValidator(unique)] = ()
    """Hidden widths of fc."""
    datasets: Unique[DatasetName]
    rates_of: DatasetName | None = None
    """Data set whose learning rates are taken; none for each data set's own."""
    seeds: Unique[Seed]

    @model_validator(mode="after")
    def _widths_are_of_fc(self) -> Self:
        if self.widths and "fc" not in self.models:
            raise ValueError("widths are for model fc, which is not among the models")
        return self


class NetworksSection(Model):
    """Sections 4.4 and 4.5."""

    learning_rates: str
    data_dir: str
    fc: Experiment
    sota: Experiment


class Config(Model):
    """The whole configuration."""

    gradients: Annotated[dict[Name, Gradient], Field(min_length=1)]
    quality: QualitySection
    functions: FunctionsSection
    angles: AnglesSection
    networks: NetworksSection

    @model_validator(mode="after")
    def _known_gradients(self) -> Self:
        for name in self.angles.gradients:
            if name not in self.gradients or self.gradients[name].aggregation is None:
                allowed = [key for key, value in self.gradients.items() if value.k]
                raise ValueError(
                    f"angles.gradients: {name!r} is no gradient with tangents; "
                    f"allowed: {', '.join(allowed)}"
                )
        if self.angles.function not in self.functions.steps:
            raise ValueError(f"functions.steps: no number of steps for {self.angles.function}")
        return self


class Runs(BaseModel):
    """Every job of the paper by the name of its result file, as plain dicts."""

    quality: dict[str, dict[str, Any]]
    exact: dict[str, dict[str, Any]]
    functions: dict[str, dict[str, Any]]
    angle_quality: dict[str, dict[str, Any]]
    angle_functions: dict[str, dict[str, Any]]
    fc: dict[str, dict[str, Any]]
    sota: dict[str, dict[str, Any]]


def load(config: Mapping[str, Any], directory: Path) -> tuple[Config, Runs]:
    """Check the configuration and join it with its tables.

    Args:
        config: the parsed YAML.
        directory: what the tables' paths are relative to.

    Returns:
        The configuration, and every run it asks for.

    Raises:
        ConfigError: one line for each mistake.
    """
    checked = validate(Config, config, "config")
    return checked, Runs(
        quality=_quality_runs(checked.quality),
        exact={"exact": _exact_run(checked.quality)},
        functions=_function_runs(checked, directory),
        angle_quality=_angle_quality_runs(checked),
        angle_functions=_angle_function_runs(checked, directory),
        fc=_network_runs(checked, "fc", directory),
        sota=_network_runs(checked, "sota", directory),
    )


def _plain(run: BaseModel) -> dict[str, Any]:
    """A run as plain values, which is what Snakemake records and compares."""
    plain: dict[str, Any] = run.model_dump(mode="json")
    return plain


def _quality_runs(section: QualitySection) -> dict[str, dict[str, Any]]:
    """A job for each n, or several where n × samples is beyond ``job_size``."""
    runs = {}
    shared = section.model_dump(include={"seed", "k", "gradient", "aggregations", "normalized"})
    for block in section.direct:
        for n in block.n:
            size = max(1, min(block.samples, section.job_size // n))
            for job, first in enumerate(range(0, block.samples, size)):
                own = {"n": [n], "first": first, "samples": min(size, block.samples - first)}
                runs[f"n{n}_{job}"] = _plain(validate(QualityRun, shared | own, "config: quality"))
    return runs


def _exact_run(section: QualitySection) -> dict[str, Any]:
    """All dimensions in one job: a sample costs O(1)."""
    run = section.model_dump(include={"seed", "k", "gradient"}) | section.exact.model_dump()
    run |= {"method": "exact", "normalized": ()}
    return _plain(validate(QualityRun, run, "config: quality.exact"))


def _function_runs(config: Config, directory: Path) -> dict[str, dict[str, Any]]:
    section = config.functions
    path = directory / section.learning_rates
    rates = {row.key: row.lr for row in read_table(path, FunctionRow)}
    wanted = [
        (function, n, gradient, k, None)
        for function in section.functions
        for n in section.n
        for gradient, spec in config.gradients.items()
        for k in spec.k or (None,)
    ]
    refuse_missing(path, FunctionRow, [key for key in wanted if key not in rates])
    return {
        _file(key): _function_run(config, key, rates[key], path, section.seeds) for key in wanted
    }


def _angle_quality_runs(config: Config) -> dict[str, dict[str, Any]]:
    angles, section = config.angles, config.quality
    shared = section.model_dump(include={"seed", "gradient", "aggregations", "normalized"})
    shared |= {"n": [angles.n], "k": angles.quality_k, "samples": angles.samples}
    return {
        f"a{_degrees(alpha)}": _plain(
            validate(QualityRun, shared | {"angle": alpha}, "config: angles")
        )
        for alpha in angles.angle
    }


def _angle_function_runs(config: Config, directory: Path) -> dict[str, dict[str, Any]]:
    """A row without an angle is for all angles: its job runs them all with its one rate."""
    section = config.angles
    path = directory / section.learning_rates
    rates = {row.key: row.lr for row in read_table(path, FunctionRow)}
    wanted: dict[tuple[Any, ...], tuple[float, ...]] = {}
    for gradient in section.gradients:
        for k in section.optimize_k:
            common = (section.function, section.n, gradient, k)
            if (*common, None) in rates:
                wanted[*common, None] = section.angle
            else:
                wanted |= {(*common, alpha): (alpha,) for alpha in section.angle}
    refuse_missing(path, FunctionRow, [key for key in wanted if key not in rates])
    return {
        _file(key): _function_run(config, key, rates[key], path, section.seeds, alphas)
        for key, alphas in wanted.items()
    }


def _network_runs(config: Config, name: str, directory: Path) -> dict[str, dict[str, Any]]:
    """A job for each row and seed."""
    section: Experiment = getattr(config.networks, name)
    path = directory / config.networks.learning_rates
    rates = {row.key: row.lr for row in read_table(path, NetworkRow)}
    options = section.model_dump(include=set(TrainOptions.model_fields))
    wanted = {}
    for model, dataset in product(section.models, section.datasets):
        for width in (section.widths if model == "fc" else ()) or (None,):
            for gradient, spec in config.gradients.items():
                for k in spec.k or (None,):
                    key = (name, model, width, section.rates_of or dataset, gradient, k)
                    wanted[model, width, dataset, gradient, k] = key
    refuse_missing(path, NetworkRow, [key for key in wanted.values() if key not in rates])
    runs = {}
    for (model, width, dataset, gradient, k), key in wanted.items():
        approach = config.gradients[gradient].model_dump(exclude={"k"})
        run: dict[str, Any] = {"experiment": name, "model": model, "width": width}
        run |= {"dataset": dataset}
        for_tangents = {"mode", "perturb", "tangents", "chunk"} if k is None else set()
        own = {name: value for name, value in options.items() if name not in for_tangents}
        run |= {"gradient": gradient, "k": k, "lr": rates[key], "approach": approach}
        size = "" if width is None else f"_w{width}"
        tangents = "" if k is None else f"_k{k}"
        for seed in section.seeds:
            one = validate(TrainRun, own | run | {"seed": seed}, f"config: networks.{name}")
            runs[f"{model}{size}/{dataset}/{gradient}{tangents}/seed{seed}"] = _plain(one)
    return runs


def _function_run(
    config: Config,
    key: tuple[Any, ...],
    lr: float,
    path: Path,
    seeds: tuple[int, ...],
    angle: tuple[float, ...] = (),
) -> dict[str, Any]:
    function, n, gradient, k, _ = key
    section = config.functions
    run = {"function": function, "n": n, "gradient": gradient, "k": k, "angle": angle, "lr": lr}
    run |= {"seeds": seeds, "steps": section.steps[function], "patience": section.patience}
    run |= {"mode": section.mode, "approach": config.gradients[gradient].model_dump(exclude={"k"})}
    return _plain(validate(FunctionRun, run, f"{path}, {FunctionRow.describe(key)}"))


def _degrees(angle: float) -> str:
    return repr(float(angle)).removesuffix(".0")


def _file(key: tuple[Any, ...]) -> str:
    function, n, gradient, k, angle = key
    name = (
        gradient
        + ("" if k is None else f"_k{k}")
        + ("" if angle is None else f"_a{_degrees(angle)}")
    )
    return f"{function}/n{n}/{name}"


def scale(config: Config) -> dict[str, str]:
    """What a run covers, a sentence for each section of it, for readers of its claims."""
    quality, functions, angles = config.quality, config.functions, config.angles
    n = [n for block in quality.direct for n in block.n]
    samples = sorted({block.samples for block in quality.direct}, reverse=True)
    steps = ", ".join(f"{functions.steps[name]:,} on {name}" for name in functions.functions)
    return {
        "quality": f"4.1: n = {min(n):,} to {max(n):,}, k = {min(quality.k):,} to "
        f"{max(quality.k):,}, {' or '.join(f'{count:,}' for count in samples)} samples; exact law "
        f"to n = {max(quality.exact.n):,}.",
        "functions": f"4.2: n = {min(functions.n):,} to {max(functions.n):,}, "
        f"{len(functions.seeds)} seeds, at most {steps} steps.",
        "angles": f"4.3: n = {angles.n}, {len(angles.angle)} angles, {angles.samples:,} samples, "
        f"{len(angles.seeds)} seeds.",
        "fc": _experiment_scale("4.4", config.networks.fc),
        "sota": _experiment_scale("4.5", config.networks.sota),
    }


def _experiment_scale(section: str, one: Experiment) -> str:
    reduced = "" if one.reduce == 1 else f" with hidden sizes divided by {one.reduce}"
    widths = f" of widths {', '.join(map(str, one.widths))}" if one.widths else ""
    return (
        f"{section}: {', '.join(one.models)}{widths}{reduced} on {', '.join(one.datasets)}, "
        f"at most {one.epochs} epochs, {len(one.seeds)} seeds."
    )
