"""Traces of a real service, taken by a collector that understands OTLP."""

import logging
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.http import traces
from app.http.current import RequestRecord
from tests.app import pictures
from tests.app.processes import running_service

CALLER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Keeps the spans that are sent to it, and whose they are."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                pair.value.string_value
                for pair in sent.resource.attributes
                if pair.key == "service.name"
            }
            for scope in sent.scope_spans:
                self.spans.extend(scope.spans)

    def wait_for(self, name: str) -> Span:
        for _ in range(600):
            found = [span for span in self.spans if span.name == name]
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no span {name!r} among {[span.name for span in self.spans]}")


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_request_is_a_span_of_its_caller_s_trace(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with running_service(tmp_path / "data", sample_gallery=False) as service:
        headers = {"traceparent": f"00-{CALLER}-{PARENT}-01", "X-Request-ID": "till-1"}
        files = {"image": pictures.jpeg(1)}
        assert service.client.post("/recognize", files=files, headers=headers).is_success
        span = collector.wait_for("POST /recognize")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (CALLER, PARENT)
        attributes = {pair.key: pair.value for pair in span.attributes}
        assert attributes["http.response.status_code"].int_value == 200
        assert attributes["tillsight.request_id"].string_value == "till-1"
        inside = [one for one in collector.spans if one.parent_span_id == span.span_id]
        assert {"decode", "detect", "embed", "search"} <= {one.name for one in inside}
        for one in inside:
            assert one.start_time_unix_nano < one.end_time_unix_nano <= span.end_time_unix_nano
        assert service.client.get("/gallery/images/none").status_code == 404
        refused = collector.wait_for("GET /gallery/images/{image_id}")
        assert "unknown-image" in {pair.value.string_value for pair in refused.attributes}
        assert refused.trace_id.hex() != CALLER
    assert collector.services == {"tillsight"}
    assert f'"trace_id": "{CALLER}"' in service.log.read_text()


def test_nothing_is_traced_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in traces.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert traces.provider() is None


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING):
        assert traces.provider() is None
    assert "requirements-extras.lock" in caplog.text


def test_stages_lie_end_to_end_with_the_waiting_first() -> None:
    times = {"decode": 2.0, "detect": 3.0, "search": 0.0, "queue": 5.0, "total": 12.0}
    record = RequestRecord("x", timing_ms=times, timed_at=20_000_000)
    assert traces.stages(record) == [
        ("queue", 8_000_000, 13_000_000),
        ("decode", 13_000_000, 15_000_000),
        ("detect", 15_000_000, 18_000_000),
    ]
    assert traces.stages(RequestRecord("x")) == []
