"""A first look at every row of an exact base, at eight bits a value.

Comparing a query with every row takes as long as reading them all, so half the bytes of float16 are
half the time. Rows and queries are rounded to whole numbers, which is what Faiss compares here.
What that does to a score is at most the length of what was taken from one times the length of the
other (Cauchy-Schwarz), so rows that could be among the best are not missed; the view scores them
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.faiss_quiet import faiss

_LARGEST = 127
_ROWS_AT_ONCE = 4096
# Later rows may hold greater values than those that the steps are made for.
_ROOM = 1.25
# Rounded further than this, too many rows could be among the best for the look to be of use.
_WORST = 0.03


class Coarse:
    """N rows int8 [N, D] in a Faiss index; times `steps` float32 [D] they are the vectors, nearly.

    `error` is the length of the longest difference, `longest` that of the longest row of int8.
    """

    def __init__(
        self, index: Any, steps: NDArray[np.float32], error: float = 0.0, longest: float = 0.0
    ) -> None:
        self.index = index
        self.steps = steps
        self.error = error
        self.longest = longest

    @classmethod
    def of(cls, vectors: NDArray[np.float16]) -> Coarse | None:
        """Of vectors [N, D]; None where it would be of no use."""
        if not len(vectors):
            return None
        peaks = np.max([np.abs(part).max(axis=0) for part in _parts(vectors)], axis=0)
        steps = np.where(peaks > 0, peaks * _ROOM / _LARGEST, 1).astype(np.float32)
        coarse = cls(_empty(len(steps)), steps)
        return coarse if coarse._add(vectors) else None

    def grown(self, alive: NDArray[np.bool_], vectors: NDArray[np.float16]) -> Coarse | None:
        """The rows that are `alive` [N] and `vectors` [n, D] behind them, at the same steps.

        That only copies; None where the steps don't suit the new rows.
        """
        shape = (len(alive), len(self.steps))
        codes = faiss.rev_swig_ptr(self.index.codes.data(), shape[0] * shape[1]).reshape(shape)
        coarse = Coarse(_empty(shape[1]), self.steps, self.error, self.longest)
        for start in range(0, len(alive), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            coarse.index.add_sa_codes(np.ascontiguousarray(codes[part][alive[part]]))
        return coarse if coarse._add(vectors) else None

    def _add(self, vectors: NDArray[np.float16]) -> bool:
        """Whether it is still of use with them."""
        for part in _parts(vectors):
            codes = np.clip(np.rint(part / self.steps), -_LARGEST, _LARGEST)
            taken = np.linalg.norm(part - codes * self.steps, axis=1).max()
            self.error = max(self.error, float(taken))
            if self.error > _WORST:
                return False
            self.longest = max(self.longest, float(np.linalg.norm(codes, axis=1).max()))
            # Faiss keeps them with an offset of 128, which turns the highest bit over.
            self.index.add_sa_codes(codes.astype(np.int8).view(np.uint8) ^ 0x80)
        return True

    def nearest(
        self, queries: NDArray[np.float32], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For unit queries [Q, D] rows [Q, width < N], and the scores that these do not exceed.

        The rows come by these scores, best first; no other row exceeds the last.
        """
        # Faiss's threads and Paddle's fight for the cores; the setting is the calling thread's.
        faiss.omp_set_num_threads(1)
        weighted = queries * self.steps
        scales = np.abs(weighted).max(axis=1, keepdims=True) / _LARGEST
        codes = np.rint(weighted / scales)
        scores, rows = self.index.search(codes, width)
        taken = np.linalg.norm(weighted - codes * scales, axis=1)
        return scores * scales + (self.error + taken * self.longest)[:, None], rows


def _empty(dimension: int) -> Any:
    precision, metric = faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    return faiss.IndexScalarQuantizer(dimension, precision, metric)


def _parts(vectors: NDArray[np.float16]) -> Iterator[NDArray[np.float32]]:
    # A copy of them all at once would be twice as large as they are.
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        yield vectors[start : start + _ROWS_AT_ONCE].astype(np.float32)
