"""How each reference of a product matches a photograph."""

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery import Contents
from gallery.scenes import best_scores


class HoldsContents(Protocol):
    """What is needed of a gallery."""

    def contents(self) -> AbstractContextManager[Contents]: ...


def reference_scores(
    gallery: HoldsContents,
    product_id: str,
    queries: NDArray[np.float32],
    scenes: NDArray[np.bool_],
) -> dict[str, NDArray[np.float32]]:
    """Image id → its score [Q], by its best vector, for each of the queries [Q, D].

    `scenes` [Q]: gallery.scenes.

    Raises:
        UnknownProduct: the gallery has no such product.
    """
    with gallery.contents() as contents:
        vectors = contents.vectors(product_id)
    return {
        # float16 leaves vectors up to 0.1 % longer than 1; a cosine is at most 1.
        image: np.minimum(best_scores(queries, scenes, rows.astype(np.float32)), np.float32(1))
        for image, rows in vectors.items()
    }
