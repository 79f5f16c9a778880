"""The small mutable part of the index: what was added since the base was built.

Rows are appended to a shared buffer behind the end of what any published delta shows, so that a
delta that a search holds never changes while the next one is being made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.faiss_quiet import faiss

_FIRST_CAPACITY = 64


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """The first `count` rows of buffers of a larger capacity, and which of them are `alive`.

    Vectors are float32 [capacity, D] with values that float16 holds exactly, because that is what
    the inner product wants; numbers are int64 [capacity]; `alive` is bool [count].
    """

    buffer: NDArray[np.float32]
    image_buffer: NDArray[np.int64]
    product_buffer: NDArray[np.int64]
    alive: NDArray[np.bool_]

    @classmethod
    def empty(cls, dimension: int) -> Delta:
        return cls(
            np.empty((0, dimension), dtype=np.float32),
            np.empty(0, dtype=np.int64),
            np.empty(0, dtype=np.int64),
            np.empty(0, dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.alive)

    @property
    def vectors(self) -> NDArray[np.float32]:
        return self.buffer[: len(self)]

    @property
    def images(self) -> NDArray[np.int64]:
        return self.image_buffer[: len(self)]

    @property
    def products(self) -> NDArray[np.int64]:
        return self.product_buffer[: len(self)]

    def append(
        self,
        vectors: NDArray[np.float16] | NDArray[np.float32],
        images: NDArray[np.int64],
        products: NDArray[np.int64],
    ) -> Delta:
        """This delta and the rows after it. Only the newest delta may be appended to."""
        start, stop = len(self), len(self) + len(images)
        grown = self if stop <= len(self.image_buffer) else self._with_room(stop)
        grown.buffer[start:stop] = vectors
        grown.image_buffer[start:stop] = images
        grown.product_buffer[start:stop] = products
        alive = np.concatenate([self.alive, np.ones(len(images), dtype=np.bool_)])
        return replace(grown, alive=alive)

    def after(self, count: int) -> Delta:
        """The rows behind the first `count`, in buffers of their own."""
        rest = Delta.empty(self.buffer.shape[1]).append(
            self.vectors[count:], self.images[count:], self.products[count:]
        )
        return replace(rest, alive=self.alive[count:])

    def nearest(self, query: NDArray[np.float32], width: int) -> tuple[NDArray[np.int64], float]:
        """The `width` best living rows for the query [D], and a score that no other row exceeds."""
        living = np.flatnonzero(self.alive)
        if len(living) <= width:
            return living, -np.inf
        scores = np.empty(len(self), dtype=np.float32)
        faiss.fvec_inner_products_ny(
            faiss.swig_ptr(scores),
            faiss.swig_ptr(query),
            faiss.swig_ptr(self.buffer),
            self.buffer.shape[1],
            len(self),
        )
        scores[~self.alive] = -np.inf
        rows = np.argpartition(-scores, width - 1)[:width]
        return rows, float(scores[rows].min())

    def _with_room(self, count: int) -> Delta:
        capacity = max(2 * len(self.image_buffer), count, _FIRST_CAPACITY)
        rows = len(self)
        wider = Delta(
            np.empty((capacity, self.buffer.shape[1]), dtype=np.float32),
            np.empty(capacity, dtype=np.int64),
            np.empty(capacity, dtype=np.int64),
            self.alive,
        )
        wider.buffer[:rows] = self.vectors
        wider.image_buffer[:rows] = self.images
        wider.product_buffer[:rows] = self.products
        return wider
