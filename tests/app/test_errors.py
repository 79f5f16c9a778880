"""Every error of every route is one shape, whatever goes wrong."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.http.problems import DOMAIN_PROBLEMS, HTTP_CODES
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.test_openapi import OPERATIONS

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
JSON = {"Content-Type": "application/json"}


def address(path: str) -> str:
    return path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("path", sorted({path for _, path in OPERATIONS}))
def test_a_method_that_a_path_does_not_know(client: TestClient, path: str) -> None:
    known = {method for method, other in OPERATIONS if other == path}
    for method in METHODS:
        if method not in known:
            answer = client.request(method, address(path))
            assert_problem(answer, 405, "method-not-allowed")
            also = {"HEAD"} if "GET" in known else set()
            assert set(answer.headers["allow"].split(", ")) == known | also


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json"])
def test_a_page_that_is_read_only(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path", ["/x", "/recognize/", "/gallery/x", "/gallery/products/a/b", "/%00"]
)
def test_a_path_that_is_none(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"name": "x", "extra": 1}',
        b'{"name": ""}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b'{"name": "x", "metadata": {"a": NaN}}',
        b'{"name": "x", "metadata": {"a": 1e999}}',
        b'{"name": "x", "metadata": ' + b'{"a": ' * 9 + b"1" + b"}" * 10,
        b"[" * 500_000,
        b'{"name": "x", "metadata": ' + b'{"a":' * 100_000,
        b'{"name": "x", "metadata": {"a": ' + b"9" * 10_000 + b"}}",
        json.dumps({"name": "x", "metadata": {"a": "y" * 20_000}}).encode(),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_document_that_is_none(client: TestClient, body: bytes) -> None:
    answer = client.put("/gallery/products/p", content=body, headers=JSON)
    problem = assert_problem(answer, (400, 422))
    assert len(json.dumps(problem)) < 4000
    assert client.get("/gallery/products/p").status_code == 404


def test_broken_json_is_told_by_where_it_breaks(client: TestClient) -> None:
    answer = client.put("/gallery/products/p", content=b'{"name": x}', headers=JSON)
    problem = assert_problem(answer, 400, "malformed-request")
    assert problem["detail"] == "The body is not JSON: Expecting value at character 9."


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b'{"name": "x"}'), '{"name": "Müsli"}'.encode("latin-1")],
    ids=["compressed", "Latin-1"],
)
def test_json_that_is_compressed_or_no_utf_8_is_told_so(client: TestClient, body: bytes) -> None:
    answer = client.put("/gallery/products/p", content=body, headers=JSON)
    problem = assert_problem(answer, 400, "malformed-request")
    assert "UTF-8" in problem["detail"]
    assert "not compressed" in problem["detail"]


def test_what_our_checks_say_is_told_as_it_is(client: TestClient) -> None:
    answer = client.put("/gallery/products/p", json={"name": " x"})
    problem = assert_problem(answer, 422, "invalid-request")
    assert problem["detail"] == "body.name: no white space at the start or end"


@pytest.mark.parametrize(
    "types",
    [
        ["application/json"],
        ["application/zip"],
        ["image/jpeg"],
        ["multipart/form-data; boundary=x"],
        ["application/json", "application/zip"],
        [],
    ],
)
def test_a_document_is_small_whatever_it_is_called(client: TestClient, types: list[str]) -> None:
    calls = [
        (method, path)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert ("post", "/feedback") in calls
    headers = [("Content-Type", kind) for kind in types]
    for method, path in calls:
        for body in (bytes(1_100_000), iter([bytes(600_000)] * 2)):
            answer = client.request(method, address(path), content=body, headers=headers)
            assert_problem(answer, 413, "request-too-large")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=" + "9" * 5000, "cursor=" + "x" * 513],
    ids=lambda query: query[:20],
)
def test_a_parameter_that_is_wrong(client: TestClient, query: str) -> None:
    problem = assert_problem(client.get(f"/gallery/products?{query}"), 422, "invalid-request")
    assert problem["errors"][0]["where"] in ("query.limit", "query.cursor")


def test_a_form_with_too_many_parts_or_too_long_heads(client: TestClient) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n'
    answer = client.post("/detect", content=part * 2000 + b"--x--\r\n", headers=FORM)
    assert_problem(answer, 400, "malformed-request")
    head = b"--x\r\nContent-Disposition: form-data; name=" + b"y" * 100_000
    answer = client.post("/detect", content=head + b"\r\n\r\n--x--\r\n", headers=FORM)
    assert_problem(answer, (400, 422))


def test_a_disk_that_refuses_an_upload(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # /dev/full answers every write as a full disk does.
    archive = tmp_path / "archive.zip"
    archive.symlink_to("/dev/full")
    monkeypatch.setattr(client.app.state.service.jobs, "prepare", lambda: tmp_path)

    def body() -> Iterator[bytes]:
        for _ in range(4):
            yield bytes(1_000_000)

    answer = client.post(
        "/gallery/import", content=body(), headers={"Content-Type": "application/zip"}
    )
    problem = assert_problem(answer, 503, "storage-failed")
    assert "No space left" in problem["detail"]
    assert str(tmp_path) not in problem["detail"]


def test_an_error_of_one_file_has_the_same_shape(client: TestClient) -> None:
    client.put("/gallery/products/p", json={"name": "P"})
    files = [("images", pictures.jpeg(1)), ("images", b"no image")]
    answer = client.post("/gallery/products/p/images", files=files)
    assert answer.status_code == 201
    error = answer.json()["images"][1]["error"]
    assert error["type"] == f"urn:tillsight:problem:{error['code']}"
    assert error.keys() == {"type", "title", "status", "detail", "code"}


def test_codes_are_of_one_status_each() -> None:
    status_of = {code: status for status, code in HTTP_CODES.items()}
    for _, status, code in DOMAIN_PROBLEMS:
        assert status_of.setdefault(code, status) == status, code
