"""From a salience map to boxes around its clear bodies."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

# Chosen on the open drinks and everyday scenes: docs/embedded-pack.md.
_BODY = 0.5
_CORE = 0.99  # bodies that touch still have separate cores, so sure is the network inside them
_CORE_SHARE = 0.1  # of all cores of a body; a smaller one is a glint, not a neighbour
_MIN_AREA = 0.002  # of the map; smaller islands are noise
_FULL_AREA = 0.01  # of the map; below it a body's score shrinks with its side


def boxes_from_mask(
    mask: NDArray[np.float32],
) -> list[tuple[float, float, float, float, float]]:
    """Boxes (x1, y1, x2, y2 relative to the map, score) of a map float32 [H, W] in 0..1.

    The map is taken as it is: stretching it to its own maximum, as matting does, would turn the
    noise of an empty table into bodies. Bodies that touch are parted by a watershed from their
    cores. The score is the mean salience inside, less for very small bodies. Order is arbitrary.
    """
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (mask >= _BODY).astype(np.uint8), connectivity=8
    )
    boxes = []
    for label in range(1, count):
        left, top, w, h, area = (int(value) for value in stats[label])
        if area < _MIN_AREA * mask.size:
            continue
        window = np.s_[top : top + h, left : left + w]
        salience = mask[window]
        for body in _bodies(labels[window] == label, salience):
            share = np.count_nonzero(body) / mask.size
            if share < _MIN_AREA:
                continue
            x, y, w, h = cv2.boundingRect(body.astype(np.uint8))
            score = float(salience[body].mean()) * min(1.0, (share / _FULL_AREA) ** 0.5)
            x, y = x + left, y + top
            boxes.append((x / width, y / height, (x + w) / width, (y + h) / height, score))
    return boxes


def _bodies(region: Mask, salience: NDArray[np.float32]) -> Iterator[Mask]:
    """The connected region itself or, where it has several cores, the part around each."""
    core = ((salience >= _CORE) & region).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
    needed = _CORE_SHARE * np.count_nonzero(core)
    cores = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= needed]
    if len(cores) < 2:
        yield region
        return
    # Water rises from each core; outside the region there is land of its own.
    markers = np.zeros(region.shape, np.int32)
    markers[~region] = len(cores) + 1
    for number, label in enumerate(cores, start=1):
        markers[labels == label] = number
    padded = np.pad(region.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    relief = (255 * (1 - depth / depth.max())).astype(np.uint8)
    cv2.watershed(cv2.cvtColor(relief, cv2.COLOR_GRAY2BGR), markers)
    for number in range(1, len(cores) + 1):
        yield markers == number
