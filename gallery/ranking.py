"""A search of a view: the nearest vectors, and from these the best products as they lean."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.leaning import COMPARED, MOST_VECTORS, leaned
from gallery.scenes import divided, scene_rows
from gallery.view import View

_FIRST_WIDTH = 64
_WIDER = 4
# A coarse look must see so many times the rows of an exact one to be as sure of the best; looking
# again is for an exact one.
_COARSER = 8
_COARSE_WIDTH = 128
# Faiss sums float32 in an order of its own; final scores are computed again, in float64. Rows this
# close below the worst row fetched may still be better than it.
_ROUNDING = 1e-5
_SCORED_AT_ONCE = 4096
# Further ones differ by how sums are rounded.
_DIGITS = 6
# Up to this share of living rows, only those are compared; above it, dead ones are looked past.
_FEW = 0.1


@dataclass(frozen=True, slots=True)
class Hit:
    """A product and its nearest reference image by their numbers, and how alike these are.

    `score`: of the product, by its best vector as that leans (gallery.leaning); `likeness`: the
    inner product with the image's nearest vector as it is.
    """

    image: int
    product: int
    score: float
    likeness: float


def best_products(
    view: View, queries: NDArray[np.float32], k: int, scenes: NDArray[np.bool_] | None = None
) -> list[list[Hit]]:
    """For each unit query [Q, D] its k best products, best first; fewer if there are fewer.

    Of the products with the nearest vectors (exactly these where the base is exact) each scores
    as its best vector, as this leans (gallery.leaning); equal scores are told apart by image
    number, the image that was added first winning. `scenes` [Q]: see gallery.scenes.
    """
    return divided(
        queries,
        scenes,
        lambda asked: _search(view, asked, k),
        lambda asked: _search(view.without_scenes(), asked, k),
    )


def _search(view: View, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
    near = _nearest_products(view, queries, max(k, COMPARED))
    products = _products(view, {hit.product for hits in near for hit in hits})
    return [
        sorted(_compared(query, hits, products), key=lambda hit: (-hit.score, hit.image))[:k]
        for query, hits in zip(queries, near, strict=True)
    ]


def _products(view: View, numbers: set[int]) -> dict[int, NDArray[np.float32]]:
    """The vectors of these products as they are compared, but of those that have too many."""
    wanted = np.array(sorted(numbers), dtype=np.int64)
    pending = np.flatnonzero(view.delta.alive & np.isin(view.delta.products, wanted))
    owners = view.delta.products[pending]
    scenes = scene_rows(view.delta.images)
    found = {}
    for number in wanted.tolist():
        base, delta = view.base.rows_of(number), pending[owners == number]
        base = base[view.base_alive[base]]
        if len(base) + len(delta) > MOST_VECTORS:
            continue
        key = base.tobytes(), delta.tobytes()
        vectors = view.base.leaned.get(key)
        if vectors is None:
            vectors = view.base.leaned.keep(key, _leaned(view, base, delta, scenes))
        found[number] = vectors
    return found


def _leaned(
    view: View, base: NDArray[np.int64], delta: NDArray[np.int64], scenes: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """One product's rows of base and delta, of which `scenes` [all of the delta's] are."""
    return leaned(
        # Exact: the delta's float32 values came from float16.
        np.concatenate([view.base.vectors[base], view.delta.vectors[delta]], dtype=np.float32),
        np.concatenate([view.base.scenes[base], scenes[delta]]),
    )


def _nearest_products(view: View, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
    found: list[list[Hit]] = [[] for _ in queries]
    waiting = list(range(len(queries)))
    width = max(_FIRST_WIDTH, _WIDER * k)
    exact = False
    # One product may own the nearest hundreds: look further until k products are certain.
    while waiting:
        ceilings, rows, complete = _nearest(view, queries[waiting], width, exact=exact)
        unsure = []
        for place, query in enumerate(waiting):
            hits, certain = _ranked(
                view, queries[query], k, width, ceilings[place], rows[place], complete=complete
            )
            if certain:
                found[query] = hits
            else:
                unsure.append(query)
        waiting = unsure
        width *= _WIDER
        # Of one camera's photographs all scenes are nearer to a scene than any body is.
        exact = exact or (rows.size > 0 and float(np.mean(view.base_alive[rows])) < _FEW)
    return found


def _nearest(
    view: View, queries: NDArray[np.float32], width: int, *, exact: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64], bool]:
    """Scores [Q, n] that rows [Q, n] of the base do not exceed, the rows, and if these are all.

    By these scores, best first, none of which is exceeded by more than rounding. No other
    living row exceeds the last. `exact`: none but living rows are looked at.
    """
    living = len(view.base) - view.base_dead
    coarse = view.base.coarse
    if exact or living <= _FEW * len(view.base):
        width, everything = min(width, living), living
        scores, rows = view.base.exactly_nearest(queries, width, view.base_alive)
    elif coarse and width <= _COARSE_WIDTH and _COARSER * width < len(view.base):
        ceilings, rows = coarse.nearest(queries, _COARSER * width)
        return ceilings, rows, False
    else:
        scores, rows = view.base.nearest(queries, width)
        everything = len(view.base)
    return scores, rows, width >= everything


def _ranked(
    view: View,
    query: NDArray[np.float32],
    k: int,
    width: int,
    ceilings: NDArray[np.float32],
    base_rows: NDArray[np.int64],
    *,
    complete: bool,
) -> tuple[list[Hit], bool]:
    """The best k products of the rows fetched, and whether no other row could change them.

    `ceilings`, `base_rows` and `complete` are of `_nearest`.
    """
    delta_rows, floor = view.delta.nearest(query, width)
    if not complete:
        floor = max(floor, float(ceilings[-1]))
    alive = view.base_alive[base_rows]
    base_rows, ceilings = base_rows[alive], ceilings[alive]
    found = _scored(view, query, base_rows[:width], delta_rows)
    # A coarse look has more of them, of which only the first can be among the best.
    for start in range(width, len(base_rows), width):
        might = ceilings[start : start + width] >= found.least(k) - _ROUNDING
        more = base_rows[start : start + width][might]
        found = found.and_more(_scored(view, query, more, delta_rows[:0]))
        if not might.all():
            break
    hits = found.best(k)
    certain = floor == -np.inf or (len(hits) == k and hits[-1].score > floor + _ROUNDING)
    return hits, certain


def _scored(
    view: View, query: NDArray[np.float32], base: NDArray[np.int64], delta: NDArray[np.int64]
) -> _Scored:
    """Rows of base and delta."""
    return _Scored(
        # Each from its own type: by way of float32 half-precision rows would be widened twice.
        np.concatenate(
            [
                _exact_scores(view.base.vectors[base], query),
                _exact_scores(view.delta.vectors[delta], query),
            ]
        ),
        np.concatenate([view.base.images[base], view.delta.images[delta]]),
        np.concatenate([view.base.products[base], view.delta.products[delta]]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Rows: their exact scores float64 [N], image and product numbers int64 [N]."""

    scores: NDArray[np.float64]
    images: NDArray[np.int64]
    products: NDArray[np.int64]

    def and_more(self, others: _Scored) -> _Scored:
        return _Scored(
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.images, others.images]),
            np.concatenate([self.products, others.products]),
        )

    def least(self, k: int) -> float:
        """The score of the k-th best product; of fewer, no score at all."""
        rows = self._rows(k)
        return float(self.scores[rows[-1]]) if len(rows) == k else -np.inf

    def best(self, k: int) -> list[Hit]:
        """The k best products, each by its best row, best first."""
        return [
            Hit(
                int(self.images[row]),
                int(self.products[row]),
                float(self.scores[row]),
                float(self.scores[row]),
            )
            for row in self._rows(k)
        ]

    def _rows(self, k: int) -> NDArray[np.int64]:
        order = np.lexsort((self.images, -self.scores))
        firsts = np.unique(self.products[order], return_index=True)[1]
        return order[np.sort(firsts)][:k]


