"""Every error is one shape: RFC 9457 problem+json, with a stable `code` and advice in `detail`."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import images
from app.calibration.impostors import GalleryTooSmall
from app.checks import words_of
from app.enrolment.guard import DoubtfulReference
from app.feedback.feedback import FeedbackDecided, QueueFull, UnknownFeedback
from app.feedback.photographs import UnknownRecognition
from app.feedback.review import LowersRecall, NoProduct, UnknownResult
from app.http.current import current_request
from app.http.schemas import EffectAnswer, Problem
from app.jobs import UnknownJob
from app.transfer.archive import UnusableArchive
from gallery import (
    GalleryClosed,
    GalleryDamaged,
    GalleryUnavailable,
    HistoryForgotten,
    InvalidFilter,
    InvalidValue,
    StorageFailed,
    UnknownImage,
    UnknownProduct,
    VersionConflict,
)
from models.errors import ClosedError

logger = logging.getLogger(__name__)


class RequestProblem(Exception):
    """A request that can't be served as it is: its status, code, advice and further headers."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers


# Domain errors, the most special first: their messages are written for the client.
DOMAIN_PROBLEMS: list[tuple[type[Exception], int, str]] = [
    (images.EmptyImage, 400, "empty-image"),
    (images.UnsupportedImage, 415, "unsupported-image"),
    (images.DamagedImage, 422, "damaged-image"),
    (images.ImageTooLarge, 413, "image-too-large"),
    (images.ImageTooSmall, 422, "image-too-small"),
    (images.PlainImage, 422, "plain-image"),
    (UnusableArchive, 422, "unusable-archive"),
    (UnknownJob, 404, "unknown-job"),
    (UnknownProduct, 404, "unknown-product"),
    (UnknownImage, 404, "unknown-image"),
    (UnknownRecognition, 404, "unknown-recognition"),
    (UnknownResult, 404, "unknown-result"),
    (UnknownFeedback, 404, "unknown-feedback"),
    (FeedbackDecided, 409, "feedback-decided"),
    (QueueFull, 409, "queue-full"),
    (LowersRecall, 409, "lowers-recall"),
    (NoProduct, 422, "product-needed"),
    (DoubtfulReference, 422, "doubtful-reference"),
    (GalleryTooSmall, 409, "gallery-too-small"),
    (VersionConflict, 412, "version-conflict"),
    (HistoryForgotten, 410, "history-forgotten"),
    (InvalidValue, 422, "invalid-value"),
    (InvalidFilter, 422, "invalid-filter"),
    (StorageFailed, 503, "storage-failed"),
    (GalleryDamaged, 503, "gallery-damaged"),
    (GalleryUnavailable, 503, "gallery-unavailable"),
    (ClosedError, 503, "shutting-down"),
    (GalleryClosed, 503, "shutting-down"),
]
# A server that was killed is back in half a minute or so: whoever asks often knows soonest.
AWAY_SECONDS = "5"
HTTP_CODES = {
    400: "malformed-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "upload-stalled",
    413: "request-too-large",
    429: "overloaded",
}
HTTP_DETAILS = {
    404: "There is nothing at this path; see /docs. Ids in a path are percent-encoded and hold no "
    "slash.",
    405: "This path does not know this method; see /docs.",
}
# What answers say beside their documents; the second is what problems of a status may have.
_HEADERS = {
    "X-Request-ID": {
        "description": "The request's own, or one made for it: logs have it, too.",
        "required": True,
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "Why the call is not allowed (RFC 6750).",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to ask again, where they are known. Of 409 only where "
        "a request with the same `Idempotency-Key` is still being answered.",
        "schema": {"type": "integer"},
    },
}
_HEADER_OF = {
    401: "WWW-Authenticate",
    403: "WWW-Authenticate",
    409: "Retry-After",
    429: "Retry-After",
    503: "Retry-After",
}
_NO_TYPE = "The body's type is {}. Send a JSON document with -H 'Content-Type: application/json'."


