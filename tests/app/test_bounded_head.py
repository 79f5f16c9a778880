"""How long heads are waited for: uvicorn on a real socket, no more patient than a test."""

import socket
from collections.abc import Iterator
from threading import Thread
from time import monotonic, sleep

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app import bounded_head
from app.bounded_head import BoundedHead

MOST_SECONDS = 0.5


async def count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(bounded_head, "MOST_HEAD_SECONDS", MOST_SECONDS)
    app = Starlette(routes=[Route("/", count, methods=["POST"])])
    config = uvicorn.Config(app, http=BoundedHead, log_level="critical", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=30) as connection:
                yield connection
        finally:
            server.should_exit = True
            thread.join()


def ask(connection: socket.socket, *, pause: float = 0.0) -> None:
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
    sleep(pause)
    connection.sendall(b"abc")
    answer = b""
    while not answer.endswith(b"3 bytes"):
        answer += connection.recv(65536) or pytest.fail("hung up")


def trickle(connection: socket.socket) -> None:
    for byte in b"POST /" + b"x" * 300:
        connection.sendall(bytes([byte]))
        sleep(MOST_SECONDS / 5)


def test_a_connection_that_says_nothing_is_hung_up_on(connection: socket.socket) -> None:
    assert connection.recv(1) == b""


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_head_that_trickles_in_is_hung_up_on(
    connection: socket.socket, *, asked_before: bool
) -> None:
    if asked_before:
        ask(connection)
    begun = monotonic()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        trickle(connection)
    assert monotonic() - begun >= MOST_SECONDS


def test_neither_a_slow_body_nor_a_pause_between_requests_counts(
    connection: socket.socket,
) -> None:
    ask(connection, pause=2 * MOST_SECONDS)
    sleep(2 * MOST_SECONDS)
    ask(connection)
