"""U²-Net-P: a nested U of residual U-blocks (RSU) that marks the salient bodies of a photograph.

Source: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
Pattern Recognition 2020; the small variant, 1.13 M parameters. Batch norms are folded into their
convolutions here, as in the published ONNX file.
"""

from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

MIDDLE = 16
WIDTH = 64


class ConvReLU(nn.Sequential):
    """3x3 convolution that keeps the size, and ReLU."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2D(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()
        )


def downsample(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def upsample_like(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


class RSU(nn.Layer):
    """Residual U-block: a small U-Net of `height` levels, added to its first convolution's output.

    A pooled block halves the resolution between levels; a dilated one (RSU-4F, for maps that are
    small already) doubles the dilation instead.
    """

    def __init__(self, height: int, inputs: int, *, dilated: bool = False) -> None:
        super().__init__()
        self.dilated = dilated
        rates = [2**level if dilated else 1 for level in range(height)]
        # The bottom of a pooled block looks around by dilation: there is nothing left to pool.
        rates[-1] = rates[-1] if dilated else 2
        self.entry = ConvReLU(inputs, WIDTH)
        self.down = nn.LayerList(
            [
                ConvReLU(WIDTH if level == 0 else MIDDLE, MIDDLE, rate)
                for level, rate in enumerate(rates)
            ]
        )
        self.up = nn.LayerList(
            [
                ConvReLU(2 * MIDDLE, WIDTH if level == 0 else MIDDLE, rates[level])
                for level in reversed(range(height - 1))
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        entry = self.entry(x)
        maps = [self.down[0](entry)]
        last = len(self.down) - 1
        for level in range(1, last + 1):
            # The two lowest levels of a pooled block share one resolution.
            pooled = not self.dilated and level < last
            maps.append(self.down[level](downsample(maps[-1]) if pooled else maps[-1]))
        y = maps.pop()
        for layer in self.up:
            beside = maps.pop()
            if y.shape[2:] != beside.shape[2:]:
                y = upsample_like(y, beside)
            y = layer(paddle.concat([y, beside], axis=1))
        return entry + y


class U2NetP(nn.Layer):
    """Float32 [N, 3, H, W] (ImageNet mean and std) → salience [N, 1, H, W] in 0..1.

    The six side maps of training are fused inside; only the fused map is returned.
    """

    def __init__(self) -> None:
        super().__init__()
        heights = [(7, False), (6, False), (5, False), (4, False), (4, True), (4, True)]
        self.encoder = nn.LayerList(
            [
                RSU(height, 3 if level == 0 else WIDTH, dilated=dilated)
                for level, (height, dilated) in enumerate(heights)
            ]
        )
        self.decoder = nn.LayerList(
            [RSU(height, 2 * WIDTH, dilated=dilated) for height, dilated in reversed(heights[:-1])]
        )
        self.sides = nn.LayerList([nn.Conv2D(WIDTH, 1, 3, padding=1) for _ in heights])
        self.fuse = nn.Conv2D(len(heights), 1, 1)

    def forward(self, x: Tensor) -> Any:
        maps = [self.encoder[0](x)]
        for stage in list(self.encoder)[1:]:
            maps.append(stage(downsample(maps[-1])))
        y = maps.pop()
        bodies = [y]
        for stage in self.decoder:
            beside = maps.pop()
            y = stage(paddle.concat([upsample_like(y, beside), beside], axis=1))
            bodies.insert(0, y)
        sides = [self.sides[level](body) for level, body in enumerate(bodies)]
        full = [sides[0], *(upsample_like(side, sides[0]) for side in sides[1:])]
        return F.sigmoid(self.fuse(paddle.concat(full, axis=1)))
