"""Clients of a TillSight service: `Client`, and `AsyncClient` with the same methods.

with Client("http://127.0.0.1:8000", key="tillsight_…") as tillsight:
    for result in tillsight.recognize(Path("tray.jpg"))["results"]:
        print(result["outcome"], result["product"])
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx2

from tillsight import calls
from tillsight.calls import Call

TIMEOUT_SECONDS = 30.0
EXPORT = "/gallery/export"
PIECE_BYTES = 1024 * 1024
P = ParamSpec("P")
Answer = TypeVar("Answer")


class TillSightError(Exception):
    """The service refused: its problem document (RFC 9457), and when to try again if it said so."""

    def __init__(
        self, status: int, code: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def _method(make: Callable[P, Call[Answer]]) -> Callable[Concatenate["Client", P], Answer]:
    @wraps(make)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return self.send(make(*args, **kwargs))

    return method


def _async_method(
    make: Callable[P, Call[Answer]],
) -> Callable[Concatenate["AsyncClient", P], Awaitable[Answer]]:
    @wraps(make)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await self.send(make(*args, **kwargs))

    return method


class Client:
    """Keeps its connections open; safe to use from many threads.

    Methods raise TillSightError for an answer that is an error, httpx2.TransportError for none.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = TIMEOUT_SECONDS, **options: Any
    ) -> None:
        """`options` are those of `httpx2.Client`: `verify`, `proxy` and so on.

        Raises ValueError where no key is like this one, httpx2.InvalidURL where no address is.
        """
        self.url = url
        self._http = httpx2.Client(base_url=url, headers=_headers(key), timeout=timeout, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[Answer]) -> Answer:
        """Make a call of `tillsight.calls`."""
        return _answer(call, self._http.request(call.method, call.path, **_sent(call, _pieces)))

    def export(self, file: Path, progress: Callable[[int], object] | None = None) -> None:
        """Write the gallery to a zip file, for `import_archive` elsewhere.

        It is there as a whole or not at all, and stays there when the power fails. `progress` is
        told how many bytes have come. Raises OSError as well.
        """
        with _partial(file) as target, self._http.stream("GET", EXPORT) as response:
            if not response.is_success:
                response.read()
                raise _refusal(response)
            for piece in response.iter_bytes():
                target.write(piece)
                if progress is not None:
                    progress(target.tell())
            _put_in_place(target, file)

    detect = _method(calls.detect)
    embed = _method(calls.embed)
    recognize = _method(calls.recognize)
    explain = _method(calls.explain)
    explain_picture = _method(calls.explain_picture)
    verify = _method(calls.verify)
    calibration = _method(calls.calibration)
    gallery = _method(calls.gallery)
    put_product = _method(calls.put_product)
    get_product = _method(calls.get_product)
    list_products = _method(calls.list_products)
    samples = _method(calls.samples)
    delete_samples = _method(calls.delete_samples)
    delete_product = _method(calls.delete_product)
    add_images = _method(calls.add_images)
    get_image = _method(calls.get_image)
    delete_image = _method(calls.delete_image)
    history = _method(calls.history)
    import_archive = _method(calls.import_archive)
    audit = _method(calls.audit)
    say = _method(calls.say)
    list_feedback = _method(calls.list_feedback)
    get_feedback = _method(calls.get_feedback)
    approve = _method(calls.approve)
    reject = _method(calls.reject)
    undo = _method(calls.undo)
    list_jobs = _method(calls.list_jobs)
    get_job = _method(calls.get_job)
    cancel_job = _method(calls.cancel_job)


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = TIMEOUT_SECONDS, **options: Any
    ) -> None:
        """`options` are those of `httpx2.AsyncClient`. Raises as `Client`."""
        self.url = url
        self._http = httpx2.AsyncClient(
            base_url=url, headers=_headers(key), timeout=timeout, **options
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[Answer]) -> Answer:
        """Make a call of `tillsight.calls`."""
        return _answer(
            call, await self._http.request(call.method, call.path, **_sent(call, _async_pieces))
        )

    async def export(self, file: Path, progress: Callable[[int], object] | None = None) -> None:
        """Write the gallery to a zip file, for `import_archive` elsewhere.

        It is there as a whole or not at all, and stays there when the power fails. `progress` is
        told how many bytes have come. Raises OSError as well.
        """
        with _partial(file) as target:
            async with self._http.stream("GET", EXPORT) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                async for piece in response.aiter_bytes():
                    target.write(piece)
                    if progress is not None:
                        progress(target.tell())
            # The disk may take its time.
            await asyncio.to_thread(_put_in_place, target, file)

    detect = _async_method(calls.detect)
    embed = _async_method(calls.embed)
    recognize = _async_method(calls.recognize)
    explain = _async_method(calls.explain)
    explain_picture = _async_method(calls.explain_picture)
    verify = _async_method(calls.verify)
    calibration = _async_method(calls.calibration)
    gallery = _async_method(calls.gallery)
    put_product = _async_method(calls.put_product)
    get_product = _async_method(calls.get_product)
    list_products = _async_method(calls.list_products)
    samples = _async_method(calls.samples)
    delete_samples = _async_method(calls.delete_samples)
    delete_product = _async_method(calls.delete_product)
    add_images = _async_method(calls.add_images)
    get_image = _async_method(calls.get_image)
    delete_image = _async_method(calls.delete_image)
    history = _async_method(calls.history)
    import_archive = _async_method(calls.import_archive)
    audit = _async_method(calls.audit)
    say = _async_method(calls.say)
    list_feedback = _async_method(calls.list_feedback)
    get_feedback = _async_method(calls.get_feedback)
    approve = _async_method(calls.approve)
    reject = _async_method(calls.reject)
    undo = _async_method(calls.undo)
    list_jobs = _async_method(calls.list_jobs)
    get_job = _async_method(calls.get_job)
    cancel_job = _async_method(calls.cancel_job)