def _compared(
    query: NDArray[np.float32], hits: list[Hit], products: dict[int, NDArray[np.float32]]
) -> list[Hit]:
    """The hits by what their products' vectors are compared as, where these lean."""
    leaning = [hit for hit in hits if hit.product in products]
    if not leaning:
        return hits
    vectors = [products[hit.product] for hit in leaning]
    starts = np.cumsum([0, *(len(rows) for rows in vectors[:-1])])
    scores = np.maximum.reduceat(np.einsum("ij,j->i", np.concatenate(vectors), query), starts)
    rounded = np.round(scores.astype(np.float64), _DIGITS).tolist()
    return [
        *(replace(hit, score=score) for hit, score in zip(leaning, rounded, strict=True)),
        *(hit for hit in hits if hit.product not in products),
    ]


def _exact_scores(
    vectors: NDArray[np.float16] | NDArray[np.float32], query: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Inner products [n] that don't depend on n or on where a row is kept, unlike BLAS's."""
    wide = query.astype(np.float64)
    # In parts, because a search that must look far fetches many rows.
    parts = [
        np.einsum("ij,j->i", vectors[start : start + _SCORED_AT_ONCE].astype(np.float64), wide)
        for start in range(0, len(vectors), _SCORED_AT_ONCE)
    ]
    return np.concatenate([np.empty(0), *parts])
