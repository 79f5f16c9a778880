"""Bodies that come slowly, or many at once: what each may take, and all together."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from app.http import uploads
from app.http.current import begin
from app.http.uploads import LimitBody, allow_archive, allow_body

HELD = 1000


class Service:
    """What reads a body as `allow` lets it, and then works for as long as it is told."""

    def __init__(self, allow: Callable[[Request, int], None] = allow_body) -> None:
        self._allow = allow
        self.has_read = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self._allow(request, 10**6)
        await request.body()
        self.has_read.set()
        await self.done.wait()


async def ask(limit: LimitBody, body: AsyncIterator[Message], key: str = "") -> None:
    begin("id").key = key

    async def receive() -> Message:
        return await anext(body)

    async def send(_: Message) -> None:
        pytest.fail("nothing is answered here")

    await limit({"type": "http", "headers": []}, receive, send)


async def sent(*parts: int, pause: float = 0) -> AsyncIterator[Message]:
    """A body in parts of so many bytes, each behind a pause in seconds; 0 is the end."""
    for size in parts:
        await asyncio.sleep(pause)
        yield {"type": "http.request", "body": b"x" * size, "more_body": size > 0}


async def left(size: int) -> AsyncIterator[Message]:
    """A body whose client goes away in its midst."""
    yield {"type": "http.request", "body": b"x" * size, "more_body": True}
    yield {"type": "http.disconnect"}


def test_a_body_that_trickles_is_refused_but_not_an_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "BEHIND_SECONDS", 0.1)
    trickle, slow = (100,) * 10 + (0,), (10_000,) * 10 + (0,)

    async def run() -> None:
        service = Service()
        service.done.set()
        limit = LimitBody(service, most_held=2 * 10**6)
        with pytest.raises(HTTPException, match="too slowly") as refused:
            await ask(limit, sent(*trickle, pause=0.05))
        assert refused.value.status_code == 408
        with pytest.raises(HTTPException, match="too slowly"):
            await ask(limit, sent(900_000, *trickle, pause=0.05))
        await ask(limit, sent(*slow, pause=0.05))
        archives = Service(allow_archive)
        archives.done.set()
        await ask(LimitBody(archives, most_held=0), sent(*trickle, pause=0.05))

    asyncio.run(run())


def test_bodies_of_all_requests_hold_so_much_and_give_it_back() -> None:
    async def run() -> None:
        service = Service()
        limit = LimitBody(service, most_held=HELD)
        waiting = asyncio.create_task(ask(limit, sent(300, 300, 0), key="one"))
        await service.has_read.wait()
        for key, size in {"one": 151, "other": 401}.items():
            for _ in range(3):  # who is refused, or goes, holds nothing any more
                with pytest.raises(HTTPException, match=f"{600 + size:,} bytes") as refused:
                    await ask(limit, sent(size, 0), key=key)
                assert refused.value.status_code == 429
                assert refused.value.headers == {"Retry-After": "1"}
                with pytest.raises(ClientDisconnect):
                    await ask(limit, left(size - 1), key=key)
        beside = asyncio.create_task(ask(limit, sent(400, 0), key="other"))
        await asyncio.sleep(0)
        service.done.set()
        await asyncio.gather(waiting, beside)
        await ask(limit, sent(HELD * 3 // 4, 0), key="third")

    asyncio.run(run())