def _headers(key: str | None) -> dict[str, str]:
    key = (key or "").strip()  # of the line's end, where it was read from a file
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise ValueError("The key is no key of TillSight: it holds other characters than ASCII's.")
    return {"Authorization": f"Bearer {key}"}


def _sent(call: Call[Any], pieces: Callable[[Path], object]) -> dict[str, Any]:
    return call.arguments | ({} if call.body is None else {"content": pieces(call.body)})


def _answer(_: Call[Answer], response: httpx2.Response) -> Answer:
    if response.is_success:
        if response.headers.get("content-type", "").startswith("image/"):
            return cast(Answer, response.content)
        return cast(Answer, response.json() if response.content else None)
    raise _refusal(response)


def _refusal(response: httpx2.Response) -> TillSightError:
    try:
        problem = response.json()
        code, detail = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        # Not TillSight's own: a proxy's page.
        code, detail = "http-error", f"{response.request.url} answered {response.status_code}."
    wait = response.headers.get("retry-after", "")
    return TillSightError(
        response.status_code, code, detail, float(wait) if wait.isdigit() else None
    )


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(PIECE_BYTES):
            yield piece


async def _async_pieces(file: Path) -> AsyncIterator[bytes]:
    for piece in _pieces(file):
        yield piece


@contextmanager
def _partial(file: Path) -> Iterator[IO[bytes]]:
    """What is to become `file`, beside it; gone in the end if that was not put in place."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as target:
            yield target
    finally:
        partial.unlink(missing_ok=True)


def _put_in_place(partial: IO[bytes], file: Path) -> None:
    """Also when the power fails there is the whole old file or the whole new one."""
    partial.flush()
    os.fsync(partial.fileno())
    # Windows renames no open file, and opens no folder.
    partial.close()
    Path(partial.name).replace(file)
    if os.name != "nt":
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
