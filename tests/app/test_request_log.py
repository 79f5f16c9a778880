"""The log of a request: one line, one id, no content."""

import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.logs import JSONFormatter
from app.service import Service
from tests.app import pictures
from tests.app.problems import assert_problem

REQUESTS = "app.http.request_log"


def lines(caplog: pytest.LogCaptureFixture, logger: str = REQUESTS) -> list[dict[str, Any]]:
    formatter = JSONFormatter()
    records = [record for record in caplog.records if record.name == logger]
    return [json.loads(formatter.format(record)) for record in records]


def test_one_line_tells_of_a_request(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answer = client.post("/recognize", files={"image": pictures.jpeg(1)})
    (line,) = lines(caplog)
    assert line["level"] == "info"
    assert line["request_id"] == answer.json()["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/recognize", 200)
    assert line["timing_ms"].keys() == answer.json()["timing_ms"].keys()
    assert line["duration_ms"] >= line["timing_ms"]["total"]
    assert len(json.dumps(line)) < 1000


@pytest.mark.parametrize("own", ["till-7.2026-11-23_18", "till/1:2026-11-28T12:30:00+01:00"])
def test_an_id_of_the_client_is_kept(
    client: TestClient, caplog: pytest.LogCaptureFixture, own: str
) -> None:
    caplog.set_level(logging.INFO)
    given = {"X-Request-ID": own}
    answer = client.post("/recognize", headers=given, files={"image": pictures.jpeg(1)})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == given["X-Request-ID"]
    assert lines(caplog)[0]["request_id"] == given["X-Request-ID"]
    said = client.post("/feedback", json={"request_id": own, "product_id": None})
    assert said.status_code == 201


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "ü", "<script>"])
def test_an_id_that_could_do_harm_is_not(client: TestClient, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given.encode("latin-1")})
    assert len(answer.headers["x-request-id"]) == 32


def test_feedback_by_an_id_that_was_not_kept_says_which_are(client: TestClient) -> None:
    body = {"request_id": "till 1", "product_id": None}
    problem = assert_problem(client.post("/feedback", json=body), 404, "unknown-recognition")
    assert "1 to 64 of A-Z a-z 0-9 _ . : / + -" in problem["detail"]


def test_an_error_is_told_by_its_code(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.get("/gallery/products/none")
    client.get("/nothing/here")
    known, unknown = lines(caplog)
    assert (known["status"], known["problem"]) == (404, "unknown-product")
    assert known["route"] == "/gallery/products/{product_id}"
    assert (unknown["route"], unknown["problem"]) == ("none", "not-found")


def test_what_asks_all_the_time_is_not_told(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    assert lines(caplog) == []


def test_a_line_is_one_line_whatever_is_in_it(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/gallery/products/a%0Ab%22%1b[31m")
    (record,) = [record for record in caplog.records if record.name == REQUESTS]
    assert "\n" not in JSONFormatter().format(record)
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()


def test_a_fault_is_answered_counted_and_told(
    client: TestClient, service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(service.gallery, "stats", fail)
    answer = client.get("/gallery")
    problem = assert_problem(answer, 500, "internal-error")
    assert "secret" not in json.dumps(problem)
    assert answer.headers["x-content-type-options"] == "nosniff"
    (line,) = lines(caplog, "app.http.problems")
    assert "ZeroDivisionError: a secret of the inside" in line["exception"]
    monkeypatch.undo()
    metrics = client.get("/metrics").text
    assert 'tillsight_requests_total{method="GET",route="/gallery",status="500"} 1.0' in metrics
    assert 'tillsight_problems_total{code="internal-error"} 1.0' in metrics
