"""uvicorn's protocol, with bounds on what comes beside a request's body.

httptools has none: a header of any length would be read into memory, before a key is asked for,
and so would what may follow a body in chunks (RFC 9112, 7.1.2). Nor has uvicorn a limit of time for
a head: connections that say nothing would stay until no more can be opened.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Nothing that is sent to this service needs more; nginx and h11 allow as much or less.
MOST_HEAD_BYTES = 64 * 1024
# From the connection's beginning, or the head's first byte after another request, to its end.
MOST_HEAD_SECONDS = 30.0
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHead(HttpToolsProtocol):
    """Hangs up on a request line, headers or trailers of more than MOST_HEAD_BYTES.

    And on a head that has not come whole within MOST_HEAD_SECONDS.
    """

    # Bytes since the last end of a head, or piece or end of a body: a head, or a part of one.
    _head = 0
    _due = 0.0  # when that head must be there, by the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._due = self.loop.time() + MOST_HEAD_SECONDS
        self._hang_up_when_due()

    def data_received(self, data: bytes) -> None:
        if self._head == 0 and self.cycle is not None:
            self._due = self.loop.time() + MOST_HEAD_SECONDS
        self._head += len(data)
        super().data_received(data)
        if self._head == 0 or self.transport.is_closing():
            return
        between = self.cycle is None or self.cycle.response_complete
        if self._head > MOST_HEAD_BYTES:
            if between:
                self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif between:
            self._hang_up_when_due()

    def _hang_up_when_due(self) -> None:
        # uvicorn's own timer, which ends with the next bytes and is for connections between
        # requests. While one is answered, what waits for its body has a limit of its own.
        self.timeout_keep_alive_task = self.loop.call_at(self._due, self.timeout_keep_alive_handler)

    def on_headers_complete(self) -> None:
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()
