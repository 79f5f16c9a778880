"""Which cells answer for which box: SimOTA (dynamic) and ATSS (static), in NumPy.

Both take the boxes of one image and give, for every cell, the index of its box or `BACKGROUND`.

Sources: Ge et al., "YOLOX", arXiv 2107.08430, for SimOTA, with PicoDet's cost, as PaddleDetection
has it (`ppdet/modeling/assigners/simota_assigner.py`); Zhang et al.,
"Bridging the Gap Between Anchor-based and Anchor-free Detection", CVPR 2020, for ATSS.
"""

import numpy as np
from numpy.typing import NDArray

from models.training.detection.boxes import margins, pairwise_giou, pairwise_iou
from models.training.detection.losses import VARIFOCAL_ALPHA, VARIFOCAL_GAMMA

Floats = NDArray[np.float32]
Assignment = NDArray[np.int64]

BACKGROUND = -1

CENTER_RADIUS = 2.5  # in cells
CANDIDATE_TOPK = 10
IOU_WEIGHT = 6.0
FAR = 1e8  # dearer than any cell near the middle of a box

ATSS_TOPK = 9
ATSS_ANCHOR = 5.0  # side of the square a cell stands for, in cells

_EPSILON = 1e-9


def varifocal_cost(scores: Floats, ious: Floats) -> Floats:
    """The varifocal loss if a cell of score [A] answered for a box it overlaps by IoU [A, B]."""
    p = scores[:, None].clip(_EPSILON, 1 - 1e-7)
    entropy = -(ious * np.log(p) + (1 - ious) * np.log(1 - p))
    weight = np.where(ious > 0, ious, VARIFOCAL_ALPHA * p**VARIFOCAL_GAMMA)
    cost: Floats = weight * entropy
    return cost


def simota(
    scores: Floats, predicted: Floats, centers: Floats, strides: Floats, boxes: Floats
) -> Assignment:
    """The cheapest cells of each box, as many as good predictions of it there are.

    Only cells whose centre lies in a box or near its middle compete. The cost is varifocal loss
    plus 6 times GIoU loss; a cell that is not in the box and near its middle comes after all
    others. A box gets as many cells as its ten best IoUs sum to, at least one; a cell that several
    boxes want goes to the cheapest of all boxes, which may be one that does not want it.

    Args:
        scores: float32 [A], 0..1.
        predicted: boxes of the cells, float32 [A, 4].
        centers: of the cells, float32 [A, 2].
        strides: of the cells, float32 [A].
        boxes: the truth, float32 [B, 4].

    Returns:
        int64 [A].
    """
    assignment = np.full(len(scores), BACKGROUND, np.int64)
    if len(boxes) == 0:
        return assignment
    in_box = margins(centers, boxes) > 0
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.abs(centers[:, None] - middles[None]).max(axis=-1)
    near_middle = apart < CENTER_RADIUS * strides[:, None]
    competing = np.flatnonzero((in_box | near_middle).any(axis=1))
    if len(competing) == 0:
        return assignment

    ious = pairwise_iou(predicted[competing], boxes)
    cost = varifocal_cost(scores[competing], ious)
    cost += IOU_WEIGHT * (1 - pairwise_giou(predicted[competing], boxes))
    cost += FAR * ~(in_box & near_middle)[competing]

    best_ious = -np.sort(-ious, axis=0)[:CANDIDATE_TOPK]
    counts = np.maximum(best_ious.sum(axis=0).astype(np.int64), 1)
    wanted = np.zeros_like(cost, dtype=bool)
    for box, count in enumerate(counts):
        wanted[np.argsort(cost[:, box], kind="stable")[:count], box] = True
    taken = wanted.any(axis=1)
    disputed = wanted.sum(axis=1) > 1
    box_of = np.where(disputed, cost.argmin(axis=1), wanted.argmax(axis=1))
    assignment[competing[taken]] = box_of[taken]
    return assignment


def atss(centers: Floats, strides: Floats, boxes: Floats) -> Assignment:
    """Cells that overlap a box unusually well, told from geometry alone.

    Each cell stands for a square of 5 cells. A box's candidates are the 9 cells of each level whose
    centres are nearest to its middle; those inside it whose IoU exceeds the candidates' mean plus
    standard deviation answer for it. A cell wanted by several boxes goes to the best IoU.

    Args:
        centers: of the cells, level by level, float32 [A, 2].
        strides: of the cells, float32 [A].
        boxes: the truth, float32 [B, 4].

    Returns:
        int64 [A].
    """
    assignment = np.full(len(centers), BACKGROUND, np.int64)
    if len(boxes) == 0:
        return assignment
    half = ATSS_ANCHOR / 2 * strides[:, None]
    ious = pairwise_iou(np.concatenate([centers - half, centers + half], axis=1), boxes)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(centers[:, None] - middles[None], axis=-1)
    candidates = np.zeros_like(ious, dtype=bool)
    for stride in np.unique(strides):
        level = np.flatnonzero(strides == stride)
        nearest = np.argsort(distances[level], axis=0, kind="stable")[:ATSS_TOPK]
        for box in range(len(boxes)):
            candidates[level[nearest[:, box]], box] = True
    inside = margins(centers, boxes) > 0
    wanted = np.zeros_like(candidates)
    for box in range(len(boxes)):
        of_candidates = ious[candidates[:, box], box]
        threshold = of_candidates.mean() + of_candidates.std(ddof=1)
        wanted[:, box] = candidates[:, box] & inside[:, box] & (ious[:, box] > threshold)
    taken = wanted.any(axis=1)
    best = np.where(wanted, ious, -1).argmax(axis=1)
    assignment[taken] = best[taken]
    return assignment
