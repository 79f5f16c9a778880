"""How well boxes match labelled ones: recall at an IoU, best IoU, boxes an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.training.detection.boxes import Floats, iou
from models.training.open_data import Corners


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """Over a set of images. `mean_best_iou` is over labelled boxes, 0 where nothing overlaps."""

    images: int
    recall_50: float
    recall_75: float
    boxes_per_image: float
    mean_best_iou: float


def matched(overlap: Floats, threshold: float) -> int:
    """Labelled boxes found at an IoU, one found box each, largest overlap first."""
    overlap = overlap.copy()
    count = 0
    while overlap.size and overlap.max() >= threshold:
        found, labelled = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[found, :] = overlap[:, labelled] = -1
        count += 1
    return count


def figures(images: Sequence[tuple[Sequence[Corners], Sequence[Corners]]]) -> DetectionFigures:
    """Figures over images, each (found boxes, labelled boxes, at least one).

    Raises:
        ValueError: there are no images.
    """
    if not images:
        raise ValueError("no images with labelled boxes")
    overlaps = [iou(found, labelled) for found, labelled in images]
    total = sum(len(labelled) for _, labelled in images)
    best = np.concatenate([overlap.max(axis=0, initial=0.0) for overlap in overlaps])
    return DetectionFigures(
        images=len(images),
        recall_50=sum(matched(overlap, 0.5) for overlap in overlaps) / total,
        recall_75=sum(matched(overlap, 0.75) for overlap in overlaps) / total,
        boxes_per_image=sum(len(found) for found, _ in images) / len(images),
        mean_best_iou=float(best.mean()),
    )
