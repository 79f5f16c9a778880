"""Recall of unseen products when the photograph that asks is turned, dark, covered or blurred."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from models.embedder import Embedder
from models.training.open_data import Photo
from models.training.recipes.views import Image

Rows = NDArray[np.float32]

COVERED = 0.3  # of the picture
BLUR = 1 / 80  # of the shorter side, standard deviation


def covered(image: Image) -> Image:
    """A grey rectangle over the middle."""
    height, width = image.shape[:2]
    share = (1 - COVERED**0.5) / 2
    result = image.copy()
    top, left = int(height * share), int(width * share)
    result[top : height - top, left : width - left] = 128
    return result


def blurred(image: Image) -> Image:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), min(image.shape[:2]) * BLUR), np.uint8)


DISTURBANCES: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda image: image,
    "turned by 90°": lambda image: np.ascontiguousarray(np.rot90(image)),
    "half the light": lambda image: image // 2,
    "30 % covered": covered,
    "blurred": blurred,
}


def recalls(
    embedder: Embedder, photos: Sequence[Photo], references: Rows, identities: NDArray[np.str_]
) -> dict[str, list[bool]]:
    """Which of the photographs find their product among references, by disturbance."""
    right: dict[str, list[bool]] = {name: [] for name in DISTURBANCES}
    for photo in track(photos, "disturbed"):
        image = photo.load()
        vectors, _ = embedder.embed([disturb(image) for disturb in DISTURBANCES.values()])
        best = identities[(vectors @ references.T).argmax(axis=1)]
        for name, found in zip(DISTURBANCES, best, strict=True):
            right[name].append(bool(found == photo.identity))
    return right
