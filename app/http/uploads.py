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
from app.images import ImageLimits, check_bytes
from app.settings import Settings

FIELDS = ("image", "images")
# Documents are small; only what reads uploads takes more.
MAX_DOCUMENT_BYTES = 1024 * 1024
_LIMIT = "tillsight.body_limits"  # in the request's scope: bytes, and seconds without any
# So long nothing may come of a body; and so many bytes of it must come each second, on the whole
# and beyond as long: slow telephones send ten times as many.
STALL_SECONDS = 10.0
SLOWEST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file, not decoded yet."""

    filename: str | None
    data: bytes


def media_type(request: Request) -> str:
    """The body's type in lower case, without parameters; empty when it is not stated."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def allow_body(request: Request, most_bytes: int, stall_seconds: float = STALL_SECONDS) -> None:
    """Let a body be larger than a document, and stall longer; to be called before it is read."""
    request.scope[_LIMIT] = most_bytes, stall_seconds


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
    A body that stalls would keep the place that its request was let into.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "")
        declared = int(stated) if stated.isdecimal() else 0
        received, complete = 0, False
        begun = monotonic()

        async def limited() -> Message:
            nonlocal received, complete
            if complete:  # what is awaited now is that the client goes
                return await receive()
            limit, stall = scope.get(_LIMIT, (MAX_DOCUMENT_BYTES, STALL_SECONDS))
            allowed = stall + received / SLOWEST_BYTES - (monotonic() - begun)
            try:
                async with asyncio.timeout(min(allowed, stall)):
                    message = await receive()
            except TimeoutError:
                detail = (
                    f"The request's body stopped coming: {stall:g} s without a byte, or less than "
                    f"{SLOWEST_BYTES:,} bytes a second. Send the request again."
                )
                raise HTTPException(408, detail, {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if max(declared, received) > limit:
                raise HTTPException(
                    413, f"The request body is too large; at most {limit:,} bytes are read."
                )
            return message

        await self._app(scope, limited, send)


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
