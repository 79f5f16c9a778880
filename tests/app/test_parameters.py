"""What a client got wrong about how to ask is told, not ignored."""

import pytest
from starlette.testclient import TestClient

from tests.app import pictures
from tests.app.problems import assert_problem


def test_a_parameter_that_is_misspelt_is_refused(client: TestClient) -> None:
    asked = {"threshold": 0.5, "treshold": 0.99, "topk": 2}
    answer = client.post("/recognize", params=asked, files={"image": pictures.jpeg(1)})
    assert_problem(answer, 422, "invalid-request")
    assert [error["where"] for error in answer.json()["errors"]] == ["query.treshold", "query.topk"]
    assert "false_accept_rate" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/gallery", "/jobs/1", "/gallery/products/p"])
def test_a_call_that_takes_none_says_so(client: TestClient, path: str) -> None:
    answer = client.get(path, params={"x" * 500: 1})
    assert_problem(answer, 422, "invalid-request")
    assert "takes none" in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/"])
def test_monitors_and_browsers_may_add_their_own(client: TestClient, path: str) -> None:
    assert client.get(path, params={"_": 1795833437586}).is_success


def test_a_document_of_another_type_is_told_what_to_send(client: TestClient) -> None:
    body = b'{"name": "Tea"}'
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = client.put("/gallery/products/tea", content=body, headers=headers)
        assert_problem(answer, 415, "unsupported-body")
        assert "Content-Type: application/json" in answer.json()["detail"]
    answer = client.put("/gallery/products/tea", json=["Tea"])
    assert_problem(answer, 422, "invalid-request")


def test_what_is_wrong_with_a_parameter_is_told_once(client: TestClient) -> None:
    answer = client.put(f"/gallery/products/{'x' * 300}", json={"name": "Tea"})
    assert_problem(answer, 422, "invalid-request")
    assert len(answer.json()["errors"]) == 1
