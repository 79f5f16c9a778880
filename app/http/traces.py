"""OpenTelemetry traces: a span for each request, and one in it for each of its stages.

Off unless OpenTelemetry's own variables say where to send them; needs the extra `otel`.
"""

from __future__ import annotations

import logging
import os
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.current import RequestRecord, current_request

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NANOSECONDS = 1_000_000  # of a millisecond
CALLERS = TraceContextTextMapPropagator()
logger = logging.getLogger(__name__)


def provider() -> TracerProvider | None:
    """What sends spans where the environment says (OTLP over HTTP); None when it says nothing."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        # Only here: an extra.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        # A cluster may set them for all that runs in it.
        logger.warning("OTEL_… asks for traces, which need what requirements-extras.lock lists.")
        return None
    name = os.environ.get("OTEL_SERVICE_NAME", "tillsight")
    resource = Resource.create({"service.name": name, "service.version": version("tillsight")})
    made = TracerProvider(resource=resource)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class TraceRequests:
    """ASGI middleware: continues the caller's trace (`traceparent`), or begins one."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("tillsight")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record, method = current_request(), scope["method"]
        caller = CALLERS.extract(dict(Headers(scope=scope)))
        span = self._tracer.start_span(method, caller, SpanKind.SERVER)
        record.trace_id = f"{span.get_span_context().trace_id:032x}"
        status: int | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            self._finish(span, record, method, status)

    def _finish(self, span: Span, record: RequestRecord, method: str, status: int | None) -> None:
        inside = set_span_in_context(span)
        for name, start, end in stages(record):
            self._tracer.start_span(name, inside, start_time=start).end(end)
        span.set_attribute("http.request.method", method)
        span.set_attribute("tillsight.request_id", record.id)
        if record.problem:
            span.set_attribute("tillsight.problem", record.problem)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
        span.end()


def stages(record: RequestRecord) -> list[tuple[str, int, int]]:
    """Name, start and end (nanoseconds) of the stages of a request, which have only lengths.

    They lie end to end, all waiting first, up to when they were told.
    """
    times = {name: time for name, time in record.timing_ms.items() if time and name != "total"}
    waiting = {"queue": times.pop("queue")} if "queue" in times else {}
    now = record.timed_at - round(record.timing_ms.get("total", 0.0) * NANOSECONDS)
    found = []
    for name, length in (waiting | times).items():
        end = now + round(length * NANOSECONDS)
        found.append((name, now, end))
        now = end
    return found
