"""Batches for training and evaluation: drawn by seed, made in threads, in a fixed order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.pack import Interpolation
from models.preprocess import INTERPOLATION
from models.training.ahead import made_ahead
from models.training.detection.augmentation import crop, distort_colours, flip, resize
from models.training.detection.coco import Boxes, Record, Sample
from models.training.detection.composition import Cutout, mosaic, paste

MULTI_SCALE_STEP = 32
MULTI_SCALE = 0.1  # sides vary by this share: 576 to 704 around 640
MOSAIC_SHARE = 0.3
PASTE_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Batch:
    """Images uint8 [N, H, W, 3] and the boxes of each, float32 [B, 4] in pixels of the input."""

    images: NDArray[np.uint8]
    boxes: list[Boxes]


def sizes_around(size: int) -> list[int]:
    """Input sides to train on, multiples of 32."""
    reach = max(1, round(size * MULTI_SCALE / MULTI_SCALE_STEP))
    return [size + step * MULTI_SCALE_STEP for step in range(-reach, reach + 1)]


def augmented(
    records: Sequence[Record],
    index: int,
    side: int,
    cutouts: Sequence[Cutout],
    rng: np.random.Generator,
) -> Sample:
    """One training sample of `side` pixels square, from record `index` and perhaps others."""
    if rng.random() < MOSAIC_SHARE:
        others = rng.integers(len(records), size=3).tolist()
        sample = mosaic([records[i].load() for i in (index, *others)], side, rng)
    else:
        sample = crop(records[index].load(), rng)
    if cutouts and rng.random() < PASTE_SHARE:
        sample = paste(sample, cutouts, rng)
    if rng.random() < 0.5:
        sample = flip(sample)
    interpolation = list(INTERPOLATION.values())[int(rng.integers(len(INTERPOLATION)))]
    return distort_colours(resize(sample, side, side, interpolation), rng)


def training_batches(
    records: Sequence[Record],
    *,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    start: int = 0,
    cutouts: Sequence[Cutout] = (),
    threads: int = 2,
) -> Iterator[Batch]:
    """One epoch, shuffled; every batch has a size of its own. A rest short of a batch is dropped.

    The same arguments give the same batches; from `start` on, those after so many.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(records))
    sides = rng.choice(sizes_around(size), len(records) // batch).tolist()

    def make(number: int) -> Batch:
        samples = [
            augmented(
                records,
                int(index),
                sides[number],
                cutouts,
                np.random.default_rng([seed, epoch, int(index)]),
            )
            for index in order[number * batch : (number + 1) * batch]
        ]
        return Batch(np.stack([s.image for s in samples]), [s.boxes for s in samples])

    return made_ahead(make, range(start, len(sides)), threads)


def evaluation_batches(
    records: Sequence[Record],
    *,
    size: int,
    batch: int,
    interpolation: Interpolation = "linear",
    threads: int = 2,
) -> Iterator[Batch]:
    """All images in order, resized as the served detector does; boxes in pixels of the input."""

    def make(number: int) -> Batch:
        samples = [
            resize(record.load(), size, size, INTERPOLATION[interpolation])
            for record in records[number * batch : (number + 1) * batch]
        ]
        return Batch(np.stack([s.image for s in samples]), [s.boxes for s in samples])

    return made_ahead(make, range(-(-len(records) // batch)), threads)
