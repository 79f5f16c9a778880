"""Everyday photographs, as far as pasting goes: things of very different sizes amid clutter."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detection.augmentation import crop, resize
from models.training.detection.coco import Sample
from models.training.recipes.composed import boxes_of, place, varied
from models.training.recipes.pictures import Cutout, Image

LEAST, MOST = 0.12, 1.0  # a thing's longer side, in sides of the room
SHARPNESS = (1, 1, 2, 3)  # pixels that an outline is smoothed over
CROPPED = 0.5  # how often things at the edge are cut off
LITTERED = 0.5
BLURRED, NOISY, COMPRESSED = 0.4, 0.3, 0.3
CANVAS = 1.25  # a crop loses pixels


def room(things: Sequence[Cutout], ground: Image, side: int, rng: np.random.Generator) -> Sample:
    """Things on a ground, the larger behind the smaller, in a photograph of `side` pixels square.

    What no place is found for is left out.
    """
    canvas = round(CANVAS * side)
    image = cv2.resize(ground, (canvas, canvas), interpolation=cv2.INTER_AREA).astype(np.uint8)
    ids = np.zeros((canvas, canvas), np.int16)
    areas = [1]
    sizes = np.sort(np.exp(rng.uniform(np.log(LEAST), np.log(MOST), len(things))))[::-1]
    for thing, size in zip(things, sizes, strict=True):
        body = varied(thing, 0.98 * size * canvas, rng)
        if body.size:
            smooth = int(rng.choice(SHARPNESS))
            body[..., 3] = cv2.blur(body[..., 3], (smooth, smooth))
            place(image, ids, areas, body, rng)
    sample = Sample(image, boxes_of(ids, len(areas) - 1))
    if rng.random() < CROPPED:
        sample = crop(sample, rng)
    return taken(resize(sample, side, side, cv2.INTER_AREA), rng)


def taken(sample: Sample, rng: np.random.Generator) -> Sample:
    """As a camera leaves it: blurred, noisy, compressed, each at times.

    Outlines of pasted things are then no sharper than what they lie on.
    """
    image: NDArray[np.uint8] = sample.image
    if rng.random() < BLURRED:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4)).astype(np.uint8)
    if rng.random() < NOISY:
        grain = rng.normal(0, rng.uniform(2, 10), image.shape)
        image = (image + grain).clip(0, 255).astype(np.uint8)
    if rng.random() < COMPRESSED:
        quality = int(rng.integers(30, 90))
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return Sample(np.ascontiguousarray(image), sample.boxes)


def littered(ground: Image, other: Image, rng: np.random.Generator) -> Image:
    """A ground [S, S, 3] with what is no body: edges of tables, stripes, shadows, pools of light.

    `other`, of the same size, is what lies beyond an edge and in a stripe.
    """
    image: Image = ground.copy()
    side = len(image)
    for _ in range(int(rng.integers(1, 4))):
        share = np.zeros((side, side), np.uint8)
        kind = int(rng.integers(3))
        if kind == 0:  # beyond a line, or between two
            start, angle = rng.uniform(0, side, 2), rng.uniform(0, np.pi)
            along = np.array([np.cos(angle), np.sin(angle)]) * 2 * side
            across = np.array([-np.sin(angle), np.cos(angle)])
            across *= 2 * side if rng.random() < 0.5 else side * rng.uniform(0.02, 0.2)
            corners = start + np.array([-along, along, along + across, across - along])
            cv2.fillConvexPoly(share, corners.astype(np.int32), 255, cv2.LINE_AA)
            beyond = other
        else:  # a soft spot, dark or bright
            middle = rng.uniform(0, side, 2).astype(int).tolist()
            axes = (rng.uniform(0.05, 0.45, 2) * side).astype(int).tolist()
            cv2.ellipse(share, middle, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
            soft = max(1, int(min(axes) * rng.uniform(0.3, 1)))
            share = np.asarray(cv2.blur(share, (soft, soft)), np.uint8)
            gain = rng.uniform(0.35, 0.8) if kind == 1 else rng.uniform(1.2, 1.8)
            beyond = (image * gain).clip(0, 255).astype(np.uint8)
        weight = share[..., None].astype(np.float32) / 255
        image = np.rint(weight * beyond + (1 - weight) * image).astype(np.uint8)
    return image
