"""What is known of the request at hand: routes and middleware fill it in, its log line tells it."""

from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestRecord:
    """`key` is the label of the caller's key, `problem` the code of the error it got.

    `timed_at`: when the times of its stages were told, in nanoseconds since 1970.
    """

    id: str
    key: str | None = None
    problem: str | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    timed_at: int = 0
    trace_id: str | None = None


_current: ContextVar[RequestRecord] = ContextVar("request")


def begin(request_id: str) -> RequestRecord:
    """The record of a request that has just arrived."""
    record = RequestRecord(request_id)
    _current.set(record)
    return record


def current_request() -> RequestRecord:
    """The record of the request that this code runs for, on whatever thread."""
    return _current.get()
