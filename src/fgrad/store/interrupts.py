"""A process that is told to end keeps what it has first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

ENDED = 143
"""Exit status of a process that SIGTERM ended."""


class ToldToEndError(SystemExit):
    """SIGTERM: sent by a scheduler before a time limit, when a job is cancelled, at a shutdown."""


@contextmanager
def noticed() -> Iterator[None]:
    """SIGTERM raises `ToldToEndError` in here, once, so that what was begun is ended in order."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are of the main thread
        return

    def end(*_: Any) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise ToldToEndError(ENDED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
