"""Scenes put together from cut-outs: bodies on made or photographed grounds, with exact boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detection.augmentation import distort_colours
from models.training.detection.coco import Sample
from models.training.recipes.pictures import Cutout, Image

LEAST_VISIBLE = 0.5  # of every body
ATTEMPTS = 6  # to find a place where enough of all bodies stays visible
SHADOW = 0.6  # how often
HAND = 0.15
OPAQUE = 128
NO_BOXES = np.empty((0, 4), np.float32)


def compose(
    cutouts: Sequence[Cutout], ground: Image, share: float, rng: np.random.Generator
) -> Sample:
    """Bodies pasted one after the other on a ground [S, S, 3].

    `share` is their typical longer side in sides of the ground. A body for which no place is found
    is left out; boxes are around what is visible.
    """
    image = ground.copy()
    side = len(image)
    ids = np.zeros((side, side), np.int16)
    areas = [1]
    if rng.random() < HAND:
        _hand(image, rng)
    for cutout in cutouts:
        longer = side * min(0.95, share * rng.uniform(0.7, 1.4))
        body = varied(cutout, longer, rng)
        place(image, ids, areas, body, rng)
    return Sample(image, boxes_of(ids, len(areas) - 1))


def boxes_of(ids: NDArray[np.int16], count: int) -> NDArray[np.float32]:
    """Boxes [count, 4] around what is visible of bodies 1 to `count`."""
    boxes = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero(ids == number)
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return np.asarray(boxes, np.float32).reshape(-1, 4)


def varied(cutout: Cutout, longer: float, rng: np.random.Generator) -> Cutout:
    """Turned, mirrored, of other colours, its longer side about so long; cropped to its body."""
    height, width = cutout.shape[:2]
    angle = rng.normal(0, 8) if rng.random() < 0.75 else rng.uniform(-180, 180)
    scale = longer / max(height, width)
    stretch = rng.uniform(0.85, 1.18)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    if rng.random() < 0.5:
        turn[:, 2] += turn[:, 0] * width
        turn[:, 0] *= -1
    turn[0] *= stretch
    corners = turn @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    turn[:, 2] -= corners.min(axis=1)
    size = np.maximum(np.ceil(np.ptp(corners, axis=1)), 2).astype(int)
    if scale < 0.5:
        cutout = np.asarray(cv2.blur(cutout, (2, 2)), np.uint8)
    turned = cv2.warpAffine(cutout, turn, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    rows, columns = np.nonzero(turned[..., 3] >= OPAQUE)
    if not len(rows):
        return turned[:0].astype(np.uint8)
    turned = turned[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    colours = distort_colours(Sample(np.ascontiguousarray(turned[..., :3]), NO_BOXES), rng).image
    return np.dstack([colours, turned[..., 3]]).astype(np.uint8)


def place(
    image: Image, ids: NDArray[np.int16], areas: list[int], body: Cutout, rng: np.random.Generator
) -> None:
    """Paste where every body keeps LEAST_VISIBLE of its area; nowhere if there is no such place.

    `ids` [S, S] holds the number of the body that each pixel shows, 0 none; `areas` those of
    ground and bodies in pixels. Both follow.
    """
    side = len(image)
    height, width = body.shape[:2]
    opaque = body[..., 3] >= OPAQUE
    area = int(opaque.sum())
    if area < 64 or height > side or width > side:
        return
    for _ in range(ATTEMPTS):
        top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
        window = np.s_[top : top + height, left : left + width]
        hidden = np.bincount(ids[window][opaque], minlength=len(areas))
        before = np.bincount(ids.ravel(), minlength=len(areas))
        left_over = (before - hidden)[1:] / np.asarray(areas[1:])
        if len(left_over) and left_over.min() < LEAST_VISIBLE:
            continue
        if rng.random() < SHADOW:
            _shade(image, body[..., 3], top, left, rng)
        alpha = body[..., 3:].astype(np.float32) / 255
        image[window] = np.rint(alpha * body[..., :3] + (1 - alpha) * image[window])
        ids[window][opaque] = len(areas)
        areas.append(area)
        return


def _shade(image: Image, alpha: Image, top: int, left: int, rng: np.random.Generator) -> None:
    """A soft shadow beside where a body will stand."""
    side = len(image)
    shadow = np.zeros((side, side), np.float32)
    shadow[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha / 255
    reach = 0.08 * max(alpha.shape)
    across, down = rng.uniform(-reach, reach), rng.uniform(0, reach)
    shift = np.array([[1, 0, across], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(shadow, shift, (side, side))
    soft = np.asarray(cv2.blur(moved, (int(1 + reach), int(1 + reach))))
    image[:] = image * (1 - rng.uniform(0.2, 0.6) * soft[..., None])


def _hand(image: Image, rng: np.random.Generator) -> None:
    """Something like an arm with fingers, which is no body: it comes in from an edge."""
    side = len(image)
    tone = np.array([224, 172, 140]) * rng.uniform(0.4, 1.1)
    colour = tuple(int(value) for value in tone.clip(0, 255))
    start = rng.uniform(0, side), side * float(rng.integers(2))
    if rng.random() < 0.5:
        start = start[1], start[0]
    palm = rng.uniform(0.2, 0.8, 2) * side
    thick = max(3, int(side * rng.uniform(0.06, 0.16)))
    points = [tuple(int(value) for value in point) for point in (start, palm)]
    cv2.line(image, points[0], points[1], colour, thick, cv2.LINE_AA)
    forward = (palm - start) / (np.linalg.norm(palm - start) + 1)
    for spread in np.linspace(-0.9, 0.9, 4):
        turned = np.array(
            [
                forward[0] * np.cos(spread) - forward[1] * np.sin(spread),
                forward[0] * np.sin(spread) + forward[1] * np.cos(spread),
            ]
        )
        tip = palm + turned * thick * rng.uniform(1.2, 1.9)
        finger = max(2, thick // 4)
        cv2.line(image, points[1], (int(tip[0]), int(tip[1])), colour, finger, cv2.LINE_AA)


def block(rng: np.random.Generator) -> Cutout:
    """A plain package in perspective: a ground colour, stripes, a label, words; light and dark."""
    width, height = int(rng.integers(60, 200)), int(rng.integers(60, 260))
    face = np.empty((height, width, 3), np.uint8)
    face[:] = rng.integers(0, 256, 3)
    for _ in range(int(rng.integers(0, 7))):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        kind = int(rng.integers(5))
        if kind == 0:
            cv2.rectangle(face, (0, y), (width, y + int(rng.integers(4, 60))), colour, -1)
        elif kind == 1:
            cv2.rectangle(face, (x, 0), (x + int(rng.integers(4, 60)), height), colour, -1)
        elif kind == 2:
            cv2.circle(face, (x, y), int(rng.integers(6, 60)), colour, -1, cv2.LINE_AA)
        elif kind == 3:
            period = int(rng.integers(6, 40))
            for start in range(0, height, 2 * period):
                cv2.rectangle(face, (0, start), (width, start + period), colour, -1)
        else:
            word = "".join(chr(int(code)) for code in rng.integers(65, 91, 6))
            size, line = rng.uniform(0.5, 1.8), int(rng.integers(1, 5))
            cv2.putText(face, word, (x // 3, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, line)
    across = np.linspace(-1, 1, width)
    # A cylinder is dark at both sides, a box at one.
    light = 1 - 0.5 * across**2 if rng.random() < 0.4 else 1 + rng.uniform(-0.3, 0.3) * across
    face = (face * light[None, :, None]).clip(0, 255).astype(np.uint8)
    body = np.dstack([face, np.full((height, width), 255, np.uint8)])
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = (
        frame + rng.uniform(-0.1, 0.1, (4, 2)) * (width, height) * (rng.random() < 0.6)
    ).astype(np.float32)
    moved -= moved.min(axis=0)
    size = np.ceil(moved.max(axis=0)).astype(int)
    warp = cv2.getPerspectiveTransform(frame, moved)
    return np.asarray(cv2.warpPerspective(body, warp, (int(size[0]), int(size[1]))), np.uint8)
