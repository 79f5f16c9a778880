"""When a gallery is audited: on a thread of its own, when somebody asks for it."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock

from app.audit.audit import Audit, audit
from gallery import GalleryClosed, GalleryProtocol


class Auditor:
    """Keeps the newest audit of a gallery, and tells how far the one under way is."""

    def __init__(self, gallery: GalleryProtocol) -> None:
        self._gallery = gallery
        self._newest: Audit | None = None
        self._running: Future[Audit] | None = None
        self._taken = False
        self._progress = (0, 0)
        self._lock = Lock()
        self._stopping = Event()
        self._thread = ThreadPoolExecutor(1, "audit")

    def asked(self) -> "Future[Audit]":
        """The audit under way, or that of the gallery as it is, which is begun if need be.

        One that nobody has `taken` is kept, also where the gallery has changed meanwhile.
        """
        revision = self._gallery.stats().revision
        with self._lock:
            running = self._running
            if running is None or (self._taken and not self._holds(revision)):
                self._progress, self._taken = (0, 0), False
                self._running = running = self._thread.submit(self._audit)
            return running

    def taken(self) -> None:
        """Somebody was told what came of it: a gallery that has changed is audited again."""
        with self._lock:
            self._taken = True

    @property
    def progress(self) -> tuple[int, int]:
        """Steps done and all of the audit under way; there are two for each reference."""
        return self._progress

    def close(self) -> None:
        """Stop within some comparisons."""
        self._stopping.set()
        self._thread.shutdown(cancel_futures=True)

    def _holds(self, revision: int) -> bool:
        return self._newest is not None and self._newest.gallery_revision == revision

    def _audit(self) -> Audit:
        self._newest = audit(self._gallery, self._note)
        return self._newest

    def _note(self, done: int, total: int) -> None:
        self._progress = done, total
        if self._stopping.is_set():
            raise GalleryClosed
