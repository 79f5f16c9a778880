"""One thread that owns one predictor and answers a FIFO queue."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.errors import ClosedError

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds of one call: `forward` is the network alone, `queue` waiting for its turn."""

    preprocess: float
    forward: float
    queue: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """A request's result; `queue` and `forward` in milliseconds."""

    result: Result
    queue: float
    forward: float


@dataclass(slots=True)
class _Request(Generic[Item, Result]):
    item: Item
    size: int
    submitted: float
    future: "Future[Answer[Result]]"


class Worker(Generic[Item, Result]):
    """Runs requests in order of arrival, those that wait together in one batch.

    Predictors are not thread-safe, a lock around one starves some callers for seconds, and a timer
    that waits for a fuller batch only adds latency: so one thread takes whatever is waiting.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Callable[[Sequence[Item]], Sequence[Result]]],
        *,
        max_batch: int,
    ) -> None:
        """Start the thread and wait until `start` has returned in it.

        `start` makes and warms up the predictor and returns the function that runs a batch: items
        in, as many results out. Whatever it raises is raised here.
        """
        self._max_batch = max_batch
        self._waiting: deque[_Request[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(start, ready), name=name, daemon=True
        )
        self._thread.start()
        ready.result()

    @property
    def depth(self) -> int:
        """Requests that wait; the batch being run is not among them."""
        return len(self._waiting)

    def submit(self, item: Item, *, size: int = 1) -> "Future[Answer[Result]]":
        """Queue one request that takes `size` places of a batch (1 … max_batch).

        Raises:
            ClosedError: the worker has been closed.
        """
        if not 1 <= size <= self._max_batch:
            raise ValueError(f"a request takes 1 to {self._max_batch} places, not {size}")
        request: _Request[Item, Result] = _Request(item, size, time.perf_counter(), Future())
        with self._changed:
            if self._closed:
                raise ClosedError("The worker has been closed: it takes no more work")
            self._waiting.append(request)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Finish what was accepted, then end the thread. Safe to call again."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(
        self,
        start: Callable[[], Callable[[Sequence[Item]], Sequence[Result]]],
        ready: "Future[None]",
    ) -> None:
        try:
            run = start()
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        while batch := self._next_batch():
            live = [request for request in batch if request.future.set_running_or_notify_cancel()]
            if live:
                self._answer(run, live)

    def _next_batch(self) -> list[_Request[Item, Result]]:
        """What waits, up to the limit; empty once closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[_Request[Item, Result]] = []
            places = self._max_batch
            while self._waiting and self._waiting[0].size <= places:
                request = self._waiting.popleft()
                batch.append(request)
                places -= request.size
            return batch

    def _answer(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        batch: list[_Request[Item, Result]],
    ) -> None:
        started = time.perf_counter()
        try:
            results = run([request.item for request in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            # One bad request must not fail its neighbours.
            _log.warning("a batch of %d requests failed; running them singly", len(batch))
            for request in batch:
                self._answer(run, [request])
            return
        forward = (time.perf_counter() - started) * 1000
        for request, result in zip(batch, results, strict=True):
            queue = (started - request.submitted) * 1000
            request.future.set_result(Answer(result, queue, forward))
