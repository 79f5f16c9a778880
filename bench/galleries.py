"""Galleries that live no longer than a measurement."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery import Gallery, NewImage

# The gallery keeps a thumbnail for people and for the reranker; neither looks at this one.
_JPEG = b"\xff\xd8\xff\xd9"


@contextmanager
def made_gallery(dimension: int) -> Iterator[Gallery]:
    """An empty gallery in a folder of its own, which goes with it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(Path(folder), dimension=dimension, fingerprint="bench") as gallery,
    ):
        yield gallery


def reference(
    key: bytes,
    vectors: NDArray[np.float32],
    width: int = 1,
    height: int = 1,
    thumbnail: bytes = _JPEG,
) -> NewImage:
    """Vectors float32 [V, D] of a picture; `key` tells it from others."""
    return NewImage(hashlib.sha256(key).hexdigest(), width, height, thumbnail, vectors)
