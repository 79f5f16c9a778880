"""Batches of training views: drawn by seed, made in threads, in a fixed order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.ahead import made_ahead
from models.training.embedding.augmentation import training_view
from models.training.embedding.pictures import Picture
from models.training.embedding.sampler import identity_batches


@dataclass(frozen=True, slots=True)
class Batch:
    """Views uint8 [N, S, S, 3] and their identities, int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def training_batches(
    pictures: Sequence[Picture],
    labels: Sequence[int],
    *,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    start: int = 0,
    threads: int = 2,
) -> Iterator[Batch]:
    """One epoch as `identity_batches` deals it, every picture as a new view.

    The same arguments give the same batches; from `start` on, those after so many.

    Raises:
        ModelError: see `identity_batches`; or a picture cannot be read.
    """
    dealt = list(identity_batches(labels, batch=batch, seed=seed, epoch=epoch))

    def make(number: int) -> Batch:
        views = [
            training_view(
                pictures[place].load(), size, np.random.default_rng([seed, epoch, number, position])
            )
            for position, place in enumerate(dealt[number])
        ]
        return Batch(np.stack(views), np.asarray([labels[place] for place in dealt[number]]))

    return made_ahead(make, range(start, len(dealt)), threads)
