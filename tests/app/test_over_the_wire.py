"""What only a real socket shows: HEAD, heads without an end, bodies that stall."""

import socket
from collections.abc import Iterator

import httpx2
import pytest

from app.bounded_head import MOST_HEAD_BYTES
from tests.app import pictures
from tests.app.processes import RunningService, running_service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("wire") / "data"
    with running_service(folder, sample_gallery=False, max_pending=1) as service:
        yield service


def accepted(connection: socket.socket, most: int) -> int:
    """How many bytes are taken before the other side hangs up."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(b"x" * 16_384)
            sent += 16_384
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/docs", "/metrics", "/gallery"])
def test_head_is_answered_as_get_without_the_body(running: RunningService, path: str) -> None:
    got, headed = running.client.get(path), running.client.head(path)
    assert headed.status_code == got.status_code == httpx2.codes.OK
    assert headed.content == b""
    assert headed.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # its figures grow
        assert headed.headers["content-length"] == got.headers["content-length"]


def test_head_of_what_is_not_there_or_only_posted(running: RunningService) -> None:
    assert running.client.head("/gallery/products/none").status_code == httpx2.codes.NOT_FOUND
    refused = running.client.head("/recognize")
    assert refused.status_code == httpx2.codes.METHOD_NOT_ALLOWED
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize("filled", [b"GET /healthz?", b"GET /healthz HTTP/1.1\r\nX-Filler: "])
def test_a_head_without_an_end_is_hung_up_on(running: RunningService, filled: bytes) -> None:
    address = running.client.base_url.host, running.client.base_url.port
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(filled)
        assert accepted(connection, 100 * MOST_HEAD_BYTES) < 100 * MOST_HEAD_BYTES
    answer = running.client.get("/healthz", headers={"X-Filler": "x" * (MOST_HEAD_BYTES // 2)})
    assert answer.status_code == httpx2.codes.OK


def test_what_follows_a_body_is_bounded_too(running: RunningService) -> None:
    address = running.client.base_url.host, running.client.base_url.port
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"0\r\nX-Filler: ")
        assert accepted(connection, 100 * MOST_HEAD_BYTES) < 100 * MOST_HEAD_BYTES


def test_a_request_that_comes_with_the_body_before_it_is_answered(running: RunningService) -> None:
    address = running.client.base_url.host, running.client.base_url.port
    body = b"x" * (5 * MOST_HEAD_BYTES)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(
            b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body + b"GET /hea"
        )
        connection.sendall(b"lthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = b""
        while more := connection.recv(65536):
            answers += more
    assert answers.startswith(b"HTTP/1.1 415 ")
    assert b"}HTTP/1.1 200 OK" in answers


def test_it_says_why(running: RunningService) -> None:
    address = running.client.base_url.host, running.client.base_url.port
    with socket.create_connection(address, timeout=30) as connection:
        head = b"GET /healthz HTTP/1.1\r\nX-Filler: " + b"x" * (MOST_HEAD_BYTES + 1)
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_stalls_gives_its_place_up(running: RunningService) -> None:
    address = running.client.base_url.host, running.client.base_url.port
    files = {"image": pictures.jpeg(1)}
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(
            b"POST /recognize HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\nabc"
        )
        # Answered behind it, so the head above has been read.
        assert running.client.get("/healthz").is_success
        refused = running.client.post("/recognize", files=files)
        assert refused.status_code == httpx2.codes.TOO_MANY_REQUESTS
        answer = b""
        while more := connection.recv(65536):  # until it hangs up
            answer += more
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload-stalled" in answer
    assert running.client.post("/recognize", files=files).status_code == httpx2.codes.OK
