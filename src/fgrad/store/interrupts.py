"""A process that is told to end keeps what it has first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

ENDED = 143
"""Exit status of a process that SIGTERM ended."""


INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended."""


class ToldToEndError(SystemExit):
    """SIGTERM: sent by a scheduler before a time limit, when a job is cancelled, at a shutdown."""


@contextmanager
def noticed() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that closes, raise `ToldToEndError` in here, once.

    So what was begun is ended in order. A SIGHUP that is ignored, as under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are of the main thread
        return

    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def end(*_: Any) -> NoReturn:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise ToldToEndError(ENDED)

    for one in before:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def end_at_ctrl_c(before: Callable[[], None]) -> None:
    """From now on Ctrl-C ends this process, and those it started, with a status of its own.

    Those are told to end as by a scheduler. Of Ctrl-C itself they must not know.

    Args:
        before: called once, first.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    import psutil

    def end(*_: Any) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        before()
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has ended by itself
                child.terminate()
        raise SystemExit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)
