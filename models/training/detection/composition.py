"""Training images made of several: mosaics, and cut-outs pasted in."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.training.detection.augmentation import MIN_LEFT, crop_to, resize
from models.training.detection.boxes import areas, intersections
from models.training.detection.coco import Boxes, Sample

MOSAIC_MIDDLE = (0.35, 0.65)  # where the four meet, in sides of the mosaic
MOSAIC_ZOOM = (0.5, 1.0)  # how much of a part's image is seen, at least and at most

PASTED = 3  # cut-outs at most
PASTED_SIDE = (0.15, 0.6)  # longer side of a cut-out, in shorter sides of the image
_OPAQUE = 128

Cutout = NDArray[np.uint8]


def mosaic(samples: Sequence[Sample], side: int, rng: np.random.Generator) -> Sample:
    """Parts of four images around a random middle, `side` pixels square."""
    x, y = (round(side * rng.uniform(*MOSAIC_MIDDLE)) for _ in range(2))
    places = ((0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side))
    image = np.empty((side, side, 3), np.uint8)
    boxes = []
    for sample, (x1, y1, x2, y2) in zip(samples, places, strict=True):
        part = resize(_window(sample, rng), y2 - y1, x2 - x1, cv2.INTER_AREA)
        image[y1:y2, x1:x2] = part.image
        boxes.append(part.boxes + np.array([x1, y1, x1, y1], np.float32))
    return Sample(image, np.concatenate(boxes))


def _window(sample: Sample, rng: np.random.Generator) -> Sample:
    height, width = sample.image.shape[:2]
    zoom = rng.uniform(*MOSAIC_ZOOM)
    high, wide = max(1, round(height * zoom)), max(1, round(width * zoom))
    return crop_to(
        sample,
        int(rng.integers(width - wide + 1)),
        int(rng.integers(height - high + 1)),
        wide,
        high,
    )


def read_cutouts(folder: Path) -> list[Cutout]:
    """Bodies without their background: every PNG with transparency in a folder, uint8 [H, W, 4].

    Raises:
        ModelError: there is none, or one has no alpha channel or nothing opaque.
    """
    cutouts = []
    for path in sorted(folder.glob("*.png")):
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
            raise ModelError(f"{path} is no image with an alpha channel")
        rows, columns = np.nonzero(pixels[..., 3] >= _OPAQUE)
        if len(rows) == 0:
            raise ModelError(f"{path} shows nothing")
        body = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        cutouts.append(cv2.cvtColor(body, cv2.COLOR_BGRA2RGBA).astype(np.uint8))
    if not cutouts:
        raise ModelError(f"{folder} holds no PNG")
    return cutouts


def paste(sample: Sample, cutouts: Sequence[Cutout], rng: np.random.Generator) -> Sample:
    """One to three cut-outs laid over the image; what they hide too much of loses its box."""
    height, width = sample.image.shape[:2]
    image, boxes = sample.image.copy(), sample.boxes
    for _ in range(rng.integers(1, PASTED + 1)):
        cutout = cutouts[int(rng.integers(len(cutouts)))]
        longer = min(height, width) * rng.uniform(*PASTED_SIDE)
        scale = longer / max(cutout.shape[:2])
        high, wide = (max(2, round(side * scale)) for side in cutout.shape[:2])
        top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
        body = cv2.resize(cutout, (wide, high), interpolation=cv2.INTER_AREA)
        boxes = _lay_over(image, boxes, body.astype(np.uint8), left, top)
    return Sample(image, boxes)


def _lay_over(image: NDArray[np.uint8], boxes: Boxes, body: Cutout, left: int, top: int) -> Boxes:
    """Blend `body` into `image`, in place; the boxes left, the new one last."""
    high, wide = body.shape[:2]
    under = image[top : top + high, left : left + wide]
    alpha = body[..., 3:].astype(np.float32) / 255
    under[:] = np.rint(alpha * body[..., :3] + (1 - alpha) * under).astype(np.uint8)
    box = np.array([[left, top, left + wide, top + high]], np.float32)
    hidden = intersections(boxes, box)[:, 0]
    return np.concatenate([boxes[hidden <= (1 - MIN_LEFT) * areas(boxes)], box])
