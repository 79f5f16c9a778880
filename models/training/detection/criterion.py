"""The whole loss of a batch: assign cells to boxes, then score and measure them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F  # noqa: N812

from models.nets.pico_head import REG_MAX, grid
from models.nets.picodet import PicoDet
from models.training.detection.assignment import BACKGROUND, atss, simota
from models.training.detection.losses import distribution_focal, giou_loss, iou, varifocal

VARIFOCAL_WEIGHT = 1.0
DISTRIBUTION_WEIGHT = 0.25
GIOU_WEIGHT = 2.0
# A distance at the very last bin has no bin above it.
_LONGEST = REG_MAX - 0.1


@dataclass(frozen=True, slots=True)
class Losses:
    """Weighted parts of the loss; `total` is their sum."""

    varifocal: Tensor
    distribution: Tensor
    giou: Tensor

    @property
    def total(self) -> Tensor:
        return self.varifocal + self.distribution + self.giou


def detection_losses(
    network: PicoDet,
    images: Tensor,
    boxes: Sequence[NDArray[np.float32]],
    *,
    static: bool = False,
) -> Losses:
    """Run `network` on a batch and compare.

    Args:
        network: in training mode.
        images: float32 [N, 3, H, W], normalised.
        boxes: the truth for each image, float32 [B, 4], pixels of the input.
        static: assign by ATSS instead of SimOTA.
    """
    height, width = images.shape[2:]
    centers, strides = grid(height, width, network.architecture.strides)
    logits, sides = network(images)
    cells, steps = paddle.to_tensor(centers), paddle.to_tensor(strides)
    predicted = network.head.boxes(sides, cells, steps)

    if static:
        assigned = np.stack([atss(centers, strides, truth) for truth in boxes])
    else:
        scores, found = F.sigmoid(logits).numpy(), predicted.numpy()
        assigned = np.stack(
            [
                simota(s, p, centers, strides, truth)
                for s, p, truth in zip(scores, found, boxes, strict=True)
            ]
        )
    image, cell = np.nonzero(assigned != BACKGROUND)
    if len(image) == 0:
        nothing = sides.sum() * 0
        score_loss = VARIFOCAL_WEIGHT * varifocal(logits, paddle.zeros_like(logits)).sum()
        return Losses(score_loss, nothing, nothing)

    # Of all boxes in one row: each image's come after those of the images before it.
    before = np.cumsum([0, *(len(truth) for truth in boxes)])[:-1]
    truth = paddle.to_tensor(np.concatenate(boxes)[before[image] + assigned[image, cell]])
    place = paddle.to_tensor(np.stack([image, cell], axis=1))
    of_cell = paddle.to_tensor(cell)
    center, stride = cells.gather(of_cell), steps.gather(of_cell).unsqueeze(-1)
    side_logits, box = sides.gather_nd(place), predicted.gather_nd(place)

    targets = paddle.scatter_nd(place, iou(box.detach(), truth), logits.shape)
    score_loss = varifocal(logits, targets).sum() / len(image)

    # Cells that the network itself believes in shape its boxes.
    belief = F.sigmoid(logits.detach()).gather_nd(place)
    scale = belief.sum().clip(min=1)
    giou = (giou_loss(box / stride, truth / stride) * belief).sum() / scale
    distances = paddle.concat([center - truth[:, :2], truth[:, 2:] - center], axis=1) / stride
    focal = distribution_focal(side_logits, distances.clip(0, _LONGEST)).mean(axis=-1)
    distribution = (focal * belief).sum() / scale
    return Losses(
        VARIFOCAL_WEIGHT * score_loss, DISTRIBUTION_WEIGHT * distribution, GIOU_WEIGHT * giou
    )
