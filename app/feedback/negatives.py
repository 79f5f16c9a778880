"""What must never be taken for a product: hands, trays, bags; searched beside the gallery.

They are no product: calibration and audit ask the gallery alone, so neither counts them. A body
that is nearer to one of them than to any product has no candidates, so it is unknown. That only
takes acceptances away: a calibrated false-accept rate stays an upper bound.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery import Filter, Searches, SearchResult
from gallery.scenes import scenes_of, scores


class Negatives:
    """The vectors of all negatives; replaced as a whole, so that no search sees half a change."""

    def __init__(self) -> None:
        self._held: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None

    def replace(self, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Have these [V, D] of each negative, of unit length, and no others."""
        scenes = [scenes_of(len(rows)) for rows in vectors]
        self._held = (np.concatenate(vectors), np.concatenate(scenes)) if vectors else None

    def best(
        self, queries: NDArray[np.float32], scenes: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """The score of the nearest negative of each query [Q, D]; -inf where there is none.

        `scenes` [Q]: gallery.scenes.
        """
        held = self._held
        if held is None:
            return np.full(len(queries), -np.inf, np.float32)
        if scenes is None:
            scenes = np.zeros(len(queries), dtype=np.bool_)
        found: NDArray[np.float32] = scores(queries, scenes, *held).max(axis=1)
        return found


class SearchPastNegatives:
    """A gallery's search whose queries have no candidates where a negative is as near."""

    def __init__(self, gallery: Searches, negatives: Negatives) -> None:
        self._gallery = gallery
        self._negatives = negatives

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        """As the gallery's."""
        found = self._gallery.search(vectors, k, where, scenes)
        nearest = self._negatives.best(vectors, scenes)
        candidates = [
            [] if some and float(negative) >= some[0].score else some
            for some, negative in zip(found.candidates, nearest, strict=True)
        ]
        return replace(found, candidates=candidates)
