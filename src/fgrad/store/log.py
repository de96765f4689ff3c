"""What a job says while it is at work, and where it goes."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fgrad.errors import ConfigError
from fgrad.store import files
from fgrad.store.context import Context
from fgrad.store.interrupts import ToldToEndError


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Lossy(io.FileIO):
    """A log that a full disk costs lines, and not the work they tell of."""

    def write(self, content: Any) -> int:
        with suppress(OSError):
            super().write(content)
        return len(content)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def logged(log: str) -> Iterator[None]:
    """Everything printed goes to the log; a failure puts its traceback there, one line outside.

    A log that cannot be written is said outside once, and done without.
    """
    import traceback

    outside = sys.stdout, sys.stderr
    with io.TextIOWrapper(_opened(log), encoding="utf-8", line_buffering=True) as file:
        sys.stdout = sys.stderr = file
        try:
            yield
        except ToldToEndError:
            print(f"{now()} told to end; the same job goes on from what is kept")
            raise
        except ConfigError as error:
            traceback.print_exc()
            sys.exit(str(error))
        except Exception as error:
            traceback.print_exc()
            kind = f"{type(error).__name__} " if isinstance(error, LookupError) else ""
            sys.exit(f"{kind}{first_line(error)} (see {log})")
        finally:
            sys.stdout, sys.stderr = outside


def _opened(log: str) -> io.BufferedWriter:
    try:
        files.check_regular(Path(log))
        raw = _Lossy(log, "w")
    except (ConfigError, OSError) as error:
        said = error if isinstance(error, ConfigError) else files.CannotWriteError(Path(log), error)
        log_line(f"{said}; going on without this log")
        raw = _Lossy(os.devnull, "w")
    return io.BufferedWriter(raw)


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    said = files.reason(error) if isinstance(error, OSError) else str(error)
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return where + (said.splitlines() or [type(error).__name__])[0]


def log_line(line: str) -> None:
    """A line for the log; the work goes on where it cannot be written."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def log_progress(done: int, total: int) -> None:
    """A line for the log, about every tenth of the way."""
    step = max(1, total // 10)
    if done == total or done % step == 0:
        log_line(f"{now()} {done}/{total}")


def epoch_line(history: list[dict[str, float]], epochs: int, each: float) -> str:
    """What the last epoch gave, and how long the others may take.

    Args:
        history: metrics of every epoch from 0 on.
        epochs: at most.
        each: seconds of an epoch.
    """
    epoch, last = len(history) - 1, history[-1]
    parts = [
        f"{part} {last[f'{part}_loss']:.4f} ({last[f'{part}_accuracy']:.2%})"
        for part in ("train", "val", "test")
        if f"{part}_loss" in last
    ]
    left = timedelta(seconds=round(each * (epochs - epoch)))
    seconds = last["train_seconds"] + last["eval_seconds"]
    return (
        f"{now()} epoch {epoch}/{epochs}: {', '.join(parts)}; {seconds:.1f} s, at most {left} left"
    )


def trial_line(number: int, lr: float, loss: float, stop: str) -> str:
    """What became of a trial of a search."""
    return f"{now()} trial {number}: lr {lr:g}, validation loss {loss:.4g}, {stop}"


CONTEXT = Context(log_line, log_progress, workflow=True)
"""Of a workflow's job, whose lines go to its log."""
