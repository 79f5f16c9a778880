"""uvicorn's protocol, with a bound on what comes before a request's body.

httptools has none: a header of any length would be read into memory, before a key is asked for.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Nothing that is sent to this service needs more; nginx and h11 allow as much or less.
MOST_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHead(HttpToolsProtocol):
    """Hangs up on a request line and headers of more than MOST_HEAD_BYTES."""

    # Bytes of a head that has not ended; None: there is none.
    _head: int | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()
