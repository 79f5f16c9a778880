"""How each reference of a product matches a photograph, as searches compare them."""

import numpy as np
from numpy.typing import NDArray

from gallery import HoldsContents
from gallery.leaning import product_scores
from gallery.scenes import best_scores


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
    scores = np.minimum(product_scores(queries, scenes, list(vectors.values())), np.float32(1))
    return dict(zip(vectors, scores, strict=True))


def likenesses(
    gallery: HoldsContents,
    product_id: str,
    queries: NDArray[np.float32],
    scenes: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """How alike each of the queries [Q, D] and the product's nearest reference are, [Q].

    As they are, whatever they lean to: -1 where it has none. `scenes` [Q] and errors: as above.
    """
    with gallery.contents() as contents:
        vectors = contents.vectors(product_id)
    nearest = np.full(len(queries), -1, dtype=np.float32)
    for rows in vectors.values():
        nearest = np.maximum(nearest, best_scores(queries, scenes, rows.astype(np.float32)))
    return nearest
