"""SimOTA and PicoDet's losses in PyTorch, a whole batch at once.

What each part is, and where it comes from: `models.training.detection.assignment` and `.losses`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from models.training.recipes.twin import BINS, decode

RADIUS = 2.5
TOPK = 10
IOU_WEIGHT = 6.0
FAR, NEVER = 1e6, 1e9
ALPHA, GAMMA = 0.75, 2.0
GIOU_WEIGHT, DISTRIBUTION_WEIGHT = 2.0, 0.25
_EPSILON = 1e-7


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes [..., 4], broadcast."""
    common = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    hull = _area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - common
    iou = common / (union + _EPSILON)
    return iou, iou - (hull - union) / (hull + _EPSILON)


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    return (bottom_right - top_left).clamp(min=0).prod(-1)


def varifocal(logits: Tensor, targets: Tensor) -> Tensor:
    weight = torch.where(targets > 0, targets, ALPHA * logits.detach().sigmoid() ** GAMMA)
    return weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@torch.no_grad()  # type: ignore[untyped-decorator]
def assign(
    logits: Tensor, predicted: Tensor, centers: Tensor, strides: Tensor, boxes: Tensor, real: Tensor
) -> Tensor:
    """SimOTA, as the shipped detector was trained.

    A cell that several boxes want goes to the cheapest of these, where the reference and
    `models.training.detection.assignment` take the cheapest of all boxes.

    Args:
        logits: [N, A].
        predicted: boxes [N, A, 4].
        centers: [A, 2].
        strides: [A].
        boxes: the truth, padded: [N, B, 4].
        real: bool [N, B], false for padding.

    Returns:
        The index of each cell's box, int64 [N, A]; -1 for background.
    """
    truth = boxes[:, None]
    points = centers[None, :, None]
    margins = torch.cat([points - truth[..., :2], truth[..., 2:] - points], -1).amin(-1)
    in_box = (margins > 0) & real[:, None]
    middles = (truth[..., :2] + truth[..., 2:]) / 2
    near = (points - middles).abs().amax(-1) < RADIUS * strides[None, :, None]
    near &= real[:, None]
    competing = (in_box | near).any(-1, keepdim=True) & real[:, None]

    iou, giou = overlaps(predicted[:, :, None], truth)
    iou = iou * competing
    score = logits[..., None].expand_as(iou)
    cost = varifocal(score, iou) + IOU_WEIGHT * (1 - giou) + FAR * ~(in_box & near)
    cost = cost.masked_fill(~competing, NEVER)
    counts = iou.topk(TOPK, dim=1).values.sum(1).long().clamp(min=1)
    order = cost.argsort(dim=1).argsort(dim=1)
    wanted = (order < counts[:, None]) & competing
    best = cost.masked_fill(~wanted, NEVER).argmin(-1)
    return torch.where(wanted.any(-1), best, -1)


def detection_loss(
    logits: Tensor, sides: Tensor, centers: Tensor, strides: Tensor, boxes: Tensor, real: Tensor
) -> Tensor:
    """Scalar; arguments as of `assign`, and distribution logits [N, A, 4, BINS]."""
    predicted = decode(sides, centers, strides)
    assigned = assign(logits.detach(), predicted.detach(), centers, strides, boxes, real)
    image, cell = (assigned >= 0).nonzero(as_tuple=True)
    targets = torch.zeros_like(logits)
    if len(image) == 0:
        return varifocal(logits, targets).sum() + 0 * sides.sum()
    truth = boxes[image, assigned[image, cell]]
    stride, center = strides[cell, None], centers[cell]
    iou, giou = overlaps(predicted[image, cell], truth)
    targets[image, cell] = iou.detach()
    belief = logits.detach()[image, cell].sigmoid()
    total = belief.sum().clamp(min=1)
    distances = torch.cat([center - truth[:, :2], truth[:, 2:] - center], 1) / stride
    focal = distribution_focal(sides[image, cell], distances.clamp(0, BINS - 1.1)).mean(-1)
    return (
        varifocal(logits, targets).sum() / len(image)
        + GIOU_WEIGHT * ((1 - giou) * belief).sum() / total
        + DISTRIBUTION_WEIGHT * (focal * belief).sum() / total
    )


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    below = distances.long()
    above = distances - below
    low = log_p.gather(-1, below[..., None])[..., 0]
    high = log_p.gather(-1, below[..., None] + 1)[..., 0]
    return -((1 - above) * low + above * high)
