"""Galleries, images and vectors for the tests, small and the same every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery import Gallery, NewImage

DIMENSION = 8
FINGERPRINT = "0123456789abcdef"
JPEG = b"\xff\xd8 a thumbnail \xff\xd9"


def opened(
    folder: Path,
    *,
    dimension: int = DIMENSION,
    compact_at: int = 8192,
    graph_from: int = 10**6,
) -> Gallery:
    return Gallery.open(
        folder,
        dimension=dimension,
        fingerprint=FINGERPRINT,
        compact_at=compact_at,
        graph_from=graph_from,
    )


def held_rows(gallery: Gallery) -> tuple[int, int, int]:
    """Vectors in the index's base, those added since, and those of both that are deleted."""
    view = gallery._index.view
    return len(view.base), len(view.delta), view.deleted


def digest(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def vectors_of(content: object, count: int = 1, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Vectors [count, D] that follow from the content alone."""
    rng = np.random.default_rng(int(digest(content)[:12], 16))
    return rng.standard_normal((count, dimension)).astype(np.float32)


def new_image(
    content: object, vectors: ArrayLike | None = None, dimension: int = DIMENSION
) -> NewImage:
    if vectors is None:
        vectors = vectors_of(content, dimension=dimension)
    return NewImage(digest(content), 30, 20, JPEG, np.asarray(vectors, dtype=np.float32))


def stored(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the gallery keeps of vectors [n, D], computed apart from it."""
    wide = vectors.astype(np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float16).astype(float)


def bits(index: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """The unit vector [D] along one axis."""
    return np.eye(dimension, dtype=np.float32)[index]


def index_files(folder: Path) -> list[Path]:
    """Every file under `folder` that is derived from the database."""
    return sorted(path for path in (folder / "index").rglob("*") if path.is_file())


def flip_byte(path: Path, position: int, mask: int = 0x01) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(data)
