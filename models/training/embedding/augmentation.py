"""PP-ShiTuV2's published random changes to a training crop: moved, mirrored, turned."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detection.normalisation import IMAGENET

Image = NDArray[np.uint8]

SIDE = 224
PADDING = 10
TURNED_SHARE = 0.5
DEGREES = 90.0


def augmented(image: Image, rng: np.random.Generator) -> Image:
    """One training view, uint8 [224, 224, 3], of an image uint8 [H, W, 3]."""
    # The aspect is not kept, as when serving.
    resized = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    view: Image = resized.astype(np.uint8, copy=False)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    right, down = rng.integers(-PADDING, PADDING + 1, size=2).tolist()
    view = moved(view, right, down)
    if rng.random() < TURNED_SHARE:
        view = turned(view, rng.uniform(-DEGREES, DEGREES))
    return view


def moved(image: Image, right: int, down: int) -> Image:
    """The image, at most 10 px away from its place, on black: padding by 10 and a crop."""
    padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    top, left = PADDING - down, PADDING - right
    return padded[top : top + image.shape[0], left : left + image.shape[1]]


def turned(image: Image, degrees: float) -> Image:
    """The image turned counter-clockwise about its middle, in its frame, on black."""
    height, width = image.shape[:2]
    # Pixels are points to OpenCV: the middle of a row of 4 is at 1.5.
    middle = ((width - 1) / 2, (height - 1) / 2)
    rotation = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    out = cv2.warpAffine(image, rotation, (width, height), flags=cv2.INTER_LINEAR)
    return out.astype(np.uint8, copy=False)


def training_batch(images: Sequence[Image], rng: np.random.Generator) -> NDArray[np.float32]:
    """Float32 [N, 3, 224, 224], normalised as the published weights want it, a view of each.

    The same images and a generator in the same state give the same batch.
    """
    return IMAGENET.apply(np.stack([augmented(image, rng) for image in images]))
