"""uvicorn's protocol, with a bound on what comes beside a request's body.

httptools has none: a header of any length would be read into memory, before a key is asked for,
and so would what may follow a body in chunks (RFC 9112, 7.1.2).
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Nothing that is sent to this service needs more; nginx and h11 allow as much or less.
MOST_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHead(HttpToolsProtocol):
    """Hangs up on a request line, headers or trailers of more than MOST_HEAD_BYTES."""

    # Bytes since the last end of a head, or piece or end of a body: a head, or a part of one.
    _head = 0

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()
