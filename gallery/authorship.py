"""Who changes the gallery: said by the caller around its changes, taken down by the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Author:
    """`name` of who changes something, `request_id` of the request that asked for it; if known."""

    name: str | None = None
    request_id: str | None = None


_UNKNOWN = Author()
_current: ContextVar[Author] = ContextVar("author", default=_UNKNOWN)


def current_author() -> Author:
    """Whose changes this thread or task makes."""
    return _current.get()


@contextmanager
def authored(author: Author) -> Iterator[None]:
    """What is changed inside is noted as the author's."""
    token = _current.set(author)
    try:
        yield
    finally:
        _current.reset(token)
