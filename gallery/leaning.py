"""How references of a product help each other: each leans towards their mean.

What photographs of one product share is the product; light, ground and angle are different in each.
So a reference is compared as a direction between itself and the mean of its product's references
(prototypical networks, arXiv:1703.05175, have the mean alone). It is nearer to itself, so that a
side of a package that few photographs show is not lost. Scenes (gallery.scenes) lean to the mean of
scenes, all others to the mean of the others, so that no body takes on the place where it lies. A
product's only reference stays as it is. What that is worth:
docs/embedded-pack-experiments.md.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence, Sized
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery.scenes import Flags, Vectors, scenes_of, scores

Stored = NDArray[np.float16] | Vectors
# What is kept of a product: as long as it has vectors.
T = TypeVar("T", bound=Sized)

# Of a product with more of them none leans: its nearest one is near, and a mean would take long.
MOST_VECTORS = 256
# Of the products with the nearest vectors so many are compared by vectors that lean: among more
# than six of them no other one was ever the best (docs/embedded-pack-experiments.md).
COMPARED = 8
# Part of the way to the mean.
LEAN = 0.3
_TINY = 1e-12
# 32 MiB of vectors of 512 numbers.
_KEPT_ROWS = 16_384


def leaned(vectors: Stored, scenes: Flags) -> Vectors:
    """A product's vectors [N, D] as they are compared, of unit length; `scenes` [N].

    The same rows in the same order give the same bits.
    """
    wide = vectors.astype(np.float64)
    for kind in (scenes, ~scenes):
        if kind.any():
            rows = wide[kind]
            mean = _unit(rows.sum(axis=0, keepdims=True))
            wide[kind] = (1 - LEAN) * rows + LEAN * mean
    return _unit(wide).astype(np.float32)


def leaned_references(references: Sequence[Stored]) -> list[Vectors]:
    """The vectors [V, D] of each of a product's images, as they are compared."""
    vectors = [rows.astype(np.float32) for rows in references]
    if not vectors or sum(map(len, vectors)) > MOST_VECTORS:
        return vectors
    scenes = np.concatenate([scenes_of(len(rows)) for rows in vectors])
    ends = np.cumsum([len(rows) for rows in vectors])
    return np.split(leaned(np.concatenate(vectors), scenes), ends[:-1])


def product_scores(queries: Vectors, scenes: Flags, references: Sequence[Stored]) -> Vectors:
    """Scores [R, Q] of R images of a product, vectors [V, D] each, for queries [Q, D].

    `scenes` [Q]: gallery.scenes. The product's score is the best of them.
    """
    if not references:
        return np.empty((0, len(queries)), dtype=np.float32)
    compared = leaned_references(references)
    kinds = np.concatenate([scenes_of(len(rows)) for rows in compared])
    starts = np.cumsum([0, *(len(rows) for rows in compared[:-1])])
    found = scores(queries, scenes, np.concatenate(compared), kinds)
    best: Vectors = np.maximum.reduceat(found, starts, axis=1).T
    return best


class Kept(Generic[T]):
    """The vectors that were made to lean last, by what they were made from. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: OrderedDict[Hashable, T] = OrderedDict()
        self._rows = 0

    def get(self, key: Hashable) -> T | None:
        """What was made for `key`, if it is still there."""
        with self._lock:
            if (known := self._vectors.get(key)) is not None:
                self._vectors.move_to_end(key)
            return known

    def keep(self, key: Hashable, made: T) -> T:
        """What was made for `key`, kept or not; what was not asked for longest goes."""
        with self._lock:
            if key not in self._vectors:
                self._vectors[key] = made
                self._rows += len(made)
            while self._rows > _KEPT_ROWS:
                _, gone = self._vectors.popitem(last=False)
                self._rows -= len(gone)
        return made


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    unit: NDArray[np.float64] = rows / np.maximum(lengths, _TINY)[:, None]
    return unit
