"""Batches made in threads, a few ahead of the network, and handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 4  # batches under way

Batch = TypeVar("Batch")


def made_ahead(
    make: Callable[[int], Batch], numbers: Iterable[int], threads: int
) -> Iterator[Batch]:
    """`make` of each number, in their order."""
    # OpenCV and decoding leave the interpreter's lock alone: threads are enough.
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Batch]] = deque()
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
