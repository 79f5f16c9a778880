"""When a gallery is calibrated: on a thread of its own, once for each revision asked for."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from app.calibration import Calibration, GalleryTooSmall, calibrate
from gallery import Gallery, GalleryClosed


class Calibrator:
    """Keeps the newest calibration of a gallery, whose embedder never changes while it is open."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._newest: Calibration | None = None
        self._stopping = Event()
        # One fit at a time: who asks meanwhile finds it done.
        self._thread = ThreadPoolExecutor(1, "calibration")
        self._behind: Future[Calibration] | None = None

    def fitted(self) -> "Future[Calibration]":
        """The calibration of the gallery as it is, when it is done.

        The future's error is GalleryTooSmall where there is none to be had.
        """
        return self._thread.submit(self._fit)

    def at_hand(self) -> Calibration | None:
        """The newest calibration, at once; if the gallery has changed, it is fitted again behind.

        None before the first one.
        """
        newest = self._newest
        if newest is not None and newest.revision != self._gallery.stats().revision:
            behind = self._behind
            if behind is None or behind.done():
                self._behind = self.fitted()
        return newest

    def close(self) -> None:
        """Stop within a few searches."""
        self._stopping.set()
        self._thread.shutdown(cancel_futures=True)

    def _fit(self) -> Calibration:
        newest = self._newest
        if newest is None or newest.revision != self._gallery.stats().revision:
            try:
                newest = calibrate(self._gallery, self._proceed)
            except GalleryTooSmall:
                # What was right of the gallery before is not of this one.
                self._newest = None
                raise
            self._newest = newest
        return newest

    def _proceed(self) -> None:
        if self._stopping.is_set():
            raise GalleryClosed
