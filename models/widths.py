"""How two networks share the cores: all of them for the one that runs alone, half each for both.

Half of them, too, where other processes want the cores (`models.pace`).
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import Generic, TypeAlias, TypeVar

from models.pace import Pace
from models.processor import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Run: TypeAlias = Callable[[Sequence[Item]], Sequence[Result]]

_log = logging.getLogger(__name__)


class Cores:
    """Knows who wants the cores. Thread-safe.

    `requests`: how many are being worked on, as far as whoever lets them in has told.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._lock = threading.Lock()
        self._passes = 0

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """For the length of a pass; whether nobody else wants the cores when it begins."""
        with self._lock:
            alone = self._passes == 0 and self.requests <= 1
            self._passes += 1
        try:
            yield alone
        finally:
            with self._lock:
                self._passes -= 1


class Widths(Generic[Item, Result]):
    """Runs a network on all its threads, or on half of them while there is other work.

    Threads of one pass wait for each other at every layer: where two passes, or another process,
    want the same core, each waits for a thread that waits for a core. Both widths have a predictor
    of their own, and the narrow one a thread, because oneDNN prepares its work for a number of
    threads and keeps it by the thread that asked. It is made when it is first of use.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[int], Run[Item, Result]],
        threads: int,
        cores: Cores,
    ) -> None:
        """`start` makes a predictor with so many threads, in the thread that will run it.

        `name`: of the network, for the log.
        """
        self._name = name
        self._start = start
        self._threads = max(1, min(threads, available_cores()))
        self._cores = cores
        self._narrow: Future[Run[Item, Result] | None] | None = None
        self._narrow_thread = ThreadPoolExecutor(1, "narrow")

    def begin(self) -> Run[Item, Result]:
        """Make the predictor with all threads; what it returns is for the calling thread."""
        wide = self._start(self._threads)
        if self._threads == 1:
            return wide
        pace = Pace(self._name, self._threads)

        def run(items: Sequence[Item]) -> Sequence[Result]:
            with self._cores.taken() as alone:
                narrow = None if alone and pace.all_threads() else self._narrow_if_made()
                if narrow is not None:
                    return self._narrow_thread.submit(narrow, items).result()
                started, used = perf_counter(), process_time()
                results = wide(items)
                if alone:
                    pace.note(perf_counter() - started, process_time() - used)
                return results

        return run

    def close(self) -> None:
        """Release the narrow predictor, behind the last run."""
        self._narrow_thread.shutdown()

    def _narrow_if_made(self) -> Run[Item, Result] | None:
        if self._narrow is None:
            self._narrow = self._narrow_thread.submit(self._make_narrow)
        return self._narrow.result() if self._narrow.done() else None

    def _make_narrow(self) -> Run[Item, Result] | None:
        try:
            return self._start(self._threads // 2)
        except Exception:
            _log.exception("a second predictor could not be made; the first one does all the work")
            return None
