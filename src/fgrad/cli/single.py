"""One run, without Snakemake: measure, descend, train, search."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from rich import progress as bars
from rich.console import Console

from fgrad import errors, jobs
from fgrad.arguments import Verb, later
from fgrad.cli.paths import local
from fgrad.options import effect
from fgrad.options.base import JobOptions
from fgrad.options.command_line import (
    ByParts,
    Descent,
    DescentSearch,
    Measurement,
    Training,
    TrainingSearch,
)
from fgrad.options.functions import FunctionRun, FunctionSearch
from fgrad.options.networks import NetworkSearch, TrainRun
from fgrad.options.quality import QualityRun
from fgrad.store import files, log
from fgrad.store.context import Context, Progress, Result, silent

Flat = tyro.conf.arg(name="")

T = TypeVar("T", bound=JobOptions)


def measure(
    run: Annotated[Measurement, Flat],
    output: Path,
    overwrite: bool = False,
) -> None:
    """Approximation quality of gradient estimates (sections 4.1 and 4.3).

    Args:
        run: options.
        output: Parquet file, one row for each sample, aggregation and k.
        overwrite: compute it again, or in place of another file that is there.
    """
    plain = _effective(QualityRun, run)
    output = local(output)
    _check(output)
    with _bar("samples") as progress:
        jobs.carry_out(plain, output, Context(log.log_line, progress, overwrite=overwrite))


def descend(
    run: Annotated[Descent, Flat],
    output: Path,
    overwrite: bool = False,
) -> None:
    """Gradient descent on a closed-form function (sections 4.2 and 4.3).

    Args:
        run: options.
        output: Parquet file, one row for each seed and step.
        overwrite: compute it again, or in place of another file that is there.
    """
    plain = _effective(FunctionRun, run)
    output = local(output)
    _check(output)
    with _bar("steps") as progress:
        done = jobs.carry_out(plain, output, Context(log.log_line, progress, overwrite=overwrite))
    for stop in done.facts["stop"]:
        angle = "" if stop["angle_deg"] is None else f" angle {stop['angle_deg']:g}°"
        print(f"seed {stop['seed']}{angle}: {stop['stop']} after {stop['steps']} steps")


def train(
    run: Annotated[Training, Flat],
    output: Path,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Training of a network with one gradient approach (sections 4.4 and 4.5).

    Args:
        run: options.
        output: Parquet file, one row for each epoch. A killed run goes on with the same command.
        data_dir: folder of the published files, packed or unpacked; mnist5k needs none.
        overwrite: compute it again, or in place of another file that is there.
    """
    plain = _effective(TrainRun, run)
    _data(data_dir)
    output = local(output)
    _check(output)
    with _bar("epochs", silent) as progress:  # every epoch says its own line
        data = data_dir and files.expanded(data_dir)
        context = Context(log.log_line, progress, data, overwrite=overwrite)
        done = jobs.carry_out(plain, output, context)
    print(f"{done.facts['stop']} after {done.columns['epoch'].max()} epochs")


def search_functions(
    search: Annotated[DescentSearch, Flat],
    output: Path,
    overwrite: bool = False,
) -> None:
    """Search for the learning rate of a descent on a closed-form function (sections 4.2 and 4.3).

    Args:
        search: options.
        output: folder for the rate found (learning_rates.csv), every rate tried (trials.parquet)
            and a figure of them. A killed search goes on with the same command.
        overwrite: compute it again, or in place of another file that is there.
    """
    plain = _effective(FunctionSearch, search)
    output = local(output)
    trials = _folder(output, overwrite)
    with _bar("steps") as progress:
        context = Context(log.log_line, progress, overwrite=overwrite)
        done = jobs.carry_out(plain, trials, context)
    _show(output, "search_functions", done)


