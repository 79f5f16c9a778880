"""Losses of PicoDet: varifocal for scores, distribution focal and GIoU for sides.

Sources: Zhang et al., "VarifocalNet", CVPR 2021; Li et al., "Generalized Focal Loss", NeurIPS 2020;
Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
"""

import paddle
from paddle import Tensor
from paddle.nn import functional as F  # noqa: N812

VARIFOCAL_ALPHA = 0.75
VARIFOCAL_GAMMA = 2.0
_EPSILON = 1e-9


def varifocal(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy with the IoU as target, weighted by it; background weighs 0.75 p².

    Args:
        logits: score logits of any shape.
        targets: the same shape: IoU of prediction and truth, 0 for background.

    Returns:
        The loss of each element.
    """
    background = VARIFOCAL_ALPHA * F.sigmoid(logits) ** VARIFOCAL_GAMMA
    weight = paddle.where(targets > 0, targets, background)
    return weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross entropy with the two bins beside a distance, each weighted by its nearness.

    Args:
        logits: [..., bins].
        distances: [...], in bins: 0 ≤ distance < bins - 1.

    Returns:
        [...].
    """
    log_p = F.log_softmax(logits, axis=-1)
    below = distances.floor()
    share_above = distances - below
    bins = logits.shape[-1]
    one_hot_below = F.one_hot(below.astype("int64"), bins)
    one_hot_above = F.one_hot(below.astype("int64") + 1, bins)
    share = one_hot_below * (1 - share_above).unsqueeze(-1)
    share += one_hot_above * share_above.unsqueeze(-1)
    return -(share * log_p).sum(axis=-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes [..., 4] pair by pair → [...]."""
    common, union = _common_and_union(a, b)
    return common / (union + _EPSILON)


def giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - GIoU of boxes [..., 4] pair by pair → [...], 0 to 2."""
    common, union = _common_and_union(a, b)
    hull = _area(paddle.minimum(a[..., :2], b[..., :2]), paddle.maximum(a[..., 2:], b[..., 2:]))
    return 1 - common / (union + _EPSILON) + (hull - union) / (hull + _EPSILON)


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    return (bottom_right - top_left).clip(min=0).prod(axis=-1)


def _common_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    common = _area(paddle.maximum(a[..., :2], b[..., :2]), paddle.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - common
    return common, union
