"""Searches whose size is that of a shop's own products.

The samples are there to try the service on. Beside a shop's own products they are searched like any
other, but do not make the score from which a product is named a greater gallery's.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.filters import SAMPLES
from gallery import Filter, SearchedSize, Searches, SearchResult

# With more products a threshold is the highest with samples or without: they need not be counted.
_FEW = 1000


class SearchBesideSamples:
    """A gallery's search that does not count the samples once there are other products.

    With a filter what it keeps is counted. Thread-safe.
    """

    def __init__(self, gallery: Searches) -> None:
        self._gallery = gallery
        # Counted once for each revision.
        self._samples: tuple[int, SearchedSize] = (-1, SearchedSize(0, 0))

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        """As the gallery's."""
        found = self._gallery.search(vectors, k, where, scenes)
        if where is not None or not len(vectors) or found.size.products > _FEW:
            return found
        revision, samples = self._samples
        if revision != found.revision:
            samples = self._gallery.search(vectors[:1], 1, SAMPLES).size
            self._samples = found.revision, samples
        own = SearchedSize(
            found.size.products - samples.products, found.size.images - samples.images
        )
        return replace(found, size=own) if min(own.products, own.images) > 0 else found
