"""How each reference of a product matches a photograph, as searches compare them."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gallery import HoldsContents
from gallery.leaning import product_scores

# Of a product: image id → vectors [V, D].
References: TypeAlias = dict[str, NDArray[np.float16]]


def references_of(gallery: HoldsContents, product_id: str) -> References:
    """Raises UnknownProduct."""
    with gallery.contents() as contents:
        return contents.vectors(product_id)


def reference_scores(
    references: References, queries: NDArray[np.float32], scenes: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    """Image id → its score [Q], by its best vector, for each of the queries [Q, D].

    `scenes` [Q]: gallery.scenes.
    """
    scores = product_scores(queries, scenes, list(references.values()))
    return dict(zip(references, np.minimum(scores, np.float32(1)), strict=True))
