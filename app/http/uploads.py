"""Images out of a request: multipart (`image`, `images`) or a raw body with an `image/*` type."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import RequestProblem
from app.http.shares import Shared, caller_of
from app.images import ImageLimits, check_bytes
from app.settings import Settings

FIELDS = ("image", "images")
# Documents are small; only what reads uploads takes more.
MAX_DOCUMENT_BYTES = 1024 * 1024
_RULE = "tillsight.body_rule"  # in the request's scope
# So far a body may fall behind the slowest pace.
BEHIND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a body may be: so many bytes, so long without any, and no slower on the whole.

    A telephone that sends 100 kB a second, or five megabytes in 110 s, is quick enough.
    `held`: its bytes stay until the request is answered.
    """

    most_bytes: int
    stall_seconds: float = 10.0
    slowest_bytes: int = 100_000
    held: bool = True


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file, not decoded yet."""

    filename: str | None
    data: bytes


def media_type(request: Request) -> str:
    """The body's type in lower case, without parameters; empty when it is not stated."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def allow_body(request: Request, most_bytes: int) -> None:
    """Let a body be larger than a document; to be called before it is read."""
    request.scope[_RULE] = _Rule(most_bytes)


def allow_archive(request: Request, most_bytes: int) -> None:
    """As `allow_body`, of what goes straight to the disk: it is long to send again."""
    request.scope[_RULE] = _Rule(most_bytes, stall_seconds=60.0, slowest_bytes=1024, held=False)


async def read_images(request: Request) -> list[Upload]:
    """All images of a request, in order.

    Raises:
        RequestProblem: the body is neither of the two forms, holds no image or too many.
        ImageTooLarge: a file is over the limit. A raw body is read no further; of a form all has
            arrived by then, what is larger than 1 MB on the disk.
    """
    settings: Settings = request.app.state.service.settings
    allow_body(request, settings.max_request_bytes)
    content_type = media_type(request)
    if content_type == "multipart/form-data":
        return await _read_form(request, settings)
    if content_type.startswith("image/"):
        return [Upload(None, await _read_body(request, settings.image_limits))]
    raise RequestProblem(
        415,
        "unsupported-body",
        f"The body's type is {content_type or 'not stated'}. Send the image as multipart/form-data "
        "(curl -F image=@photo.jpg …) or as it is with an image/* type "
        "(curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg …).",
    )


async def read_image(request: Request) -> Upload:
    """The one image of a request.

    Raises:
        RequestProblem: there is none, or more than one.
    """
    uploads = await read_images(request)
    if len(uploads) > 1:
        raise RequestProblem(
            422, "too-many-images", f"This call takes one image; {len(uploads)} were sent."
        )
    return uploads[0]


OneImage = Annotated[Upload, Depends(read_image)]
SeveralImages = Annotated[list[Upload], Depends(read_images)]


def request_body(*, several: bool = False) -> dict[str, Any]:
    """The OpenAPI description of an upload, for a route's `openapi_extra`."""
    file = {"type": "string", "format": "binary"}
    name, field = ("images", {"type": "array", "items": file}) if several else ("image", file)
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "required": [name], "properties": {name: field}}
                },
                "image/*": {"schema": file},
            },
        }
    }


class LimitBody:
    """ASGI middleware: a body that is too large, or too slow, is refused while it arrives.

    The limit is a document's, whatever the body says that it is, unless what reads it allows more.
    A body that stalls would keep the place that its request was let into. All bodies together hold
    no more than `most_held` bytes, and one caller's no more than a share of them. Belongs to one
    event loop.
    """

    def __init__(self, app: ASGIApp, *, most_held: int) -> None:
        self._app = app
        self._held = Shared(most_held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "")
        declared = int(stated) if stated.isdecimal() else 0
        received, held, complete = 0, 0, False
        whose = caller_of(scope)
        due = monotonic() + BEHIND_SECONDS

        async def limited() -> Message:
            nonlocal received, held, complete, due
            if complete:  # what is awaited now is that the client goes
                return await receive()
            rule: _Rule = scope.get(_RULE, _Rule(MAX_DOCUMENT_BYTES))
            try:
                async with asyncio.timeout(min(due - monotonic(), rule.stall_seconds)):
                    message = await receive()
            except TimeoutError:
                detail = (
                    f"The request's body came too slowly: {rule.stall_seconds:g} s without a byte, "
                    f"or {BEHIND_SECONDS:g} s behind {rule.slowest_bytes:,} bytes a second. "
                    "Send the request again."
                )
                raise HTTPException(408, detail, {"Connection": "close"}) from None
            size = len(message.get("body", b""))
            received += size
            # What came quickly is no leave to keep it here for long.
            due = min(due + size / rule.slowest_bytes, monotonic() + BEHIND_SECONDS)
            complete = not message.get("more_body", False)
            if max(declared, received) > rule.most_bytes:
                detail = (
                    f"The request body is too large; at most {rule.most_bytes:,} bytes are read."
                )
                raise HTTPException(413, detail)
            if rule.held:
                if not self._held.has(size, whose):
                    waiting = f"Requests of {self._held.taken + size:,} bytes are waiting already"
                    raise HTTPException(429, f"{waiting}; come back in 1 s.", {"Retry-After": "1"})
                held += size
                self._held.take(size, whose)
            return message

        try:
            await self._app(scope, limited, send)
        finally:
            self._held.give_back(held, whose)


async def _read_form(request: Request, settings: Settings) -> list[Upload]:
    uploads = []
    async with request.form(max_files=settings.max_files, max_fields=settings.max_files) as form:
        for name, value in form.multi_items():
            if name not in FIELDS or not isinstance(value, UploadFile):
                raise RequestProblem(
                    422,
                    "unexpected-field",
                    f"The form has a field {name[:40]!r} that is not an image file; "
                    "send files named image (or images).",
                )
            check_bytes(value.size or 0, settings.image_limits)
            uploads.append(Upload(value.filename, await value.read()))
    if not uploads:
        raise RequestProblem(
            422, "missing-image", "The form holds no file; send one named image (or images)."
        )
    return uploads


async def _read_body(request: Request, limits: ImageLimits) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        check_bytes(size, limits)
        chunks.append(chunk)
    return b"".join(chunks)
