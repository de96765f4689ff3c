"""The command ``fgrad``: one run each, without Snakemake."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fgrad import config, networks, results

Flat = tyro.conf.arg(name="")


def quality(
    run: Annotated[config.QualityRun, Flat],
    output: Path,
) -> None:
    """Approximation quality of gradient estimates (sections 4.1 and 4.3).

    Args:
        run: options.
        output: Parquet file, one row for each sample, aggregation and k.
    """
    from fgrad.quality import write

    _check(output)
    with _bar("samples") as progress:
        write(run, output, progress)


def optimize(
    run: Annotated[config.FunctionRun, Flat],
    output: Path,
) -> None:
    """Gradient descent on a closed-form function (sections 4.2 and 4.3).

    Args:
        run: options.
        output: Parquet file, one row for each seed and step.
    """
    from fgrad.descent import write

    _check(output)
    with _bar("steps") as progress:
        write(run, output, progress)
    for stop in results.provenance(output)["stop"]:
        angle = "" if stop["angle_deg"] is None else f" angle {stop['angle_deg']:g}°"
        print(f"seed {stop['seed']}{angle}: {stop['stop']} after {stop['steps']} steps")


def train(
    run: Annotated[networks.TrainRun, Flat],
    output: Path,
    data_dir: Path | None = None,
) -> None:
    """Training of a network with one gradient approach (sections 4.4 and 4.5).

    Args:
        run: options.
        output: Parquet file, one row for each epoch. A killed run goes on with the same command.
        data_dir: folder of the published files, packed or unpacked; mnist5k needs none.
    """
    from fgrad.training import write

    _check(output)
    with _bar("epochs", lambda done, total: None) as progress:  # every epoch says its own line
        write(run, output, data_dir and data_dir.expanduser(), progress=progress)
    print(
        f"{results.provenance(output)['stop']} after {results.read(output)['epoch'].max()} epochs"
    )


def main() -> None:
    """Run the command line; wrong input ends in a line for each mistake, exit status not 0."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"quality": quality, "optimize": optimize, "train": train},
            description="Multi-tangent forward gradients, one run at a time.",
            config=(tyro.conf.AvoidSubcommands, tyro.conf.OmitArgPrefixes),
        )
    except config.ConfigError as error:
        sys.exit(f"fgrad: {error}")
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "alloc" not in str(error):
            raise
        reason = (str(error).splitlines() or ["out of memory"])[0]
        sys.exit(f"fgrad: too large for this machine: {reason}")
    except ValidationError as error:
        sys.exit(config.describe("fgrad", error))
    except KeyboardInterrupt:
        sys.exit(130)


def _check(output: Path) -> None:
    """Refuse an output before anything is computed for it."""
    if not output.name or output.is_dir():
        raise config.ConfigError(f"output = {str(output)!r}: a folder; a file name is needed")
    config.check_writable(output.parent)


@contextmanager
def _bar(
    unit: str, otherwise: results.PROGRESS = results.log_progress
) -> Iterator[results.PROGRESS]:
    """A live bar on a terminal, lines otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield otherwise
        return
    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
