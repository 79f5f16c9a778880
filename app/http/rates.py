"""How often a key may call: a token bucket for each, on a clock that never jumps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from app.keys import Key


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """Holds `per_minute` of every key: so many at once, and so many a minute on average.

    Not thread-safe: the event loop asks.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: Key) -> int | None:
        """Count one request; or the whole seconds until the next one is allowed."""
        if key.per_minute is None:
            return None
        now = self._clock()
        bucket = self._buckets.setdefault(key.id, _Bucket(key.per_minute, now))
        per_second = key.per_minute / 60
        bucket.tokens = min(key.per_minute, bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens < 1:
            return math.ceil((1 - bucket.tokens) / per_second)
        bucket.tokens -= 1
        return None
