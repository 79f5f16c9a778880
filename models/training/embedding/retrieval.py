"""How well embeddings find their kind: recall@k and mAP, query against gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors float32 [N, D] of unit length, the identity each shows, and whose image it is.

    `images` are names: a query does not find the entry that was made of its own image.
    """

    vectors: NDArray[np.float32]
    identities: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Shares in 0..1, and the queries that had anything to find."""

    recall_1: float
    recall_5: float
    mean_ap: float
    queries: int


def evaluate(queries: Embeddings, gallery: Embeddings) -> Retrieval:
    """Rank the gallery for each query by inner product.

    recall@k: an image of the query's identity is among the k best. Average precision: mean, over
    all such images, of the share of right ones down to each. Queries whose identity has no other
    image in the gallery are left out.

    Raises:
        ValueError: no query is left.
    """
    identities, images = np.asarray(gallery.identities), np.asarray(gallery.images)
    first_places, precisions = [], []
    for vector, identity, image in zip(
        queries.vectors, queries.identities, queries.images, strict=True
    ):
        others = np.flatnonzero(images != image)
        ranking = np.argsort(-(gallery.vectors[others] @ vector), kind="stable")
        places = np.flatnonzero(identities[others][ranking] == identity)
        if len(places):
            first_places.append(places[0])
            precisions.append(np.mean(np.arange(1, len(places) + 1) / (places + 1)))
    if not precisions:
        raise ValueError("no query has another image of its identity in the gallery")
    first = np.asarray(first_places)
    return Retrieval(
        recall_1=float(np.mean(first < 1)),
        recall_5=float(np.mean(first < 5)),
        mean_ap=float(np.mean(precisions)),
        queries=len(precisions),
    )