def describe(error: Exception) -> Problem:
    """The problem document of any exception; what is not known is the service's own fault."""
    for kind, status, code in DOMAIN_PROBLEMS:
        if isinstance(error, kind):
            problem = _problem(status, code, str(error))
            if isinstance(error, LowersRecall):
                problem.effect = EffectAnswer.model_validate(error.effect)
            if isinstance(error, DoubtfulReference):
                problem.errors = [asdict(doubt) for doubt in error.doubts]
            return problem
    if isinstance(error, RequestProblem):
        return _problem(error.status, error.code, str(error))
    if isinstance(error, OSError):
        # Its own text names paths of this machine.
        return _problem(
            503,
            "storage-failed",
            f"The disk refused ({error.strerror}). Check free space and permissions of the data "
            "folder and of the folder for temporary files.",
        )
    if isinstance(error, MemoryError):
        return _problem(
            503,
            "out-of-memory",
            "The service was short of memory. Send the request again in some seconds, or a smaller "
            "image.",
        )
    return _problem(500, "internal-error", "Something went wrong in the service; see its log.")


def _headers(error: Exception) -> dict[str, str]:
    """What a client is told beside the problem."""
    return {"Retry-After": AWAY_SECONDS} if isinstance(error, GalleryUnavailable) else {}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the problems that a call can answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "headers": _header(_HEADER_OF[status]) if status in _HEADER_OF else {},
            "content": {
                # AddedImageItem brings it among the components.
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status in statuses
    }


def document(schema: dict[str, Any]) -> None:
    """Write into an OpenAPI document what any call may be answered.

    A body is refused before its route sees it, the disk or the networks may be out of reach, and a
    parameter unknown.
    """
    of_any = {str(status): entry for status, entry in responses(422, 503).items()}
    of_bodies = {str(status): entry for status, entry in responses(400, 408, 413, 415).items()}
    schema["components"]["headers"] = _HEADERS
    for operations in schema["paths"].values():
        for operation in operations.values():
            refusals = of_bodies | of_any if "requestBody" in operation else of_any
            operation["responses"] = refusals | operation["responses"]
            for answer in operation["responses"].values():
                answer["headers"] = answer.get("headers", {}) | _header("X-Request-ID")


def _header(name: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"}}


def to_response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that a problem document is; also noted for the request's line in the log."""
    current_request().problem = problem.code
    return JSONResponse(
        problem.model_dump(),
        status_code=problem.status,
        headers=headers,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` as a problem document."""

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        detail = HTTP_DETAILS.get(error.status_code, str(error.detail))
        if isinstance(error.__cause__, UnicodeDecodeError):
            detail = "The body is not JSON in UTF-8. Send it so, and not compressed."
        code = HTTP_CODES.get(error.status_code, "http-error")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers |= _allow(request)
        return to_response(_problem(error.status_code, code, detail), headers)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        content_type = request.headers.get("content-type", "")
        if found[0]["loc"] == ("body",) and "json" not in content_type:
            stated = content_type[:80] or "not stated"
            return to_response(_problem(415, "unsupported-body", _NO_TYPE.format(stated)))
        if found[0].get("type") == "json_invalid":
            position, reason = found[0]["loc"][1], found[0]["ctx"]["error"]
            detail = f"The body is not JSON: {reason} at character {position}."
            return to_response(_problem(400, "malformed-request", detail))
        # The offending input is left out: it may be huge, or not representable in JSON. What two
        # parts of a call ask of one parameter is told once.
        told = dict.fromkeys((".".join(map(str, item["loc"])), words_of(item)) for item in found)
        errors = [{"where": where, "message": message} for where, message in told]
        detail = "; ".join(f"{item['where']}: {item['message']}" for item in errors[:5])
        problem = _problem(422, "invalid-request", detail)
        problem.errors = errors
        return to_response(problem)

    @app.exception_handler(RequestProblem)
    async def request_problem(_: Request, error: RequestProblem) -> JSONResponse:
        return to_response(describe(error), error.headers)

    async def domain_error(_: Request, error: Exception) -> JSONResponse:
        return to_response(describe(error), _headers(error))

    for kind, _, _ in DOMAIN_PROBLEMS:
        app.add_exception_handler(kind, domain_error)


class AnswerFaults:
    """ASGI middleware, next to the routes: what nobody expected is logged and answered as well.

    Starlette's own place for this is outside all middleware: those answers would have no headers of
    theirs, and no line in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            logger.info("The client went away, or took no more of its answer.")
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            logger.exception("A request failed.")
            await to_response(describe(error))(scope, receive, send)


def _allow(request: Request) -> dict[str, str]:
    """`Allow` with all operations at the request's path: Starlette names the first route's only."""
    path = getattr(request.scope.get("route"), "path", None)
    operations = set(request.app.openapi()["paths"].get(path, ()))
    if "get" in operations:
        operations.add("head")  # app.http.head
    return {"Allow": ", ".join(sorted(operations)).upper()} if operations else {}


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:tillsight:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
    )
