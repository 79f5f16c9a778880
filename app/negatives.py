"""What must never be taken for a product: hands, trays, bags; searched beside the gallery.

They are no product: calibration and audit ask the gallery alone, so neither counts them. A body
that is nearer to one of them than to any product has no candidates, so it is unknown. That only
takes acceptances away: a calibrated false-accept rate stays an upper bound.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.recognizer import SearchesProducts
from gallery import Filter, SearchResult


class Negatives:
    """The vectors of all negatives; replaced as a whole, so that no search sees half a change."""

    def __init__(self) -> None:
        self._vectors: NDArray[np.float32] | None = None

    def replace(self, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Have these [V, D] of each negative, of unit length, and no others."""
        self._vectors = np.concatenate(vectors) if vectors else None

    def best(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The score of the nearest negative of each query [Q, D]; -inf where there is none."""
        vectors = self._vectors
        if vectors is None:
            return np.full(len(queries), -np.inf, np.float32)
        found: NDArray[np.float32] = (queries @ vectors.T).max(axis=1)
        return found


class SearchPastNegatives:
    """A gallery's search whose queries have no candidates where a negative is as near."""

    def __init__(self, gallery: SearchesProducts, negatives: Negatives) -> None:
        self._gallery = gallery
        self._negatives = negatives

    def search(
        self, vectors: NDArray[np.float32], k: int, where: Filter | None = None
    ) -> SearchResult:
        """As the gallery's."""
        found = self._gallery.search(vectors, k, where)
        candidates = [
            [] if some and float(nearest) >= some[0].score else some
            for some, nearest in zip(found.candidates, self._negatives.best(vectors), strict=True)
        ]
        return replace(found, candidates=candidates)
