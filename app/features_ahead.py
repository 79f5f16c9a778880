"""Local features of new references, extracted before somebody asks for them.

The first photograph that comes near a product would wait for its pictures, about 10 ms each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Event, Thread

from app.kept_features import MOST_KEPT
from app.patience import give_way
from app.reranker import Reranker
from gallery import GalleryError, GalleryProtocol

LOOK_SECONDS = 5.0
PAGE = 100
logger = logging.getLogger(__name__)


class FeaturesAhead:
    """A thread that looks through the gallery when it has changed."""

    def __init__(
        self, gallery: GalleryProtocol, reranker: Reranker, busy: Callable[[], bool]
    ) -> None:
        """`busy`: whether somebody waits for the models."""
        self._gallery = gallery
        self._reranker = reranker
        self._busy = busy
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="features")
        self._thread.start()

    def close(self) -> None:
        """Stop after the picture at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            try:
                revision = self._gallery.stats().revision
                if revision != seen:
                    self._look()
                    seen = revision
            except GalleryError as error:
                logger.debug("Features wait for the gallery: %s", error)
            except Exception:
                # A thread's exception would go nowhere, and end it.
                logger.exception("Features of references could not be extracted.")
            self._stopping.wait(LOOK_SECONDS)

    def _look(self) -> None:
        # With more than are kept each would push out another.
        for image_id in islice(self._images(), MOST_KEPT):
            if self._stopping.is_set():
                return
            if not self._reranker.knows(image_id):
                give_way(self._busy)
                self._reranker.features(image_id)

    def _images(self) -> Iterator[str]:
        cursor: str | None = None
        while True:
            products, cursor = self._gallery.list_products(cursor, PAGE)
            for product in products:
                yield from (image.id for image in self._gallery.list_images(product.id))
            if cursor is None:
                return
