"""Photographs recognised lately, kept for a while so that feedback can be given on their results.

Each is a file: what was answered as a line of JSON, then the bytes that were sent. A thread of its
own writes them, so no customer waits for the disk; they outlast a restart, and need not outlast a
power failure.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock, Thread

from pydantic import BaseModel, TypeAdapter, ValidationError

from app.recognizer import BoxSource, Outcome, Recognition
from models.detector import Box

_LOOK_SECONDS = 60
# Photographs in memory that wait for the disk.
_MOST_WAITING = 16
logger = logging.getLogger(__name__)


class UnknownRecognition(Exception):
    """No photograph of such a request is kept."""


class Seen(BaseModel):
    """What was answered for one body; `product_id` is null when it was unknown."""

    x1: float
    y1: float
    x2: float
    y2: float
    box_source: BoxSource
    outcome: Outcome
    product_id: str | None
    score: float | None

    @property
    def box(self) -> Box:
        return Box(self.x1, self.y1, self.x2, self.y2)


_SEEN = TypeAdapter(list[Seen])


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of what is kept: photographs (0: none), bytes of all together, seconds."""

    most: int
    most_bytes: int
    seconds: float


class Photographs:
    """The photographs kept in one folder, the oldest first to go. Thread-safe."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        """Take up what an earlier run kept, as far as these bounds let it stay."""
        self._folder = folder
        self._bounds = bounds
        self._lock = Lock()
        self._make_folder()
        for partial in folder.glob("*.partial"):
            partial.unlink()
        found = [(path.name, path.stat()) for path in folder.iterdir()]
        found.sort(key=lambda one: one[1].st_mtime)
        self._kept = OrderedDict((name, (s.st_size, s.st_mtime)) for name, s in found)
        self._bytes = sum(size for size, _ in self._kept.values())
        self._forget_old()
        self._writer = ThreadPoolExecutor(1, "photographs-writer")
        self._room = BoundedSemaphore(_MOST_WAITING)
        self._stopping = Event()
        self._thread = Thread(target=self._look_after, name="photographs")
        self._thread.start()

    def keep(self, request_id: str, data: bytes, results: Sequence[Recognition]) -> None:
        """Keep a photograph and its results; where the disk refuses or lags, it is not kept."""
        if not self._bounds.most or len(data) > self._bounds.most_bytes:
            return
        if not self._room.acquire(blocking=False):
            logger.warning("A photograph was not kept: the disk can't follow.")
            return
        head = _SEEN.dump_json([_seen(result) for result in results])
        self._writer.submit(self._write, _name(request_id), head, data)

    def get(self, request_id: str) -> tuple[bytes, list[Seen]]:
        """The photograph of a request, as it was sent, and what was answered.

        Raises:
            UnknownRecognition: it is not kept, or no longer.
        """
        # After all that waits to be written.
        self._writer.submit(lambda: None).result()
        with self._lock:
            self._forget()
            known = _name(request_id) in self._kept
        try:
            if known:
                head, _, data = (self._folder / _name(request_id)).read_bytes().partition(b"\n")
                return data, _SEEN.validate_json(head)
        except (FileNotFoundError, ValidationError):
            pass  # gone meanwhile, or cut short by a power failure
        raise UnknownRecognition(
            f"No photograph of a request {request_id[:80]!r} is kept. Those of /recognize are, for "
            f"{self._bounds.seconds / 3600:g} hours and {self._bounds.most} at most "
            "(TILLSIGHT_KEEP_PHOTOGRAPHS…), unless the disk was full. A till's own X-Request-ID "
            "counts where it is 1 to 64 of A-Z a-z 0-9 _ . : / + -; the answer's request_id tells."
        )

    def close(self) -> None:
        """Write what waits."""
        self._writer.shutdown()
        self._stopping.set()
        self._thread.join()

    def _write(self, name: str, head: bytes, data: bytes) -> None:
        # Two requests may bear one id of a client's making.
        partial = self._folder / f"{name}{time.monotonic_ns()}.partial"
        try:
            self._make_folder()  # somebody may have removed it
            with partial.open("wb") as file:
                file.writelines((head, b"\n", data))
            with self._lock:
                partial.replace(self._folder / name)
                old, _ = self._kept.pop(name, (0, 0.0))
                size = len(head) + 1 + len(data)
                self._kept[name] = (size, time.time())
                self._bytes += size - old
                self._forget()
        except OSError:
            # The customer has an answer; only feedback on it can't be given.
            logger.exception("A photograph could not be kept.")
            partial.unlink(missing_ok=True)
        finally:
            self._room.release()

    def _make_folder(self) -> None:
        # Customers may be seen in them: for the owner of the folder only.
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def _look_after(self) -> None:
        # Also where nobody asks any more, nothing is kept for longer than was said.
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                with self._lock:
                    self._forget_old()
            except OSError:
                logger.exception("A photograph that is too old could not be removed.")

    def _forget_old(self) -> None:
        # Of one from the future, because the clock was ahead, the time begins now.
        now = time.time()
        for name, (size, kept_at) in self._kept.items():
            self._kept[name] = (size, min(kept_at, now))
        self._forget()

    def _forget(self) -> None:
        oldest = time.time() - self._bounds.seconds
        while self._kept and (
            len(self._kept) > self._bounds.most
            or self._bytes > self._bounds.most_bytes
            or next(iter(self._kept.values()))[1] < oldest
        ):
            name, (size, _) = next(iter(self._kept.items()))
            (self._folder / name).unlink(missing_ok=True)
            del self._kept[name]
            self._bytes -= size


def _name(request_id: str) -> str:
    # Clients may choose the id: it becomes no path.
    return sha256(request_id.encode(errors="replace")).hexdigest()[:32]


def _seen(result: Recognition) -> Seen:
    box, product = result.box, result.product
    return Seen(
        x1=box.x1,
        y1=box.y1,
        x2=box.x2,
        y2=box.y2,
        box_source=result.box_source,
        outcome=result.outcome,
        product_id=None if product is None else product.product_id,
        score=result.score,
    )
