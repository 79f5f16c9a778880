"""When a gallery is calibrated: on a thread of its own, once for each revision asked for."""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import TypeVar

from app.calibration.calibrate import calibrate
from app.calibration.calibration import Calibration
from app.calibration.impostors import GalleryTooSmall
from gallery import Filter, GalleryClosed, GalleryProtocol
from models.thresholds import MatchThreshold

# Filters whose calibrations are kept: those not asked for longest go first.
_MOST = 8

T = TypeVar("T")


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
        # Of those there were none of: what was said of which revision.
        self._too_small: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._lock = Lock()
        self._stopping = Event()
        # One fit at a time: who asks meanwhile finds it done.
        self._thread = ThreadPoolExecutor(1, "calibration")

    def fitted(self, where: Filter | None = None) -> "Future[Calibration]":
        """The calibration of the gallery as it is, when it is done.

        The future's error is GalleryTooSmall where there is none to be had: at once, if that is
        known of this revision.
        """
        said = self._said(repr(where), self._gallery.stats().revision)
        if said is None:
            return self._thread.submit(self._fit, where)
        known: Future[Calibration] = Future()
        known.set_exception(GalleryTooSmall(said))
        return known

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
            self._fit_behind(where)
        return newest

    def soon(self, where: Filter | None = None) -> Calibration | None:
        """As `at_hand`; where there is none, it is fitted behind, once for each revision."""
        newest = self.at_hand(where)
        if newest is None and not self._said(repr(where), self._gallery.stats().revision):
            self._fit_behind(where)
        return newest

    def close(self) -> None:
        """Stop within a few searches."""
        self._stopping.set()
        self._thread.shutdown(cancel_futures=True)

    def _said(self, key: str, revision: int) -> str | None:
        """Why the gallery was too small at a revision; None where that is not known."""
        with self._lock:
            tried, said = self._too_small.get(key, (revision, None))
        return said if tried == revision else None

    def _fit_behind(self, where: Filter | None) -> None:
        with self._lock:
            behind = self._behind.get(repr(where))
            if behind is None or behind.done():
                self._behind[repr(where)] = self._thread.submit(self._fit, where)

    def _fit(self, where: Filter | None) -> Calibration:
        key, revision = repr(where), self._gallery.stats().revision
        with self._lock:
            newest = self._newest.get(key)
        if newest is not None and newest.revision == revision:
            return newest
        # To be told so can take as long as a calibration.
        if (said := self._said(key, revision)) is not None:
            raise GalleryTooSmall(said)
        try:
            newest = calibrate(self._gallery, self._usual, self._proceed, where)
        except GalleryTooSmall as error:
            with self._lock:
                # What was right of the gallery before is not of this one.
                self._newest.pop(key, None)
                self._keep(self._too_small, key, (revision, str(error)))
            raise
        with self._lock:
            self._keep(self._newest, key, newest)
        return newest

    def _keep(self, kept: "OrderedDict[str, T]", key: str, what: T) -> None:
        kept[key] = what
        kept.move_to_end(key)
        while len(kept) > _MOST:
            forgotten, _ = kept.popitem(last=False)
            self._behind.pop(forgotten, None)

    def _proceed(self) -> None:
        if self._stopping.is_set():
            raise GalleryClosed
