"""Downloads end: of mirrors that are slow at any point, endless, cut short or silent."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fgrad.store import downloads

OK = b"HTTP/1.0 200 OK\r\n"


def slowly(connection: socket.socket, content: bytes) -> None:
    """A byte now and then, for as long as anybody listens."""
    for byte in content * 10_000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def endless(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    while True:
        connection.sendall(bytes(1 << 16))


ANSWERS: dict[str, Callable[[socket.socket], object]] = {
    "silent": lambda c: time.sleep(20),
    "slow status": lambda c: slowly(c, b"H"),
    "slow header": lambda c: (c.sendall(OK), slowly(c, b"A")),
    "many headers": lambda c: (c.sendall(OK), slowly(c, b"A: b\r\n")),
    "slow body": lambda c: (c.sendall(OK + b"\r\n"), slowly(c, b"x")),
    "slow chunks": lambda c: (
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), slowly(c, b"1\r\nx\r\n"),
    ),
    "slow size of a chunk": lambda c: (
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), slowly(c, b"1;"),
    ),
    "endless": lambda c: endless(c, OK + b"\r\n"),
    "longer than it says": lambda c: endless(c, OK + b"Content-Length: 9999999\r\n\r\n"),
    "closed": lambda c: None,
    "no HTTP": lambda c: c.sendall(b"hello\r\n\r\n"),
    "not found": lambda c: c.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n"),
    "to itself": lambda c: c.sendall(b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"),
}  # fmt: skip


@pytest.fixture
def mirror() -> Iterator[Callable[[Callable[[socket.socket], object]], str]]:
    """Serves an answer at an address."""
    servers = []

    def serve(server: socket.socket, answer: Callable[[socket.socket], object]) -> None:
        while True:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    answer(connection)
            except OSError:
                if server.fileno() < 0:
                    return

    def start(answer: Callable[[socket.socket], object]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/f"

    yield start
    for server in servers:
        server.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_mirror_that_does_not_deliver_is_given_up(kind, mirror, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.6)
    url, begun = mirror(ANSWERS[kind]), time.monotonic()
    got = 0
    with pytest.raises(downloads.DownloadError) as caught:
        for chunk in downloads.received(url, 100_000):
            got += len(chunk)
    assert time.monotonic() - begun < 6
    assert got <= 100_000
    assert len(str(caught.value).splitlines()) == 1
    if "slow" in kind or kind == "many headers":
        assert "too slow: " in str(caught.value)
    if kind in ("endless", "longer than it says"):
        assert str(caught.value) == "longer than the published 100,000 bytes"


def test_a_mirror_that_delivers(mirror):
    content = bytes(range(256)) * 1000
    url = mirror(lambda c: c.sendall(OK + b"\r\n" + content))
    assert b"".join(downloads.received(url, len(content))) == content


def test_one_that_is_slow_but_not_too_slow_is_waited_for(mirror, monkeypatch):
    """The time limit grows with what has come."""
    monkeypatch.setattr(downloads, "TIMEOUT", 0.5)
    monkeypatch.setattr(downloads, "SLOWEST", 10_000.0)

    def steady(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        for _ in range(10):
            connection.sendall(bytes(2000))
            time.sleep(0.1)

    assert len(b"".join(downloads.received(mirror(steady), 20_000))) == 20_000


def test_what_cannot_be_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(downloads.DownloadError, match="refused"):
        list(downloads.received(f"http://127.0.0.1:{port}/", 1))
