"""Downloads that end, whatever a mirror sends or does not send."""

import time
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fgrad.store.log import first_line

TIMEOUT = 60.0
"""Seconds after which a mirror is given up that is silent, or slower than `SLOWEST` on average."""

SLOWEST = 50_000.0
"""Bytes a second: 170 MB of CIFAR-10 in an hour."""

CHUNK = 1 << 16


class DownloadError(Exception):
    """A mirror does not deliver."""


def received(url: str, most: int) -> Iterator[bytes]:
    """What a mirror sends, piece by piece.

    Connecting, headers and pieces of a byte are waited for in a thread of their own, as no time
    limit of a socket holds for them together.

    Args:
        url: of a file.
        most: its published size in bytes.

    Raises:
        DownloadError: if it cannot be had, takes longer than `TIMEOUT` and its bytes at `SLOWEST`,
            or is longer.
    """
    chunks: Queue[bytes | Exception] = Queue(16)  # of a mirror that was given up no more is kept
    Thread(target=_receive, args=(url, chunks), daemon=True).start()
    begun, count = time.monotonic(), 0
    while True:
        passed = time.monotonic() - begun
        try:
            chunk = chunks.get(timeout=max(0.0, TIMEOUT + count / SLOWEST - passed))
        except Empty:
            raise DownloadError(f"too slow: {count:,} bytes in {passed:.0f} s") from None
        if isinstance(chunk, Exception):
            raise DownloadError(first_line(chunk)) from None
        if not chunk:
            return
        count += len(chunk)
        if count > most:
            raise DownloadError(f"longer than the published {most:,} bytes")
        yield chunk


def _receive(url: str, chunks: "Queue[bytes | Exception]") -> None:
    try:
        request = Request(url, headers={"User-Agent": "fgrad"})
        with urlopen(request, timeout=TIMEOUT) as response:
            while chunk := response.read1(CHUNK):
                chunks.put(chunk)
        chunks.put(b"")
    except Exception as error:  # told to the one who waits
        if isinstance(error, HTTPError):  # holds the connection open
            error.close()
        chunks.put(error)
