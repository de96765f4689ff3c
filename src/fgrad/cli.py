"""The command ``fgrad``: one run each, without Snakemake."""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro
from rich import progress as bars
from rich.console import Console

from fgrad import errors, jobs, terminal
from fgrad.arguments import Verb, choose, later, renamed
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

if TYPE_CHECKING:
    from fgrad.plan.status import Status

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
    output = _local(output)
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
    output = _local(output)
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
    output = _local(output)
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
    output = _local(output)
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
    output = _local(output)
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


@dataclass(frozen=True)
class Place:
    """Which results are looked at."""

    workflow: Path = Path()
    """Folder of the Snakefile and of config/."""
    directory: Path = Path()
    """Folder that holds results/."""
    configfile: tuple[Path, ...] = ()
    """Laid over the configuration in this order, as by ``snakemake --configfile``."""

    def status(self) -> "Status":
        """The results in it against what is asked for; the directory becomes the current one."""
        return self._enter([(self.configfile, {})])[0]

    def statuses(self) -> "list[Status]":
        """Likewise for every number of the overlays, with published and with searched rates."""
        stacks = [self.configfile[:count] for count in range(len(self.configfile) + 1)]
        rates: tuple[dict[str, str], ...] = (
            {},
            {"learning_rates": "published"},
            {"learning_rates": "searched"},
        )
        return self._enter([(stack, own) for stack in stacks for own in rates])

    def _enter(self, asked: "list[tuple[tuple[Path, ...], dict[str, str]]]") -> "list[Status]":
        from fgrad.plan.read import runs_of
        from fgrad.plan.status import Status

        workflow = self.workflow.absolute()
        runs = [runs_of(workflow, [path.absolute() for path in stack], own) for stack, own in asked]
        if not (self.directory / "results").is_dir():
            raise errors.ConfigError(f"{self.directory}: no results here")
        os.chdir(self.directory)
        return [Status(one, workflow / "workflow/scripts") for one in runs]


def stale(
    place: Annotated[Place, Flat],
    versions: bool = False,
    accept_code: tuple[str, ...] = (),
) -> None:
    """Results that are not what the configuration asks for, and what they are instead.

    Args:
        place: which results.
        versions: list results made with other versions of packages instead.
        accept_code: take results made by code of these fingerprints for today's; they stay marked.
    """
    from fgrad import upkeep

    if versions and accept_code:
        raise errors.ConfigError("versions has no effect beside accept_code; leave one out")
    status = place.status()
    if accept_code:
        with upkeep.alone():
            for code in accept_code:
                for path in upkeep.accept(status, code):
                    print(f"{path}: accepted")
        return
    if versions:
        lines, nothing = upkeep.versions(status), "no result was made with other versions"
    else:
        lines, nothing = upkeep.stale(status), "every result is what is asked for"
    print("\n".join(lines) or nothing)


def adopt(place: Annotated[Place, Flat], data_dir: Path | None = None) -> None:
    """Take over results made before results recorded their code.

    Of each section one run is computed again and must equal its file.

    Args:
        place: which results.
        data_dir: folder of the published data sets, for trainings.
    """
    from fgrad import upkeep

    data = data_dir and files.expanded(data_dir).absolute()
    status = place.status()
    with upkeep.alone():
        for line in upkeep.adopt(status, data):
            print(line, flush=True)


def prune(place: Annotated[Place, Flat], yes: bool = False) -> None:
    """Remove runs, checkpoints and journals that the configuration does not ask for.

    Args:
        place: which results. What the configuration asks for without one or all of the overlays is
            kept as well, with published and with searched rates.
        yes: remove what is listed without asking.
    """
    from fgrad import upkeep

    statuses = place.statuses()
    with upkeep.alone():
        left = upkeep.unasked(statuses)
        _remove(left, yes)


def _remove(left: list[Path], yes: bool) -> None:
    """List files, and remove them if that is wanted."""
    print("\n".join(map(str, left)) or "nothing to remove")
    if left and (yes or (sys.stdin.isatty() and input(f"remove {len(left)} files? [y/N] ") == "y")):
        for path in left:
            path.unlink(missing_ok=True)
        print(f"{len(left)} files removed")


VERBS: dict[str, Verb] = {
    "measure": measure,
    "descend": descend,
    "train": train,
    "search": search,
    "stale": stale,
    "adopt": adopt,
    "prune": prune,
}


def main() -> None:
    """Run the command line; wrong input ends in a line for each mistake, exit status not 0."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale may know no ° and no ×
            stream.reconfigure(errors="replace")
    with terminal.ending():
        renamed(sys.argv)
        chosen = choose(VERBS, sys.argv[1:], "Multi-tangent forward gradients, one run at a time.")
        while callable(chosen):
            chosen = chosen()


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


def _local(output: Path) -> Path:
    """An output as a shell would have it, which leaves ``--output=~/x`` to us."""
    if re.match(r"[a-z][a-z0-9+.-]*:/", str(output)):
        raise errors.ConfigError(f"output = {str(output)!r}: an address; a path is needed")
    try:
        return output.expanduser()
    except RuntimeError:
        raise errors.ConfigError(f"output = {str(output)!r}: no such user here") from None


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
