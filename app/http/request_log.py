"""One line of the log and one count for every request."""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import current
from app.http.metrics import Metrics

logger = logging.getLogger(__name__)
# What asks every few seconds would bury the rest.
QUIET = ("/healthz", "/readyz", "/metrics")
# The client has gone before there was an answer (nginx's number for it).
CLIENT_GONE = 499
_ID = re.compile(r"[\w.:/+-]{1,64}", re.ASCII)


class LogRequests:
    """ASGI middleware: gives each request an id, and logs and counts its answer.

    A client's own `X-Request-ID` is kept, so that one id leads through all logs of a shop.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        record = current.begin(given if _ID.fullmatch(given) else uuid4().hex)
        started = perf_counter()
        status = CLIENT_GONE

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = record.id
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, record, status, perf_counter() - started)

    def _note(
        self, scope: Scope, record: current.RequestRecord, status: int, seconds: float
    ) -> None:
        # The route's pattern, not the path: ids would make a series each.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"]
        self._metrics.count_request(route, method, status, seconds)
        if record.problem:
            self._metrics.count_problem(record.problem)
        level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
        path = scope["path"][:200]
        fields = {
            "request_id": record.id,
            "trace_id": record.trace_id,
            "method": method,
            "route": route,
            "path": path,
            "status": status,
            "problem": record.problem,
            "key": record.key,
            "client": (scope.get("client") or ("",))[0],
            "duration_ms": round(seconds * 1000, 2),
            "timing_ms": record.timing_ms or None,
        }
        logger.log(
            level,
            "%s %r %d in %.0f ms",
            method,
            path,
            status,
            seconds * 1000,
            extra={name: value for name, value in fields.items() if value is not None},
        )
