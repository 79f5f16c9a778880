"""Whether other processes leave a network the cores that all its threads need."""

import logging
from collections.abc import Callable
from time import monotonic

_log = logging.getLogger(__name__)

# A pass that had less of its threads' time than this is starved: half of them would do. Undisturbed
# it has 0.95 (0.5 at worst). Beside one process that keeps one of two cores busy it has 0.5, and
# one thread is as quick; beside two of them 0.08, and one thread is four times as quick.
_STARVED = 0.4
_IN_A_ROW = 3  # one may be chance
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 30.0


class Pace:
    """Learns from the passes of a network that is alone in this service. For one thread.

    Threads of one pass wait for each other at every layer. Where other processes want the cores
    each waits for a thread that waits for a core, and such a pass takes ten times as long; half of
    the threads need half of the cores. So all of them get another trial from time to time only.
    """

    def __init__(self, network: str, threads: int, clock: Callable[[], float] = monotonic) -> None:
        self._network = network  # as the log calls it
        self._threads = threads
        self._clock = clock
        self._starved = 0  # passes in a row
        self._seconds = _FIRST_SECONDS
        self._halved_until: float | None = None

    def all_threads(self) -> bool:
        """Whether the next pass should have all threads."""
        return self._halved_until is None or self._clock() >= self._halved_until

    def note(self, seconds: float, processor_seconds: float) -> None:
        """A pass on all threads took so long, and so much of the processor."""
        if processor_seconds >= _STARVED * self._threads * seconds:
            self._starved = 0
            self._seconds = _FIRST_SECONDS
            self._halved_until = None
            return
        self._starved += 1
        if self._starved < _IN_A_ROW:
            return
        if self._halved_until is None:
            _log.info(
                "Other processes want the cores: a pass of the %s had %.0f %% of the time of %d "
                "threads. Half of them run for a while.",
                self._network,
                100 * processor_seconds / (self._threads * seconds),
                self._threads,
            )
        self._halved_until = self._clock() + self._seconds
        self._seconds = min(2 * self._seconds, _MOST_SECONDS)
