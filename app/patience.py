"""Work in the background gives way to customers, but must end some day."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 1.0
_LOOK_SECONDS = 0.005


def give_way(busy: Callable[[], bool]) -> None:
    """Wait while `busy` says that somebody waits for the models, no longer than the patience."""
    until = time.monotonic() + PATIENCE_SECONDS
    while busy() and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
