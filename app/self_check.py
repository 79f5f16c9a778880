"""Does recognition really work? A picture goes through both networks every few seconds."""

import faulthandler
import logging
from threading import Event, Thread
from time import monotonic

import numpy as np

from app.images import RGBImage
from app.recognizer import DetectsBodies, EmbedsCrops
from models.errors import ModelError

EVERY_SECONDS = 15.0
# So many checks may be late before the service calls itself not ready.
LATE_CHECKS = 4
UNIT_TOLERANCE = 1e-3
logger = logging.getLogger(__name__)


class SelfCheck:
    """Runs a forward pass of each network at once and then every `every` seconds."""

    def __init__(
        self,
        detector: DetectsBodies,
        embedder: EmbedsCrops,
        *,
        exit_after: float,
        every: float = EVERY_SECONDS,
    ) -> None:
        """Check, and go on checking in a thread.

        Args:
            detector: what serves.
            embedder: what serves.
            exit_after: seconds after which a check that does not end ends the process, with a
                trace of all threads: a network that hangs can't be stopped. 0 is never.
            every: seconds between checks.

        Raises:
            ModelError: a network fails, or the vector is not of unit length.
        """
        self._detector = detector
        self._embedder = embedder
        self._exit_after = exit_after
        self._every = every
        self._stopping = Event()
        self._fault: str | None = None
        self._check()
        self._passed = monotonic()
        self._thread = Thread(target=self._run, name="self-check", daemon=True)
        self._thread.start()

    @property
    def age(self) -> float:
        """Seconds since a check passed."""
        return monotonic() - self._passed

    def fault(self) -> str | None:
        """Why recognition can't be relied on; None when the last check passed and is recent."""
        if self._fault:
            return self._fault
        if self.age > LATE_CHECKS * self._every:
            return f"The networks have not answered for {self.age:.0f} s."
        return None

    def close(self) -> None:
        """Stop checking."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self._check()
                self._passed, self._fault = monotonic(), None
            except Exception as error:
                # Whatever it is: a thread's exception would go nowhere, readiness tells it.
                logger.exception("Recognition fails.")
                self._fault = f"Recognition fails: {error}"

    def _check(self) -> None:
        # In C, and so also when the network that hangs holds Python's lock.
        if self._exit_after:
            faulthandler.dump_traceback_later(self._exit_after, exit=True)
        try:
            self._detector.detect(PICTURE)
            vectors, _ = self._embedder.embed([PICTURE])
        finally:
            if self._exit_after:
                faulthandler.cancel_dump_traceback_later()
        length = float(np.linalg.norm(vectors[0]))
        if not abs(length - 1) < UNIT_TOLERANCE:
            raise ModelError(f"the embedder gave a vector of length {length:.3f} instead of 1")


def _picture() -> RGBImage:
    """A bright disc on dark stripes, uint8 [96, 128, 3]."""
    y, x = np.mgrid[:96, :128]
    stripes = ((x // 8) % 2 * 60).astype(np.uint8)
    disc = (x - 64) ** 2 + (y - 48) ** 2 < 30**2
    return np.stack([np.where(disc, level, stripes) for level in (230, 120, 40)], axis=2).astype(
        np.uint8
    )


PICTURE = _picture()
