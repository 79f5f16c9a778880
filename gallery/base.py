"""The immutable part of the index: float16, inner product, held by Faiss.

Faiss crashes or answers wrongly when one thread searches while another adds, so a base is built
once, by `BaseBuilder`, and never changed; what comes later lives in the delta. It is exact, or,
where comparing with every row takes too long, a graph (HNSW, arXiv:1603.09320) over the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gallery.coarse import Coarse
from gallery.faiss_quiet import faiss
from gallery.leaning import Kept
from gallery.scenes import Vectors, scene_rows

Kind: TypeAlias = Literal["flat-fp16", "hnsw32-fp16"]
FLAT: Kind = "flat-fp16"
GRAPH: Kind = "hnsw32-fp16"

_LINKS = 32
# Faiss's 40 loses 7 points of recall at a million rows, 100 one; with 100, products enrolled one
# after the other lost up to 0.4 points of label accuracy at 100,000, with 200 none.
_BUILD_BREADTH = 200
_SEARCH_BREADTH = 256
# Beyond it a graph visits so much that comparing with every row is no slower.
_WIDEST = 2048
# Copying them holds up every other thread of Python.
_ROWS_AT_ONCE = 4096
# A graph grows by some thousands of rows a second: this is how long stopping may take.
_GRAPH_ROWS_AT_ONCE = 512


class BuildStopped(Exception):
    """A graph was given up before it was done."""


class Base:
    """N vectors in a Faiss index, their image and product numbers int64 [N] in ascending order.

    It holds what the database held at `sequence`, up to the vector with the number `last_vector`.
    `alive` is bool [N]: nothing can be taken out of a graph, so it may hold rows that had been
    deleted before. `scenes` is bool [N]: gallery.scenes. `source` is the snapshot that the index
    is mapped from, if it is. `coarse` is a first look at the rows of an exact base.
    """

    def __init__(
        self,
        index: Any,
        images: NDArray[np.int64],
        products: NDArray[np.int64],
        alive: NDArray[np.bool_],
        *,
        sequence: int,
        last_vector: int,
        source: Path | None = None,
        coarse: Coarse | None = None,
    ) -> None:
        self.index = index
        self.coarse = coarse
        self.images = images
        self.products = products
        self.scenes = scene_rows(images)
        self._by_product = np.argsort(products, kind="stable")
        self._sorted_products = products[self._by_product]
        # Of its rows and of those of deltas on it, by which rows they are.
        self.leaned: Kept[Vectors] = Kept()
        self.alive = alive
        self.sequence = sequence
        self.last_vector = last_vector
        self.source = source
        graph = isinstance(index, faiss.IndexHNSW)
        self.kind: Kind = GRAPH if graph else FLAT
        self._exact = faiss.downcast_index(index.storage) if graph else index
        if graph:
            index.hnsw.efSearch = _SEARCH_BREADTH
        # A view of Faiss's own memory, which lives as long as self.index does.
        codes = faiss.rev_swig_ptr(self._exact.codes.data(), len(images) * self._exact.code_size)
        self.vectors: NDArray[np.float16] = codes.view(np.float16).reshape(len(images), index.d)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def dimension(self) -> int:
        return int(self.index.d)

    def rows_of(self, product: int) -> NDArray[np.int64]:
        """The rows of a product, in their order."""
        start, stop = np.searchsorted(self._sorted_products, [product, product + 1])
        return self._by_product[start:stop]

    def nearest(
        self, queries: NDArray[np.float32], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `width` best scores and rows [Q, min(width, N)] of each query [Q, D].

        Of a graph: those it leads to, which may miss some; exact when they are all rows.
        """
        if self.kind == FLAT or width > min(_WIDEST, len(self) - 1):
            return self.exactly_nearest(queries, width)
        # Faiss's threads and Paddle's fight for the cores; the setting is the calling thread's.
        faiss.omp_set_num_threads(1)
        scores, rows = self.index.search(np.ascontiguousarray(queries), width)
        if (rows < 0).any():
            # Not enough rows can be reached from where the search starts.
            return self.exactly_nearest(queries, width)
        return scores, rows

    def exactly_nearest(
        self, queries: NDArray[np.float32], width: int, alive: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `nearest`, by comparing with every row, or with those that are `alive` [N].

        At least `width` of these there must be.
        """
        width = min(width, len(self))
        if width == 0:
            empty = np.empty((len(queries), 0), dtype=np.float32)
            return empty, empty.astype(np.int64)
        faiss.omp_set_num_threads(1)
        parameters = None
        if alive is not None:
            chosen = faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
            parameters = faiss.SearchParameters(sel=chosen)
        scores, rows = self._exact.search(np.ascontiguousarray(queries), width, params=parameters)
        return scores, rows


class BaseBuilder:
    """Collects rows in the order of their numbers and makes a base of them."""

    def __init__(
        self,
        dimension: int,
        kind: Kind = FLAT,
        *,
        threads: int = 1,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        """For vectors [D = dimension]; a graph grows on `threads`, until `stop` says so."""
        precision, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        if kind == GRAPH:
            self._index = faiss.IndexHNSWSQ(dimension, precision, _LINKS, metric)
            self._index.hnsw.efConstruction = _BUILD_BREADTH
        else:
            self._index = faiss.IndexScalarQuantizer(dimension, precision, metric)
        self._kind = kind
        self._threads = threads
        self._stop = stop
        self._images: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        self._products: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        self._alive: list[NDArray[np.bool_]] = [np.empty(0, dtype=np.bool_)]
        # The first look at the first rows, if they have one, and which rows of it they are.
        self._coarse: tuple[Coarse, NDArray[np.bool_]] | None = None

    @classmethod
    def extending(
        cls, base: Base, alive: NDArray[np.bool_], *, threads: int, stop: Callable[[], bool]
    ) -> BaseBuilder:
        """Goes on with a copy of the graph `base`, whose index is not mapped, with `alive` [N]."""
        builder = cls(base.dimension, GRAPH, threads=threads, stop=stop)
        builder._index = faiss.clone_index(base.index)
        builder._index.hnsw.efConstruction = _BUILD_BREADTH
        builder._images, builder._products = [base.images], [base.products]
        builder._alive = [alive]
        return builder

    def add(
        self,
        vectors: NDArray[np.float16],
        images: NDArray[np.int64],
        products: NDArray[np.int64],
    ) -> None:
        """Append rows: vectors [n, D], numbers [n]. Raises BuildStopped."""
        if self._kind == GRAPH:
            self._grow(vectors)
        else:
            # The codes of this index are the float16 values themselves: not rounded again.
            self._index.add_sa_codes(np.ascontiguousarray(vectors).view(np.uint8))
        self._images.append(images)
        self._products.append(products)
        self._alive.append(np.ones(len(images), dtype=np.bool_))

    def add_base(self, base: Base, alive: NDArray[np.bool_]) -> None:
        """Begin with the rows of `base` that are `alive` [N], without a second copy of them all."""
        if base.coarse is not None:
            self._coarse = base.coarse, alive
        for start in range(0, len(base), _ROWS_AT_ONCE):
            part: slice | NDArray[np.int64] = slice(start, start + _ROWS_AT_ONCE)
            if not alive[part].all():
                part = start + np.flatnonzero(alive[part])
            self.add(base.vectors[part], base.images[part], base.products[part])

    def finish(self, *, sequence: int, last_vector: int) -> Base:
        base = Base(
            self._index,
            np.concatenate(self._images),
            np.concatenate(self._products),
            np.concatenate(self._alive),
            sequence=sequence,
            last_vector=last_vector,
        )
        if base.kind == FLAT:
            base.coarse = self._coarse_of(base.vectors)
        return base

    def _coarse_of(self, vectors: NDArray[np.float16]) -> Coarse | None:
        grown = None
        if self._coarse is not None:
            before, alive = self._coarse
            grown = before.grown(alive, vectors[np.count_nonzero(alive) :])
        return grown or Coarse.of(vectors)

    def _grow(self, vectors: NDArray[np.float16]) -> None:
        for start in range(0, len(vectors), _GRAPH_ROWS_AT_ONCE):
            if self._stop is not None and self._stop():
                raise BuildStopped
            faiss.omp_set_num_threads(self._threads)
            part = vectors[start : start + _GRAPH_ROWS_AT_ONCE]
            self._index.add(np.ascontiguousarray(part, dtype=np.float32))
