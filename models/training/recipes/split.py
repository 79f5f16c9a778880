"""Which open photographs are kept out of training, so that they can judge it."""

import zlib
from collections.abc import Iterable

import numpy as np

from models.training.open_data import Photo

PARTS = 5
KEPT_OUT = 4


def kept_out(photo: Photo) -> bool:
    """Whether the embedded detector was never trained on a photograph of the open data.

    A drink goes by its source's number, with all its copies; a grocery by its product.
    """
    number = int(photo.source) if photo.source.isdigit() else zlib.crc32(photo.identity.encode())
    return number % PARTS == KEPT_OUT


def folds(identities: Iterable[str]) -> dict[str, int]:
    """A fold of five for each product, as even as can be: the embedder is judged on each."""
    order = np.random.default_rng(0).permutation(np.unique(np.asarray(list(identities))))
    return {str(identity): place % PARTS for place, identity in enumerate(order)}
