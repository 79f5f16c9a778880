"""COCO's AP and AR of a detector of one class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]
from numpy.typing import NDArray

from models.nets.picodet import PicoDet
from models.pack import Interpolation
from models.training.detection.batches import evaluation_batches
from models.training.detection.boxes import areas
from models.training.detection.coco import Boxes, Record
from models.training.detection.serving import ServedDetector
from models.training.normalisation import normalisation_of

FOREGROUND = 1


@dataclass(frozen=True, slots=True)
class Metrics:
    """Average precision and recall, 0 to 1, over IoU thresholds 0.5 to 0.95.

    `ap50` and `ap75` are at one threshold; `ar…` with at most so many boxes an image.
    """

    ap: float
    ap50: float
    ap75: float
    ar1: float
    ar10: float
    ar100: float


def coco_metrics(truth: Sequence[Boxes], found: Sequence[NDArray[np.float32]]) -> Metrics:
    """Compare what was found with the truth, image by image.

    Args:
        truth: boxes float32 [B, 4] of each image.
        found: rows (score, x1, y1, x2, y2) float32 [M, 5] of each image, in the same pixels.
    """
    annotations = [
        {"image_id": image, "category_id": FOREGROUND, "bbox": box, "area": area, "iscrowd": 0}
        for image, boxes in enumerate(truth)
        for box, area in zip(_coco_boxes(boxes), areas(boxes).tolist(), strict=True)
    ]
    results = [
        {"image_id": image, "category_id": FOREGROUND, "bbox": box, "score": score}
        for image, rows in enumerate(found)
        for box, score in zip(_coco_boxes(rows[:, 1:]), rows[:, 0].tolist(), strict=True)
    ]
    if not annotations or not results:
        return Metrics(0, 0, 0, 0, 0, 0)
    of_truth = COCO(
        {
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": FOREGROUND, "name": "foreground"}],
            "annotations": [{"id": i + 1, **entry} for i, entry in enumerate(annotations)],
        }
    )
    comparison = COCOeval_faster(of_truth, of_truth.loadRes(results), "bbox")
    comparison.run()
    stats = comparison.stats_as_dict
    return Metrics(
        ap=float(stats["AP_all"]),
        ap50=float(stats["AP_50"]),
        ap75=float(stats["AP_75"]),
        ar1=float(stats["AR_all"]),
        ar10=float(stats["AR_second"]),
        ar100=float(stats["AR_third"]),
    )


def evaluate(
    network: PicoDet,
    records: Sequence[Record],
    *,
    size: int,
    batch: int,
    interpolation: Interpolation = "linear",
    threads: int = 2,
) -> Metrics:
    """Run `network`, in evaluation mode, on all images at `size` pixels square."""
    batches = evaluation_batches(
        records, size=size, batch=batch, interpolation=interpolation, threads=threads
    )
    served = ServedDetector(network, (size, size))
    normalisation = normalisation_of(network.architecture)
    truth: list[Boxes] = []
    found: list[NDArray[np.float32]] = []
    with paddle.no_grad():
        for part in batches:
            images = paddle.to_tensor(normalisation.apply(part.images))
            # IoU does not change with the scale: pixels of the input will do.
            rows, counts = served(images, paddle.ones([len(part.boxes), 2]))
            found += np.split(rows.numpy()[:, 1:], np.cumsum(counts.numpy())[:-1])
            truth += part.boxes
    return coco_metrics(truth, found)


def _coco_boxes(corners: Boxes) -> list[list[float]]:
    """(x1, y1, x2, y2) → (x, y, width, height)."""
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    rows: list[list[float]] = boxes.tolist()
    return rows
