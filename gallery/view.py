"""What a search sees: base, delta and tombstones of one revision, never changed.

A writer makes the next view from the last one and publishes it by one assignment; searches that
hold the last one finish on it, so they never wait and never see half a change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.base import Base, BaseBuilder
from gallery.delta import Delta
from gallery.leaning import COMPARED, MOST_VECTORS, leaned
from gallery.records import SearchedSize
from gallery.scenes import divided, scene_rows
from gallery.store import VectorRows

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


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The gallery's vectors at `sequence`, up to the vector numbered `last_vector`.

    `base_alive` is bool [rows of the base]: False is a tombstone. `base_dead` counts those.
    """

    base: Base
    base_alive: NDArray[np.bool_]
    base_dead: int
    delta: Delta
    sequence: int
    last_vector: int

    @classmethod
    def of(cls, base: Base) -> View:
        dead = len(base) - int(np.count_nonzero(base.alive))
        delta = Delta.empty(base.dimension)
        return cls(base, base.alive, dead, delta, base.sequence, base.last_vector)

    @property
    def deleted(self) -> int:
        return self.base_dead + len(self.delta) - int(np.count_nonzero(self.delta.alive))

    @property
    def rows(self) -> int:
        """How many vectors are alive."""
        return len(self.base) + len(self.delta) - self.deleted

    @property
    def size(self) -> SearchedSize:
        """Counted row by row: what a whole gallery holds, its database knows at once."""
        base, delta = np.flatnonzero(self.base_alive), np.flatnonzero(self.delta.alive)
        images = np.concatenate([self.base.images[base], self.delta.images[delta]])
        products = np.concatenate([self.base.products[base], self.delta.products[delta]])
        return SearchedSize(_distinct(products), _distinct(images))

    @property
    def pending(self) -> int:
        """How many rows the base doesn't have yet or has in vain."""
        return self.base_dead + len(self.delta)

    def at(self, sequence: int) -> View:
        """The same rows, known to be those of a later sequence."""
        return replace(self, sequence=sequence)

    def with_rows(self, rows: VectorRows) -> View:
        delta = self.delta.append(rows.vectors, rows.images, rows.products)
        return replace(self, delta=delta, last_vector=rows.last)

    def without_images(self, images: NDArray[np.int64]) -> View:
        """The view without any row of the images [n]; numbers it doesn't know are ignored."""
        base_rows = _rows_of(images, self.base.images)
        delta_rows = _rows_of(images, self.delta.images)
        base_alive, base_dead, delta = self.base_alive, self.base_dead, self.delta
        if len(base_rows):
            base_alive = base_alive.copy()
            base_alive[base_rows] = False
            base_dead = len(base_alive) - int(np.count_nonzero(base_alive))
        if len(delta_rows):
            alive = delta.alive.copy()
            alive[delta_rows] = False
            delta = replace(delta, alive=alive)
        return replace(self, base_alive=base_alive, base_dead=base_dead, delta=delta)

    def only(self, selected: NDArray[np.bool_]) -> View:
        """The view in which products look deleted unless they are `selected`, by number."""
        return self._narrowed(selected[self.base.products], selected[self.delta.products])

    def without_scenes(self) -> View:
        """The view in which what a scene is not compared with looks deleted."""
        return self._narrowed(~self.base.scenes, ~scene_rows(self.delta.images))

    def _narrowed(self, base: NDArray[np.bool_], delta: NDArray[np.bool_]) -> View:
        """The view in which rows look deleted unless they are kept, by row of base and delta."""
        base_alive = self.base_alive & base
        dead = len(base_alive) - int(np.count_nonzero(base_alive))
        kept = replace(self.delta, alive=self.delta.alive & delta)
        return replace(self, base_alive=base_alive, base_dead=dead, delta=kept)

    def folded(self, builder: BaseBuilder) -> Base:
        """A new base of the rows that are alive."""
        builder.add_base(self.base, self.base_alive)
        return self.with_delta(builder)

    def with_delta(self, builder: BaseBuilder) -> Base:
        """A new base of what the builder holds and the living rows of the delta."""
        alive, delta = self.delta.alive, self.delta
        # Exact: the delta's float32 values came from float16.
        vectors = delta.vectors[alive].astype(np.float16)
        builder.add(vectors, delta.images[alive], delta.products[alive])
        return builder.finish(sequence=self.sequence, last_vector=self.last_vector)

    def rebased(self, before: View, base: Base, *, dropped: bool = True) -> View:
        """This view on `base`, which was folded from `before`, an earlier view on the same base.

        What was added since stays in the delta, what was deleted since becomes a tombstone.
        `dropped`: the new base doesn't have the rows of the old one that were dead in `before`.
        """
        count = len(before.delta)
        old = self.base_alive[before.base_alive] if dropped else self.base_alive
        alive = np.concatenate([old, self.delta.alive[:count][before.delta.alive]])
        dead = len(alive) - int(np.count_nonzero(alive))
        return View(base, alive, dead, self.delta.after(count), self.sequence, self.last_vector)

    def search(
        self, queries: NDArray[np.float32], k: int, scenes: NDArray[np.bool_] | None = None
    ) -> list[list[Hit]]:
        """For each unit query [Q, D] its k best products, best first; fewer if there are fewer.

        Of the products with the nearest vectors (exactly these where the base is exact) each scores
        as its best vector, as this leans (gallery.leaning); equal scores are told apart by image
        number, the image that was added first winning. `scenes` [Q]: see gallery.scenes.
        """
        return divided(
            queries,
            scenes,
            lambda asked: self._search(asked, k),
            lambda asked: self.without_scenes()._search(asked, k),
        )

    def _search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        near = self._nearest_products(queries, max(k, COMPARED))
        products = self._products({hit.product for hits in near for hit in hits})
        return [
            sorted(_compared(query, hits, products), key=lambda hit: (-hit.score, hit.image))[:k]
            for query, hits in zip(queries, near, strict=True)
        ]

    def _products(self, numbers: set[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of these products as they are compared, but of those that have too many."""
        wanted = np.array(sorted(numbers), dtype=np.int64)
        pending = np.flatnonzero(self.delta.alive & np.isin(self.delta.products, wanted))
        owners = self.delta.products[pending]
        scenes = scene_rows(self.delta.images)
        found = {}
        for number in wanted.tolist():
            base, delta = self.base.rows_of(number), pending[owners == number]
            base = base[self.base_alive[base]]
            if len(base) + len(delta) > MOST_VECTORS:
                continue
            key = base.tobytes(), delta.tobytes()
            vectors = self.base.leaned.get(key)
            if vectors is None:
                vectors = self.base.leaned.keep(key, self._leaned(base, delta, scenes))
            found[number] = vectors
        return found

    def _leaned(
        self, base: NDArray[np.int64], delta: NDArray[np.int64], scenes: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """One product's rows of base and delta, of which `scenes` [all of the delta's] are."""
        return leaned(
            # Exact: the delta's float32 values came from float16.
            np.concatenate([self.base.vectors[base], self.delta.vectors[delta]], dtype=np.float32),
            np.concatenate([self.base.scenes[base], scenes[delta]]),
        )

    def _nearest_products(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        found: list[list[Hit]] = [[] for _ in queries]
        waiting = list(range(len(queries)))
        width = max(_FIRST_WIDTH, _WIDER * k)
        exact = False
        # One product may own the nearest hundreds: look further until k products are certain.
        while waiting:
            ceilings, rows, complete = self._nearest(queries[waiting], width, exact=exact)
            unsure = []
            for place, query in enumerate(waiting):
                hits, certain = self._ranked(
                    queries[query], k, width, ceilings[place], rows[place], complete=complete
                )
                if certain:
                    found[query] = hits
                else:
                    unsure.append(query)
            waiting = unsure
            width *= _WIDER
            # Of one camera's photographs all scenes are nearer to a scene than any body is.
            exact = exact or (rows.size > 0 and float(np.mean(self.base_alive[rows])) < _FEW)
        return found

    def _nearest(
        self, queries: NDArray[np.float32], width: int, *, exact: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], bool]:
        """Scores [Q, n] that rows [Q, n] of the base do not exceed, the rows, and if these are all.

        By these scores, best first, none of which is exceeded by more than rounding. No other
        living row exceeds the last. `exact`: none but living rows are looked at.
        """
        living = len(self.base) - self.base_dead
        coarse = self.base.coarse
        if exact or living <= _FEW * len(self.base):
            width, everything = min(width, living), living
            scores, rows = self.base.exactly_nearest(queries, width, self.base_alive)
        elif coarse and width <= _COARSE_WIDTH and _COARSER * width < len(self.base):
            ceilings, rows = coarse.nearest(queries, _COARSER * width)
            return ceilings, rows, False
        else:
            scores, rows = self.base.nearest(queries, width)
            everything = len(self.base)
        return scores, rows, width >= everything

    def _ranked(
        self,
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
        delta_rows, floor = self.delta.nearest(query, width)
        if not complete:
            floor = max(floor, float(ceilings[-1]))
        alive = self.base_alive[base_rows]
        base_rows, ceilings = base_rows[alive], ceilings[alive]
        found = self._scored(query, base_rows[:width], delta_rows)
        # A coarse look has more of them, of which only the first can be among the best.
        for start in range(width, len(base_rows), width):
            might = ceilings[start : start + width] >= found.least(k) - _ROUNDING
            more = base_rows[start : start + width][might]
            found = found.and_more(self._scored(query, more, delta_rows[:0]))
            if not might.all():
                break
        hits = found.best(k)
        certain = floor == -np.inf or (len(hits) == k and hits[-1].score > floor + _ROUNDING)
        return hits, certain

    def _scored(
        self, query: NDArray[np.float32], base: NDArray[np.int64], delta: NDArray[np.int64]
    ) -> _Scored:
        """Rows of base and delta."""
        return _Scored(
            # Each from its own type: by way of float32 half-precision rows would be widened twice.
            np.concatenate(
                [
                    _exact_scores(self.base.vectors[base], query),
                    _exact_scores(self.delta.vectors[delta], query),
                ]
            ),
            np.concatenate([self.base.images[base], self.delta.images[delta]]),
            np.concatenate([self.base.products[base], self.delta.products[delta]]),
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


def _distinct(numbers: NDArray[np.int64]) -> int:
    """How many different ones; the greatest is not much greater than there are rows."""
    seen = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.bool_)
    seen[numbers] = True
    return int(np.count_nonzero(seen))


def _rows_of(wanted: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in the ascending `images` [N] of every row of the `wanted` numbers [n]."""
    first = np.searchsorted(images, wanted, side="left")
    counts = np.searchsorted(images, wanted, side="right") - first
    starts = first - (np.cumsum(counts) - counts)
    rows: NDArray[np.int64] = np.repeat(starts, counts) + np.arange(int(counts.sum()))
    return rows
