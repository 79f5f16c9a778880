"""An answer that is made while it is sent, and holds a state of the gallery until it is made."""

from asyncio import timeout
from collections.abc import Generator, Mapping
from itertools import chain

from anyio import CancelScope, to_thread
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

# For a piece, of which a client may take a part at a time: about 1 kB a second.
STALL_SECONDS = 300


class Streamed(StreamingResponse):
    """The pieces of a generator, which is closed when the answer ends, however it does."""

    def __init__(
        self, pieces: Generator[bytes], *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        """Make the first piece: what is wrong then can still be answered."""
        super().__init__(chain([next(pieces)], pieces), media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As of any response.

        Raises:
            ClientDisconnect: it takes nothing any more.
        """

        async def timely(message: Message) -> None:
            try:
                async with timeout(STALL_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, timely)
        finally:
            # Left to the garbage collector it would hold what it holds until that comes by.
            with CancelScope(shield=True):
                await to_thread.run_sync(self._pieces.close)
