"""The Pico head: per cell a foreground score and, per side, a distribution over distances.

Sources: Yu et al., "PP-PicoDet", arXiv 2111.00902; Li et al., "Generalized Focal Loss", NeurIPS
2020, for sides as distributions.
"""

import math
from collections.abc import Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

from models.nets.pp_lcnet import DepthwiseSeparable

REG_MAX = 7  # the longest distance, in cells; a distribution has one bin more
CELL_OFFSET = 0.5  # a cell predicts from its middle
PRIOR = 0.01  # the score of a cell before training: most are background
KERNEL = 5


def grid(
    height: int, width: int, strides: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cells of all levels of an input, finest level first, row by row.

    Returns:
        Centres float32 [A, 2] (x, y) in input pixels, and strides float32 [A].
    """
    centers, sizes = [], []
    for stride in strides:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        centers.append((np.stack([x.ravel(), y.ravel()], axis=1) + CELL_OFFSET) * stride)
        sizes.append(np.full(rows * columns, stride, np.float32))
    return np.concatenate(centers), np.concatenate(sizes)


class PicoHead(nn.Layer):
    """Pyramid maps → score logits float32 [N, A] and distribution logits [N, A, 4, REG_MAX + 1].

    Every level has weights of its own. `A` counts the cells of all levels in the order of `grid`;
    the four sides are left, top, right, bottom.

    Args:
        channels: of the maps and inside the towers.
        levels: number of maps.
        blocks: depthwise separable convolutions in a tower.
        shared: one tower for scores and sides instead of one each.
    """

    def __init__(self, channels: int, levels: int, *, blocks: int = 4, shared: bool = True) -> None:
        super().__init__()
        sides = 4 * (REG_MAX + 1)

        def towers() -> nn.LayerList:
            return nn.LayerList(
                [
                    nn.Sequential(
                        *(DepthwiseSeparable(channels, channels, KERNEL) for _ in range(blocks))
                    )
                    for _ in range(levels)
                ]
            )

        self.score_towers = towers()
        self.side_towers = None if shared else towers()
        self.scores = nn.LayerList([_predictor(channels, 1) for _ in range(levels)])
        self.sides = nn.LayerList([_predictor(channels, sides) for _ in range(levels)])
        for layer in self.scores:
            layer.bias.set_value(np.full(1, -math.log((1 - PRIOR) / PRIOR), np.float32))
        self.register_buffer("bins", paddle.arange(REG_MAX + 1, dtype="float32"))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        scores, sides = [], []
        for level, features in enumerate(maps):
            scored = self.score_towers[level](features)
            measured = scored if self.side_towers is None else self.side_towers[level](features)
            scores.append(self.scores[level](scored).flatten(1))
            by_cell = self.sides[level](measured).flatten(2).transpose([0, 2, 1])
            sides.append(by_cell.reshape([0, 0, 4, REG_MAX + 1]))
        return paddle.concat(scores, axis=1), paddle.concat(sides, axis=1)

    def boxes(self, sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
        """Mean distances as boxes.

        Args:
            sides: distribution logits [..., A, 4, REG_MAX + 1].
            centers: [A, 2], as `grid` gives them.
            strides: [A], as `grid` gives them.

        Returns:
            Boxes [..., A, 4] (x1, y1, x2, y2) in input pixels, which may reach outside.
        """
        distances = (F.softmax(sides, axis=-1) * self.bins).sum(axis=-1) * strides.unsqueeze(-1)
        return paddle.concat([centers - distances[..., :2], centers + distances[..., 2:]], axis=-1)


def _predictor(channels: int, outputs: int) -> nn.Layer:
    normal = nn.initializer.Normal(std=0.01)
    zero = nn.initializer.Constant(0.0)
    return nn.Conv2D(channels, outputs, 1, weight_attr=normal, bias_attr=zero)
