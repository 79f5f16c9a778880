"""Random changes to one training image that its boxes follow."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detection.boxes import areas
from models.training.detection.coco import Boxes, Sample, visible

# A body of which less is left in a crop or under a pasted cut-out is no body to find any more.
MIN_LEFT = 0.3

CROP_SIDES = (0.4, 1.0)  # of the image's sides, drawn for each
CROP_ATTEMPTS = 10

# Shifts and factors, of pixel values 0..255 and of hues as OpenCV counts them.
BRIGHTNESS = 32
CONTRAST = (0.6, 1.4)
SATURATION = (0.5, 1.5)
HUE = 9
HUES = 180


def flip(sample: Sample) -> Sample:
    """Left and right exchanged."""
    width = sample.image.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), boxes)


def distort_colours(sample: Sample, rng: np.random.Generator) -> Sample:
    """Brightness and contrast, then saturation and hue; each pair every other time."""
    image: NDArray[Any] = sample.image
    values = np.arange(256)
    if rng.random() < 0.5:
        table = values * rng.uniform(*CONTRAST) + rng.uniform(-BRIGHTNESS, BRIGHTNESS)
        image = cv2.LUT(image, table.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        hue = (values + rng.integers(-HUE, HUE + 1)) % HUES
        saturation = (values * rng.uniform(*SATURATION)).clip(0, 255)
        tables = np.stack([hue, saturation, values], axis=-1)[None].astype(np.uint8)
        image = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), tables)
        image = cv2.cvtColor(image, cv2.COLOR_HSV2RGB)
    return Sample(image.astype(np.uint8), sample.boxes)


def crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """A window of the image that keeps a body, if there is one; at times the whole image."""
    height, width = sample.image.shape[:2]
    for _ in range(CROP_ATTEMPTS):
        high = round(height * rng.uniform(*CROP_SIDES))
        wide = round(width * rng.uniform(*CROP_SIDES))
        top = int(rng.integers(height - high + 1))
        left = int(rng.integers(width - wide + 1))
        cropped = crop_to(sample, left, top, wide, high)
        if len(cropped.boxes) or not len(sample.boxes):
            return cropped
    return sample


def crop_to(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    """A window, with the boxes of which enough is left."""
    moved = sample.boxes - np.array([left, top, left, top], np.float32)
    inside = moved.clip(0, [width, height, width, height])
    enough = areas(inside) >= MIN_LEFT * areas(moved)
    image = sample.image[top : top + height, left : left + width]
    return Sample(image, visible(moved[enough], height, width))


def resize(sample: Sample, height: int, width: int, interpolation: int) -> Sample:
    """To a size, without keeping the aspect, as the served detector does.

    `interpolation` is one of OpenCV's INTER_ constants.
    """
    scale = (width / sample.image.shape[1], height / sample.image.shape[0])
    image = cv2.resize(sample.image, (width, height), interpolation=interpolation)
    boxes: Boxes = sample.boxes * np.array([*scale, *scale], np.float32)
    return Sample(image.astype(np.uint8), boxes)
