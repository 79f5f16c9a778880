"""From a salience map to boxes around its clear bodies."""

import cv2
import numpy as np
from numpy.typing import NDArray

_BODY = 0.5
_MIN_AREA = 0.002  # of the map; smaller islands are noise


def boxes_from_mask(
    mask: NDArray[np.float32],
) -> list[tuple[float, float, float, float, float]]:
    """Boxes (x1, y1, x2, y2 relative to the map, score) of a map float32 [H, W] in 0..1."""
    height, width = mask.shape
    body = (mask >= _BODY).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=8)
    boxes = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area >= _MIN_AREA * mask.size:
            score = float(mask[labels == label].mean())
            boxes.append((x / width, y / height, (x + w) / width, (y + h) / height, score))
    return boxes
