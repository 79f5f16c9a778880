"""One gallery copied into another, on one machine or on a server: all of it, in its order.

What the target has already is passed over, so that a migration that was stopped goes on where it
was, and one that is run again brings over what has been added since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery.errors import GalleryError
from gallery.protocol import Contents, GalleryProtocol

T = TypeVar("T")
# References done and all.
Progress = Callable[[int, int], None]

_PRODUCTS_AT_ONCE = 500
_REFERENCES_AT_ONCE = 250
_QUERIES_AT_ONCE = 50
# As far as float32 sums differ by their order, and an index that holds values more coarsely.
_SAME_SCORE = 1e-3
# Products asked for: the one with the nearest reference need not be the best (gallery.leaning).
_LOOKED_AT = 8
# An approximate index may miss one in a hundred; more is a fault.
_AGREEING = 0.99


class MigrationFailed(GalleryError):
    """The two galleries don't hold the same afterwards; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared when all had been copied; `agreeing` of the `asked` answers were the same.

    Answers of the target, against those that follow from the source's vectors by exact search.
    """

    products: int
    images: int
    asked: int
    agreeing: int


def migrate(
    source: Contents,
    target: GalleryProtocol,
    *,
    samples: int,
    progress: Progress,
) -> Verified:
    """Copy what `source` holds into `target`, which may serve meanwhile, and compare.

    `samples`: references asked as photographs. Raises MigrationFailed, and what the target raises.
    """
    for products in _batches(source.products(), _PRODUCTS_AT_ONCE):
        target.take(products, [])
    queries = _Sample(source.image_count, samples)
    done = 0
    for references in _batches(source.references(), _REFERENCES_AT_ONCE):
        target.take([], references)
        for reference in references:
            queries.offer(reference.vectors[:1])
        done += len(references)
        progress(done, source.image_count)
    target.snapshot()
    return _verified(source, target, queries.vectors)


class _Sample:
    """Every so many-th of the vectors that it is offered, up to a number of them."""

    def __init__(self, offered: int, wanted: int) -> None:
        self._step = max(1, offered // max(1, wanted))
        self._wanted = wanted
        self._seen = 0
        self._kept: list[NDArray[np.float16]] = []

    def offer(self, vector: NDArray[np.float16]) -> None:
        if self._seen % self._step == 0 and len(self._kept) < self._wanted:
            self._kept.append(vector)
        self._seen += 1

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Float32 [Q, D]."""
        return np.concatenate(self._kept or [np.empty((0, 1), np.float16)]).astype(np.float32)


def _verified(source: Contents, target: GalleryProtocol, queries: NDArray[np.float32]) -> Verified:
    stats = target.stats()
    if (stats.products, stats.images) != (source.product_count, source.image_count):
        raise MigrationFailed(
            f"The target holds {stats.products:,} products and {stats.images:,} images, the "
            f"source {source.product_count:,} and {source.image_count:,}. Was it empty before, "
            "and did nobody write meanwhile? Run it again, or take another target."
        )
    best = _best_scores(source, queries)
    agreeing = 0
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        rows = slice(start, start + _QUERIES_AT_ONCE)
        found = target.search(queries[rows], _LOOKED_AT).candidates
        for query, candidates in zip(range(start, start + len(found)), found, strict=True):
            score, products = best[query]
            agreeing += any(
                candidate.product_id in products and abs(candidate.likeness - score) <= _SAME_SCORE
                for candidate in candidates
            )
    if agreeing < _AGREEING * len(queries):
        raise MigrationFailed(
            f"Of {len(queries):,} references asked, the target answered only {agreeing:,} as the "
            "source does. Run it again; if it stays so, the target's index is at fault."
        )
    return Verified(stats.products, stats.images, len(queries), agreeing)


def _best_scores(source: Contents, queries: NDArray[np.float32]) -> list[tuple[float, set[str]]]:
    """Of each query the best score, and the products that reach it, by exact search."""
    best = np.full(len(queries), -np.inf)
    products: list[set[str]] = [set() for _ in queries]
    for references in _batches(source.references(), _REFERENCES_AT_ONCE):
        vectors = np.concatenate([entry.vectors for entry in references]).astype(np.float32)
        owners = [entry.image.product_id for entry in references for _ in entry.vectors]
        scores = np.minimum(queries @ vectors.T, 1.0)
        top = scores.max(axis=1)
        near = scores >= top[:, None] - _SAME_SCORE
        for query in np.flatnonzero(top >= best - _SAME_SCORE):
            reached = {owners[place] for place in np.flatnonzero(near[query])}
            higher = top[query] > best[query] + _SAME_SCORE
            products[query] = reached if higher else products[query] | reached
            best[query] = max(best[query], top[query])
    return list(zip(best.tolist(), products, strict=True))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
