"""Calls to what does not answer: a server that is away, a file that somebody holds."""

from __future__ import annotations

import time

_SECONDS = 1.0


class Rest:
    """After a failure nobody waits for another one: calls are refused at once for a while."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def lasts(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        self._until = time.monotonic() + _SECONDS
