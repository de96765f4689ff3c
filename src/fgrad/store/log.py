"""What a job says while it is at work, and where it goes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fgrad.errors import ConfigError

PROGRESS = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def logged(log: str) -> Iterator[None]:
    """Everything printed goes to the log; a failure puts its traceback there, one line outside."""
    import traceback

    outside = sys.stdout, sys.stderr
    with Path(log).open("w", buffering=1, encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            lines = str(error).splitlines() or [type(error).__name__]
            sys.exit(
                "\n".join(lines) if isinstance(error, ConfigError) else f"{lines[0]} (see {log})"
            )
        finally:
            sys.stdout, sys.stderr = outside


def log_line(line: str) -> None:
    """A line for the log."""
    print(line, file=sys.stderr, flush=True)


def log_progress(done: int, total: int) -> None:
    """A line for the log, about every tenth of the way."""
    step = max(1, total // 10)
    if done == total or done % step == 0:
        print(f"{now()} {done}/{total}", file=sys.stderr, flush=True)
