"""What a vector must be before it is stored or searched for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery.errors import InvalidVector

# Rounding to float16 changes a vector's length by no more than this.
_ROUNDED = 2.0**-10


def stored_vectors(vectors: ArrayLike, dimension: int) -> NDArray[np.float16]:
    """References [V, D] as both SQLite and the index hold them: unit length, float16.

    What has been stored before, float16 of such a length, stays as it is.
    Raises InvalidVector for V = 0, another D, NaN, infinity or a vector of zeros.
    """
    return stored_in_parts([vectors], dimension)[0]


def stored_in_parts(parts: Sequence[ArrayLike], dimension: int) -> list[NDArray[np.float16]]:
    """`stored_vectors` of each part [V, D], at once because that is many times as quick."""
    if not parts:
        return []
    arrays = [_array(part, dimension) for part in parts]
    if not all(len(array) for array in arrays):
        raise InvalidVector("A reference image needs at least one vector.")
    given = np.concatenate(arrays)
    unit = _unit(given)
    if all(getattr(part, "dtype", None) == np.float16 for part in parts):
        # Scaling it again could round a value to its neighbour.
        rounded = np.abs(np.linalg.norm(given, axis=1) - 1) <= _ROUNDED
        unit[rounded] = given[rounded]
    return np.split(unit.astype(np.float16), np.cumsum([len(array) for array in arrays])[:-1])


def query_vectors(vectors: ArrayLike, dimension: int) -> NDArray[np.float32]:
    """Queries [Q, D], Q ≥ 0, at unit length. Raises InvalidVector as `stored_vectors` does."""
    return _unit(_array(vectors, dimension)).astype(np.float32)


def _array(vectors: ArrayLike, dimension: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidVector(f"Vectors must be an array of numbers: {error}.") from error
    if array.ndim != 2 or array.shape[1] != dimension:
        raise InvalidVector(
            f"Vectors must have the shape [n, {dimension}], these have {list(array.shape)}. "
            "Use the embedder whose fingerprint the gallery was opened with."
        )
    return array


def _unit(array: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = np.abs(array).max(axis=1, keepdims=True)
    # Faiss answers a NaN query with row -1 and stores a NaN reference without a word.
    if not np.isfinite(peak).all():
        raise InvalidVector("A vector holds NaN or infinity. Check the image it was made from.")
    if not peak.all():
        raise InvalidVector("A vector is all zeros and has no direction. Check its image.")
    # By the peak first: squares of float32 values may leave the range in either direction.
    scaled = array / peak
    unit: NDArray[np.float64] = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit
