"""Areas and overlaps of boxes (x1, y1, x2, y2), in NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def areas(boxes: Floats) -> Floats:
    """Boxes [..., 4] → areas [...]; 0 where a side is not positive."""
    sides: Floats = (boxes[..., 2:] - boxes[..., :2]).clip(0)
    area: Floats = sides[..., 0] * sides[..., 1]
    return area


def intersections(a: Floats, b: Floats) -> Floats:
    """Common areas of each of `a` [A, 4] and each of `b` [B, 4] → [A, B]."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return areas(np.concatenate([top_left, bottom_right], axis=-1))


def pairwise_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of each of `a` [A, 4] and each of `b` [B, 4] → [A, B]."""
    common = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None] - common
    return _share(common, union)


def iou(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Floats:
    """The same of boxes in sequences, which may be empty."""
    return pairwise_iou(*(np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b)))


def pairwise_giou(a: Floats, b: Floats) -> Floats:
    """Generalised IoU, -1 to 1 (Rezatofighi et al., CVPR 2019) → [A, B].

    IoU less the share of the smallest box around both that neither fills.
    """
    common = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None] - common
    top_left = np.minimum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.maximum(a[:, None, 2:], b[None, :, 2:])
    hull = areas(np.concatenate([top_left, bottom_right], axis=-1))
    giou: Floats = _share(common, union) - _share(hull - union, hull)
    return giou


def margins(points: Floats, boxes: Floats) -> Floats:
    """How far each point [A, 2] lies inside each box [B, 4]: its smallest distance to a side.

    Returns:
        [A, B]; negative outside.
    """
    before = points[:, None] - boxes[None, :, :2]
    after = boxes[None, :, 2:] - points[:, None]
    inside: Floats = np.concatenate([before, after], axis=-1).min(axis=-1)
    return inside


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share
