"""When a gallery is calibrated: on a thread of its own, once for each revision asked for."""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock

from app.calibrating import calibrate
from app.calibration import Calibration
from app.impostors import GalleryTooSmall
from gallery import Filter, GalleryClosed, GalleryProtocol
from models.thresholds import MatchThreshold

# Filters whose calibrations are kept: those not asked for longest go first.
_MOST = 8


class Calibrator:
    """Keeps the newest calibrations of a gallery, whose embedder never changes while it is open.

    One for the whole gallery and one for each filter that is asked for.
    """

    def __init__(self, gallery: GalleryProtocol, usual: MatchThreshold) -> None:
        self._gallery = gallery
        self._usual = usual
        # By the filter as text: as values 1 and true would be one key.
        self._newest: OrderedDict[str, Calibration] = OrderedDict()
        self._behind: dict[str, Future[Calibration]] = {}
        # Of those there were none of: the revision that was tried last, which may be too small.
        self._tried: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()
        self._stopping = Event()
        # One fit at a time: who asks meanwhile finds it done.
        self._thread = ThreadPoolExecutor(1, "calibration")

    def fitted(self, where: Filter | None = None) -> "Future[Calibration]":
        """The calibration of the gallery as it is, when it is done.

        The future's error is GalleryTooSmall where there is none to be had.
        """
        return self._thread.submit(self._fit, where)

    def at_hand(self, where: Filter | None = None) -> Calibration | None:
        """The newest calibration, at once; if the gallery has changed, it is fitted again behind.

        None before the first one.
        """
        key = repr(where)
        with self._lock:
            newest = self._newest.get(key)
            if newest is not None:
                self._newest.move_to_end(key)
        if newest is not None and newest.revision != self._gallery.stats().revision:
            with self._lock:
                behind = self._behind.get(key)
                if behind is None or behind.done():
                    self._behind[key] = self.fitted(where)
        return newest

    def soon(self, where: Filter | None = None) -> Calibration | None:
        """As `at_hand`; where there is none, it is fitted behind, once for each revision."""
        newest = self.at_hand(where)
        if newest is None:
            key, revision = repr(where), self._gallery.stats().revision
            with self._lock:
                if self._tried.get(key) != revision:
                    self._tried[key] = revision
                    self._tried.move_to_end(key)
                    while len(self._tried) > _MOST:
                        self._tried.popitem(last=False)
                    self.fitted(where)
        return newest

    def close(self) -> None:
        """Stop within a few searches."""
        self._stopping.set()
        self._thread.shutdown(cancel_futures=True)

    def _fit(self, where: Filter | None) -> Calibration:
        key = repr(where)
        with self._lock:
            newest = self._newest.get(key)
        if newest is None or newest.revision != self._gallery.stats().revision:
            try:
                newest = calibrate(self._gallery, self._usual, self._proceed, where)
            except GalleryTooSmall:
                # What was right of the gallery before is not of this one.
                with self._lock:
                    self._newest.pop(key, None)
                raise
            with self._lock:
                self._newest[key] = newest
                self._newest.move_to_end(key)
                while len(self._newest) > _MOST:
                    forgotten, _ = self._newest.popitem(last=False)
                    self._behind.pop(forgotten, None)
        return newest

    def _proceed(self) -> None:
        if self._stopping.is_set():
            raise GalleryClosed