def search_network(
    search: Annotated[TrainingSearch, Flat],
    output: Path,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Search for the learning rate of a network, on its validation loss (sections 4.4 and 4.5).

    Args:
        search: options.
        output: folder for the rate found (learning_rates.csv), every rate tried (trials.parquet)
            and a figure of them. A killed search goes on with the same command.
        data_dir: folder of the published files, packed or unpacked; mnist5k needs none.
        overwrite: compute it again, or in place of another file that is there.
    """
    plain = _effective(NetworkSearch, search)
    _data(data_dir)
    output = local(output)
    trials = _folder(output, overwrite)
    with _bar("trials", silent) as progress:  # every trial says its own line
        data = data_dir and files.expanded(data_dir)
        context = Context(log.log_line, progress, data, overwrite=overwrite)
        done = jobs.carry_out(plain, trials, context)
    _show(output, "search_fc", done)


def search(
    row: Annotated[None, tyro.conf.subcommand("functions", constructor=later(search_functions))]
    | Annotated[None, tyro.conf.subcommand("network", constructor=later(search_network))],
) -> Verb | None:
    """Search for the learning rate of a table row (sections 4.2 to 4.5)."""
    return row


def _effective(kind: type[T], given: ByParts | Measurement) -> T:
    """Options as a workflow has them; those without effect are refused."""
    for options in (given, given.approach):
        for line in effect.without_effect(options) if options else ():
            raise errors.ConfigError(line)
    return kind(**given.model_dump())


def _data(folder: Path | None) -> None:
    """Refuse a file where a folder is needed."""
    if folder is not None:
        files.refuse_file(files.expanded(folder), "data_dir")


def _check(output: Path) -> None:
    """Refuse an output before anything is computed for it."""
    if not output.name or os.path.isdir(output):
        raise errors.ConfigError(f"output = {str(output)!r}: a folder; a file name is needed")
    files.check_name(output)
    files.output(output)


FOUND = ("learning_rates.csv", "search.pdf", "search.png")
"""What is written of a search beside its trials."""


def _folder(output: Path, overwrite: bool) -> Path:
    """Refuse a folder before anything is computed for it; the Parquet file that goes into it."""
    import fgrad.paper.figures  # noqa: F401  what cannot be drawn is told now

    files.check_name(output)
    if os.path.isfile(output):
        raise errors.ConfigError(f"output = {str(output)!r}: a file; a folder is needed")
    trials, *others = (files.output(output / name) for name in ("trials.parquet", *FOUND))
    theirs = next((path for path in others if path.exists()), None)
    if theirs and not overwrite and not trials.exists():
        raise errors.ConfigError(
            f"{theirs}: is there, and of no search; name another folder, or --overwrite it"
        )
    return trials


def _show(output: Path, figure: str, done: Result) -> None:
    """Say what a search found; its table and figure are written, unless that has been done."""
    trials, *others = (output / name for name in ("trials.parquet", *FOUND))
    if any(not one.exists() or _written(one) < _written(trials) for one in others):
        _draw(figure, trials, *others)
    found = done.facts["found"]
    at_edge = f"; the best, {found['best_lr']:g}, is at the {found['edge']} edge"
    near = (
        f"{found['within']} of {len(done.columns['trial'])} rates are within the margin of the best"
    )
    edge = at_edge if found["edge"] else ""
    print(f"learning rate {found['lr']:g}, loss {found['loss']:.6g}; {near}{edge}")


def _draw(figure: str, path: Path, table: Path, pdf: Path, png: Path) -> None:
    """The table and the figure of a search."""
    from pkgutil import resolve_name

    from fgrad.paper import summary
    from fgrad.paper.contents import FIGURES
    from fgrad.plan import rates

    trials = summary.searches([str(path)], [None])
    rates.write_table(table, trials)
    from fgrad.paper.figures import files as figures  # after what needs no drawing

    drawn = resolve_name(FIGURES[figure].draws)(trials)
    figures.save(drawn, (str(pdf), str(png)), shows=figures.of_result(path))


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


@contextmanager
def _bar(unit: str, otherwise: Progress = log.log_progress) -> Iterator[Progress]:
    """A live bar on a terminal, lines otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield otherwise
        return
    columns = (
        bars.TextColumn(unit),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
