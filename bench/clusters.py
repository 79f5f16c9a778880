"""Vectors as products make them: families of alike products, each with several views."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.leaning import COMPARED, leaned
from gallery.protocol import Searches

DIMENSION = 512
VIEWS = (5, 50)
# The cosine between two views of one product, from its hardest to its easiest.
WITHIN = (0.7, 0.9)
FAMILY = 20
# The cosine between two products of one family, before their views spread.
KINSHIP = 0.5
# The best so many products are asked for, so many times; a filter leaves one assortment.
K = 5
QUERIES = 500
ASSORTMENTS = 100
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """P products and N views of them: vectors float16 [N, D], whose they are int32 [N], ascending.

    `centres` is float32 [P, D], `within` [P] the cosine between views of each.
    """

    centres: NDArray[np.float32]
    within: NDArray[np.float32]
    vectors: NDArray[np.float16]
    products: NDArray[np.int32]

    def views(self, products: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A new view [n, D] of each of the products [n]."""
        return _around(self.centres[products], self.within[products], rng)


def make(count: int, rng: np.random.Generator) -> Clusters:
    """Clusters of `count` views in all."""
    sizes = rng.integers(VIEWS[0], VIEWS[1] + 1, size=count // VIEWS[0] + 1)
    products = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[:count]
    number = int(products[-1]) + 1
    families = _directions(number // FAMILY + 1, rng)[np.arange(number) // FAMILY]
    centres = _around(families, np.full(number, KINSHIP, dtype=np.float32), rng)
    within = rng.uniform(*WITHIN, size=number).astype(np.float32)
    vectors = np.empty((count, DIMENSION), dtype=np.float16)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = products[start : start + _ROWS_AT_ONCE]
        vectors[start : start + _ROWS_AT_ONCE] = _around(centres[rows], within[rows], rng)
    return Clusters(centres, within, vectors, products)


def sku(product: int) -> str:
    """The id under which a product is enrolled."""
    return f"sku-{product:07d}"


def nearest_products(
    clusters: Clusters, rows: NDArray[np.int64], queries: NDArray[np.float32], k: int
) -> list[list[int]]:
    """For each query [Q, D] the `k` best products by their views among the rows [n].

    As the gallery compares them (gallery.leaning), by exact search.
    """
    best = np.full((len(queries), len(clusters.centres)), -2.0, dtype=np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        scores = queries @ clusters.vectors[part].astype(np.float32).T
        # Rows are in the order of their products: the maximum of each run of equal ones.
        products, firsts = np.unique(clusters.products[part], return_index=True)
        peaks = np.maximum.reduceat(scores, firsts, axis=1)
        best[:, products] = np.maximum(best[:, products], peaks)
    near = np.argsort(-best, axis=1)[:, : max(k, COMPARED)]
    leaned_views: dict[int, NDArray[np.float32]] = {}

    def score(product: int, query: NDArray[np.float32]) -> float:
        if product not in leaned_views:
            own = clusters.vectors[rows[clusters.products[rows] == product]]
            leaned_views[product] = leaned(own, np.zeros(len(own), np.bool_))
        return float((leaned_views[product] @ query).max())

    found = []
    for place, ranked in enumerate(near):
        there = [int(product) for product in ranked if best[place, product] > -2.0]
        by_product = {product: score(product, queries[place]) for product in there}
        found.append(sorted(there, key=lambda product: -by_product[product])[:k])
    return found


def nearest_image(gallery: Searches, vector: NDArray[np.float32]) -> str:
    """The id of the reference that is nearest to a vector [1, D], whatever its product scores."""
    (candidates,) = gallery.search(vector, COMPARED).candidates
    return max(candidates, key=lambda candidate: candidate.likeness).image_id


def _around(
    centres: NDArray[np.float32], cosines: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Directions [n, D] about the centres [n, D]: any two about the same have the cosine [n]."""
    mixed = np.sqrt(cosines)[:, None] * centres
    mixed += np.sqrt(1 - cosines)[:, None] * _directions(len(centres), rng)
    unit: NDArray[np.float32] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit


def _directions(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
