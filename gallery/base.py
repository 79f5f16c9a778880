"""The immutable part of the index: exact, float16, inner product, held by Faiss.

Faiss crashes or answers wrongly when one thread searches while another adds, so a base is built
once, by `BaseBuilder`, and never changed; what comes later lives in the delta.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.faiss_quiet import faiss

KIND = "flat-fp16"
_ROWS_AT_ONCE = 65536


class Base:
    """N vectors in a Faiss index, their image and product numbers int64 [N] in ascending order.

    It holds what the database held at `sequence`, up to the vector with the number `last_vector`.
    """

    kind = KIND

    def __init__(
        self,
        index: Any,
        images: NDArray[np.int64],
        products: NDArray[np.int64],
        *,
        sequence: int,
        last_vector: int,
    ) -> None:
        self.index = index
        self.images = images
        self.products = products
        self.sequence = sequence
        self.last_vector = last_vector
        # A view of Faiss's own memory, which lives as long as self.index does.
        codes = faiss.rev_swig_ptr(index.codes.data(), len(images) * index.code_size)
        self.vectors: NDArray[np.float16] = codes.view(np.float16).reshape(len(images), index.d)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def dimension(self) -> int:
        return int(self.index.d)

    def nearest(
        self, queries: NDArray[np.float32], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `width` best scores and rows [Q, min(width, N)] of each query [Q, D]."""
        width = min(width, len(self))
        if width == 0:
            return _nothing(len(queries))
        # Faiss's threads and Paddle's fight for the cores; the setting is the calling thread's.
        faiss.omp_set_num_threads(1)
        scores, rows = self.index.search(np.ascontiguousarray(queries), width)
        return scores, rows

    def nearest_of(
        self, alive: NDArray[np.bool_], queries: NDArray[np.float32], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `nearest`, exactly, among the rows that are `alive` [N]: at least `width` of them."""
        if width == 0:
            return _nothing(len(queries))
        faiss.omp_set_num_threads(1)
        chosen = faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
        scores, rows = self.index.search(
            np.ascontiguousarray(queries), width, params=faiss.SearchParameters(sel=chosen)
        )
        return scores, rows


class BaseBuilder:
    """Collects rows in the order of their numbers and makes a base of them."""

    def __init__(self, dimension: int) -> None:
        faiss.omp_set_num_threads(1)
        self._index = faiss.IndexScalarQuantizer(
            dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._images: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        self._products: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]

    def add(
        self,
        vectors: NDArray[np.float16],
        images: NDArray[np.int64],
        products: NDArray[np.int64],
    ) -> None:
        """Append rows: vectors [n, D], numbers [n]."""
        # The codes of this index are the float16 values themselves: no rounding a second time.
        self._index.add_sa_codes(np.ascontiguousarray(vectors).view(np.uint8))
        self._images.append(images)
        self._products.append(products)

    def add_base(self, base: Base, alive: NDArray[np.bool_]) -> None:
        """Append the rows of `base` that are `alive` [N], without a second copy of them all."""
        for start in range(0, len(base), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            keep = alive[part]
            self.add(base.vectors[part][keep], base.images[part][keep], base.products[part][keep])

    def finish(self, *, sequence: int, last_vector: int) -> Base:
        return Base(
            self._index,
            np.concatenate(self._images),
            np.concatenate(self._products),
            sequence=sequence,
            last_vector=last_vector,
        )


def _nothing(queries: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return np.empty((queries, 0), dtype=np.float32), np.empty((queries, 0), dtype=np.int64)
