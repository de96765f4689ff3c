"""From the configuration and its learning-rate tables to runs: one plain dict for each job.

Nothing here imports torch, and no result depends on this module: a job is handed its run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from fgrad import plugins
from fgrad.experiments.seeds import repeat_seeds
from fgrad.options.base import JobOptions
from fgrad.options.functions import (
    FunctionComparison,
    FunctionRun,
    FunctionSearch,
    FunctionSearchOptions,
    UnratedComparison,
    UnratedFunctionRun,
)
from fgrad.options.networks import NetworkSearch, TrainOptions, TrainRun, UnratedTrainRun
from fgrad.options.quality import QualityRun
from fgrad.options.search import FRESH
from fgrad.plan import own
from fgrad.plan.bounds import refuse_many
from fgrad.plan.job import Job, Jobs, made
from fgrad.plan.rates import FunctionRow, NetworkRow, Row, read_table, refuse_missing
from fgrad.plan.reported import Results, about
from fgrad.plan.sections import Config, Experiment, QualitySection
from fgrad.validation import validate

SECTIONS: dict[str, type[JobOptions]] = {
    "quality": QualityRun,
    "exact": QualityRun,
    "angle_quality": QualityRun,
    "functions": FunctionRun,
    "angle_functions": FunctionRun,
    "fc": TrainRun,
    "sota": TrainRun,
    "search_functions": FunctionSearch,
    "search_angles": FunctionSearch,
    "search_fc": NetworkSearch,
    "search_sota": NetworkSearch,
    "compared_functions": FunctionComparison,
    "compared_angles": FunctionComparison,
    "compared_fc": TrainRun,
    "compared_sota": TrainRun,
}
"""Folder of result files → kind of their jobs. ``compared_…`` are runs with the found and with the
published rate of each row, on fresh seeds: of functions a job for each row, of networks one for
each training, which takes minutes to hours and goes on from a checkpoint of its own."""

UNRATED: dict[type[JobOptions], type[JobOptions]] = {
    FunctionRun: UnratedFunctionRun,
    FunctionComparison: UnratedComparison,
    TrainRun: UnratedTrainRun,
}
"""What a run is as long as its learning rate is still searched for."""


def sections_of(kind: type[JobOptions]) -> list[str]:
    """Sections whose jobs are of a kind."""
    return [section for section, own in SECTIONS.items() if own is kind]


@dataclass(frozen=True)
class Runs:
    """Every job that a configuration asks for.

    Args:
        jobs: section → its jobs.
        published: section of a search → name of a row → its published rate, where there is one.
        reported: experiment → what the paper reports of it.
    """

    jobs: dict[str, Jobs]
    published: dict[str, dict[str, float]]
    reported: Results = field(default_factory=dict)

    def names(self) -> list[tuple[str, str]]:
        """Section and name of each job, searches before the runs that wait for them."""
        first = sorted(self.jobs, key=lambda section: not section.startswith("search_"))
        return [(section, name) for section in first for name in self.jobs[section]]


def result_file(section: str, name: str) -> str:
    """Where the result of a job lies below the working directory."""
    return f"results/runs/{section}/{name}.parquet"


def load(
    config: Mapping[str, Any], directory: Path, folders: Mapping[str, Path] | None = None
) -> tuple[Config, Runs]:
    """Check the configuration and join it with its tables.

    Args:
        config: the parsed YAML.
        directory: what the tables' paths are relative to.
        folders: reference to a file of the user's own → what its path is relative to; without one
            the directory.

    Returns:
        The configuration, and every run it asks for.

    Raises:
        ConfigError: one line for each mistake.
    """
    checked = validate(Config, config, "config")
    joined = _Joined(checked, directory, own.use(checked, directory, folders or {}))
    joined.add_functions()
    joined.add_angles()
    joined.add_networks("fc")
    joined.add_networks("sota")
    jobs = {
        "quality": _quality_runs(checked),
        "exact": {"exact": _exact_run(checked.quality)},
        "angle_quality": _angle_quality_runs(checked),
        **joined.jobs,
    }
    jobs = {section: jobs.get(section, {}) for section in SECTIONS}
    options = {section: [job.options for job in own.values()] for section, own in jobs.items()}
    results = about(checked, directory / checked.published_results, options)
    return checked, Runs(jobs, joined.published, results)


@dataclass(frozen=True)
class _Row:
    """A row of a learning-rate table that the configuration asks for."""

    name: str
    where: str
    """Named in messages."""
    task: dict[str, Any]
    """Options of its runs and of its search."""
    lr: float | None
    """The published rate, if there is one."""


class _Joined:
    """Rows of the tables become runs, searches, and runs that compare what these found."""

    def __init__(self, config: Config, directory: Path, references: dict[str, str]) -> None:
        self.config, self.directory, self.references = config, directory, references
        self.searched = config.learning_rates == "searched"
        self.filled = config.learning_rates == "missing"
        """Whether rates that a table lacks are searched for."""
        self.jobs: dict[str, Jobs] = {}
        self.published: dict[str, dict[str, float]] = {}

    def add_functions(self) -> None:
        section = self.config.functions
        path, rates = self.table(section.learning_rates, FunctionRow)
        functions, ways = len(section.functions), self.ways()
        refuse_many("config: functions", functions=functions, n=len(section.n), gradients=ways)
        wanted = [
            (plugins.short(function), n, gradient, k, None)
            for function in section.functions
            for n in section.n
            for gradient, spec in self.config.gradients.items()
            for k in spec.k or (None,)
        ]
        self.refuse_missing(path, FunctionRow, wanted, rates)
        rows = [self.function_row(key, path, rates.get(key)) for key in wanted]
        self.add_function_rows("functions", "functions", rows, section.seeds)
        self.add_function_searches("functions", rows, section.search)

    def add_angles(self) -> None:
        """A row without an angle is for all angles: its job runs them all with its one rate.

        The published table has such rows where it wants them; searched for, the projection has.
        """
        section = self.config.angles
        path, rates = self.table(section.learning_rates, FunctionRow)
        refuse_many(
            "config: angles",
            gradients=len(section.gradients),
            optimize_k=len(section.optimize_k),
            angle=len(section.angle),
        )

        def rows(searched: bool) -> list[_Row]:
            wanted: dict[tuple[Any, ...], tuple[float, ...]] = {}
            for gradient, k in product(section.gradients, section.optimize_k):
                common = (plugins.short(section.function), section.n, gradient, k)
                one_for_all = self.config.gradients[gradient].aggregation == "projection"
                if not searched:
                    lacking = any((*common, alpha) not in rates for alpha in section.angle)
                    one_for_all &= self.filled and lacking
                if one_for_all or (not searched and (*common, None) in rates):
                    wanted[*common, None] = section.angle
                else:
                    wanted |= {(*common, alpha): (alpha,) for alpha in section.angle}
            if not searched:
                self.refuse_missing(path, FunctionRow, wanted, rates)
            return [
                self.function_row(key, path, rates.get(key), alphas)
                for key, alphas in wanted.items()
            ]

        self.add_function_rows("angle_functions", "angles", rows(self.searched), section.seeds)
        self.add_function_searches("angles", rows(searched=True), section.search)

    def add_networks(self, name: str) -> None:
        """A job for each row and seed."""
        section: Experiment = getattr(self.config.networks, name)
        path, rates = self.table(self.config.networks.learning_rates, NetworkRow)
        options = section.model_dump(include=set(TrainOptions.model_fields))
        search, compared = f"search_{name}", f"compared_{name}"
        fresh = repeat_seeds(section.search.seed, "fresh", FRESH)
        refuse_many(
            f"config: networks.{name}",
            models=len(section.models) + max(0, len(section.widths) - 1),
            datasets=len(section.datasets),
            gradients=self.ways(),
            seeds=len(section.seeds),
        )
        rows, keys = [], []
        of = product(map(plugins.short, section.models), map(plugins.short, section.datasets))
        for model, dataset in of:
            for width in (section.widths if model == "fc" else ()) or (None,):
                for gradient, spec in self.config.gradients.items():
                    if spec.estimator and (section.perturb, section.mode) != ("weights", "sim"):
                        continue  # a whole gradient is of all weights
                    for k in spec.k or (None,):
                        own = (name, model, width, dataset, gradient, k)
                        key = (*own[:3], section.rates_of or dataset, *own[4:])
                        keys.append(key)
                        rows.append(self.network_row(own, options, rates.get(key)))
        self.refuse_missing(path, NetworkRow, keys, rates)
        for row in rows:
            for seed in section.seeds:
                lr = None if self.searched else row.lr
                self.add_training(name, f"seed{seed}", seed, lr, row, search)
            for i, seed in enumerate(fresh):
                self.add_training(compared, f"found/repeat{i}", seed, None, row, search)
                if row.lr is not None:
                    file = f"published/repeat{i}"
                    self.add_training(compared, file, seed, row.lr, row, search)
            own_search = row.task | section.search.model_dump()
            self.add_search(search, row, own_search)

    def add_function_rows(
        self, section: str, searches: str, rows: list[_Row], seeds: tuple[int, ...]
    ) -> None:
        for row in rows:
            lr = None if self.searched else row.lr
            run = row.task | {"seeds": seeds}
            self.add(section, row.name, run, lr, row, f"search_{searches}")

    def add_function_searches(
        self, section: str, rows: list[_Row], options: FunctionSearchOptions
    ) -> None:
        seeds = repeat_seeds(options.seed, "fresh", FRESH)
        search, compared = f"search_{section}", f"compared_{section}"
        for row in rows:
            run = row.task | {"seeds": seeds, "published": row.lr}
            self.add(compared, row.name, run, None, row, search)
            self.add_search(search, row, row.task | options.model_dump())

    def add_training(
        self, section: str, file: str, seed: int, lr: float | None, row: _Row, search: str
    ) -> None:
        run = row.task | {"seed": seed}
        self.add(section, f"{row.name}/{file}", run, lr, row, search)

    def add(
        self,
        section: str,
        name: str,
        run: dict[str, Any],
        lr: float | None,
        row: _Row,
        search: str,
    ) -> None:
        """A run with its rate, or one that will get its rate from the search of its row."""
        kind = SECTIONS[section]
        if lr is None:
            job = made(UNRATED[kind], run, row.where, f"{search}/{row.name}")
        else:
            job = made(kind, run | {"lr": lr}, row.where)
        self.jobs.setdefault(section, {})[name] = job

    def add_search(self, section: str, row: _Row, search: dict[str, Any]) -> None:
        job = made(SECTIONS[section], search, row.where)
        self.jobs.setdefault(section, {})[row.name] = job
        published = self.published.setdefault(section, {})
        if row.lr is not None:
            published[row.name] = row.lr

    def function_row(
        self,
        key: tuple[Any, ...],
        path: Path,
        lr: float | None,
        angle: tuple[float, ...] = (),
    ) -> _Row:
        function, n, gradient, k, alpha = key
        section = self.config.functions
        named = self.references.get(function, function)
        task = {"function": named, "n": n, "gradient": gradient, "k": k, "angle": angle}
        task |= {"steps": section.steps[named], "patience": section.patience}
        task |= {"mode": section.mode, "approach": self.approach(gradient)}
        suffix = "" if alpha is None else f"_a{degrees(alpha)}"
        name = f"{function}/n{n}/{method_name(gradient, k)}{suffix}"
        where = "config: functions" if self.searched else str(path)
        return _Row(name, f"{where}, {FunctionRow.describe(key)}", task, lr)

    def network_row(self, key: tuple[Any, ...], options: dict[str, Any], lr: float | None) -> _Row:
        name, model, width, dataset, gradient, k = key
        for_tangents = {"mode", "perturb", "sampling", "chunk"} if k is None else set()
        task = {option: value for option, value in options.items() if option not in for_tangents}
        task |= dict(zip(NetworkRow.columns(), key, strict=True))
        task |= {one: self.references.get(task[one], task[one]) for one in ("model", "dataset")}
        size = "" if width is None else f"_w{width}"
        file = f"{model}{size}/{dataset}/{method_name(gradient, k)}"
        where = f"config: networks.{name}"
        return _Row(file, where, task | {"approach": self.approach(gradient)}, lr)

    def ways(self) -> int:
        """Gradients, each with each of its numbers of tangents."""
        return sum(len(spec.k) or 1 for spec in self.config.gradients.values())

    def approach(self, gradient: str) -> dict[str, Any]:
        return self.config.gradients[gradient].model_dump(exclude={"k"})

    def table(self, file: str, kind: type[Row]) -> tuple[Path, dict[Any, float]]:
        path = self.directory / file
        return path, {row.key: row.lr for row in read_table(path, kind, self.references)}

    def refuse_missing(
        self, path: Path, kind: type[Row], keys: Iterable[Any], rates: dict[Any, float]
    ) -> None:
        if not self.searched and not self.filled:
            refuse_missing(path, kind, [key for key in keys if key not in rates])


def _quality_runs(config: Config) -> Jobs:
    """A job for each n, or several where n × samples is beyond ``job_size``; of an approach too."""
    section = config.quality
    runs = {}
    shared = section.model_dump(include={"seed", "k", "gradient", "aggregations", "normalized"})
    parts = sum(
        -(-block.samples // max(1, section.job_size // n))
        for block in section.direct
        for n in block.n
    )
    refuse_many(f"config: quality.job_size = {section.job_size}", parts=parts)
    for block in section.direct:
        for n in block.n:
            size = max(1, min(block.samples, section.job_size // n))
            for job, first in enumerate(range(0, block.samples, size)):
                own = {"n": [n], "first": first, "samples": min(size, block.samples - first)}
                runs[f"n{n}_{job}"] = made(QualityRun, shared | own, "config: quality")
                for name in section.approaches:
                    spec = config.gradients[name]
                    one = {"approach": spec.model_dump(exclude={"k"}), "name": name}
                    one |= section.model_dump(include={"seed", "gradient"}) | own
                    if few := [k for k in spec.k if k <= n]:
                        runs[f"{name}/n{n}_{job}"] = made(
                            QualityRun, one | {"k": few}, "config: quality.approaches"
                        )
    return runs


def _exact_run(section: QualitySection) -> Job:
    """All dimensions in one job: a sample costs O(1)."""
    run = section.model_dump(include={"seed", "k", "gradient"}) | section.exact.model_dump()
    run |= {"method": "exact", "normalized": ()}
    return made(QualityRun, run, "config: quality.exact")


def _angle_quality_runs(config: Config) -> Jobs:
    """Tangents at an angle are of length 1 already: normalised they are the same."""
    angles, section = config.angles, config.quality
    shared = section.model_dump(include={"seed", "gradient", "aggregations"})
    shared |= {"n": [angles.n], "k": angles.quality_k, "samples": angles.samples}
    return {
        f"a{degrees(alpha)}": made(QualityRun, shared | {"angle": alpha}, "config: angles")
        for alpha in angles.angle
    }


def degrees(angle: float) -> str:
    """An angle in names of results."""
    return repr(float(angle)).removesuffix(".0")


def method_name(gradient: str, k: int | None) -> str:
    """A gradient with its number of tangents in names of results."""
    return gradient if k is None else f"{gradient}_k{k}"
