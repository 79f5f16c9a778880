"""The running application against its own OpenAPI document."""

from typing import get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from app.http.application import create_app
from app.service import Service
from gallery import ChangeKind
from tests.app.test_guard import COFFEE, CRISPS, add

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@schemathesis.serializer("application/zip")
def as_it_is(_: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture(scope="module")
def api(service: Service) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service))


OPERATIONS = [
    ("POST", "/detect"),
    ("POST", "/embed"),
    ("POST", "/recognize"),
    ("POST", "/verify"),
    ("POST", "/explain"),
    ("POST", "/explain/picture"),
    ("POST", "/feedback"),
    ("GET", "/feedback"),
    ("GET", "/feedback/{number}"),
    ("GET", "/feedback/{number}/image"),
    ("POST", "/feedback/{number}/approve"),
    ("POST", "/feedback/{number}/reject"),
    ("POST", "/feedback/{number}/undo"),
    ("GET", "/gallery"),
    ("GET", "/gallery/audit"),
    ("GET", "/gallery/calibration"),
    ("GET", "/gallery/changes"),
    ("GET", "/gallery/export"),
    ("GET", "/gallery/history"),
    ("GET", "/gallery/products"),
    ("GET", "/gallery/samples"),
    ("DELETE", "/gallery/samples"),
    ("PUT", "/gallery/products/{product_id}"),
    ("GET", "/gallery/products/{product_id}"),
    ("DELETE", "/gallery/products/{product_id}"),
    ("POST", "/gallery/products/{product_id}/images"),
    ("GET", "/gallery/images/{image_id}"),
    ("GET", "/gallery/images/{image_id}/thumbnail"),
    ("DELETE", "/gallery/images/{image_id}"),
    ("POST", "/gallery/import"),
    ("POST", "/gallery/rebuild"),
    ("GET", "/jobs"),
    ("GET", "/jobs/{job_id}"),
    ("POST", "/jobs/{job_id}/cancel"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


def test_every_operation_is_tested(api: schemathesis.BaseSchema) -> None:
    found = {(item.ok().method.upper(), item.ok().path) for item in api.get_all_operations()}
    assert found == set(OPERATIONS)


def test_every_body_can_be_refused(api: schemathesis.BaseSchema) -> None:
    refused = [
        {"400", "413", "415"} <= operation["responses"].keys()
        for operations in api.raw_schema["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    assert len(refused) > 5
    assert all(refused)


def test_headers_are_documented(api: schemathesis.BaseSchema) -> None:
    operation = api.raw_schema["paths"]["/gallery/products/{product_id}"]["put"]
    headers = {status: {*answer["headers"]} for status, answer in operation["responses"].items()}
    assert headers["200"] == headers["201"] == {"ETag", "X-Request-ID"}
    assert headers["401"] == headers["403"] == {"WWW-Authenticate", "X-Request-ID"}
    assert headers["429"] == headers["503"] == {"Retry-After", "X-Request-ID"}
    assert headers["404"] == {"X-Request-ID"}


def test_every_tag_is_told_in_a_sentence(api: schemathesis.BaseSchema) -> None:
    told = {tag["name"] for tag in api.raw_schema["tags"] if tag["description"].endswith(".")}
    operations = [o for path in api.raw_schema["paths"].values() for o in path.values()]
    assert told == {tag for operation in operations for tag in operation["tags"]}


def test_kinds_of_changes_are_named(api: schemathesis.BaseSchema) -> None:
    schemas = api.raw_schema["components"]["schemas"]
    for schema in (schemas["ChangeItem"], schemas["HistoryItem"]):
        assert tuple(schema["properties"]["kind"]["enum"]) == get_args(ChangeKind)


def test_a_problem_is_one_component(api: schemathesis.BaseSchema) -> None:
    schemas = [
        answer["content"]["application/problem+json"]["schema"]
        for operations in api.raw_schema["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]
    assert len(schemas) > 200
    assert all(schema == {"$ref": "#/components/schemas/Problem"} for schema in schemas)


def test_a_dry_run_that_misses_is_as_documented(
    api: schemathesis.BaseSchema, client: TestClient
) -> None:
    add(client, "crisps", *CRISPS[:2])
    add(client, "coffee", *COFFEE[:2])
    path = "/gallery/products/{product_id}/images"
    wrong = client.post(
        path.format(product_id="coffee"),
        files=[("images", CRISPS[2]), ("images", b"no image")],
        params={"dry_run": True},
    )
    assert None in [missed["image_id"] for missed in wrong.json()["effect"]["newly_missed"]]
    assert api[path]["POST"].validate_response(wrong) is None
    # What an entry has nothing of is left out, as it ever was.
    assert [entry.keys() for entry in wrong.json()["images"]] == [
        {"filename", "warnings"},
        {"filename", "warnings", "error"},
    ]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_documented(api: schemathesis.BaseSchema, method: str, path: str) -> None:
    @given(case=api[path][method].as_strategy())
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
