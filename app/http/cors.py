"""Web pages of other origins may call only when TILLSIGHT_CORS_ORIGINS names them."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from app.http.problems import RequestProblem, describe, to_response


class CrossOrigin(CORSMiddleware):
    """Starlette's CORS for this API; a refused preflight is a problem document, too."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "X-Request-ID",
                "traceparent",
                "tracestate",
            ],
            expose_headers=["ETag", "Retry-After", "X-Request-ID"],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        problem = describe(
            RequestProblem(
                400,
                "refused-preflight",
                "A page of this origin may not make this call; see TILLSIGHT_CORS_ORIGINS.",
            )
        )
        return to_response(problem, {"Vary": "Origin"})
