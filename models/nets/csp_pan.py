"""CSP-PAN: a path-aggregation neck whose fusions are cross-stage-partial layers.

Source: Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv
2111.00902; path aggregation from Liu et al., CVPR 2018; CSP from Wang et al., CVPRW 2020.
"""

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

from models.nets.pp_lcnet import ConvNorm, DepthwiseSeparable

KERNEL = 5


class CSPLayer(nn.Layer):
    """Half of the channels go through a bottleneck, half past it; a 1x1 convolution joins them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.main = ConvNorm(inputs, half, 1)
        self.bottleneck = nn.Sequential(
            ConvNorm(half, half, 1), DepthwiseSeparable(half, half, KERNEL)
        )
        self.short = ConvNorm(inputs, half, 1)
        self.join = ConvNorm(2 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        main = self.bottleneck(self.main(x))
        return self.join(paddle.concat([main, self.short(x)], axis=1))


class CSPPAN(nn.Layer):
    """Maps of rising stride, each twice the one before → as many, or one more, of equal width.

    Args:
        inputs: channels of the maps that come in, finest first.
        channels: channels of every map that goes out.
        extra: also give a map of twice the coarsest stride.
    """

    def __init__(self, inputs: Sequence[int], channels: int, *, extra: bool = True) -> None:
        super().__init__()
        steps = range(len(inputs) - 1)
        self.lateral = nn.LayerList([ConvNorm(count, channels, 1) for count in inputs])
        # From the coarsest fusion to the finest, and back: the order they run in.
        self.top_down = nn.LayerList([CSPLayer(2 * channels, channels) for _ in steps])
        self.down = nn.LayerList([self._halve(channels) for _ in steps])
        self.bottom_up = nn.LayerList([CSPLayer(2 * channels, channels) for _ in steps])
        self.extra_input = self._halve(channels) if extra else None
        self.extra_output = self._halve(channels) if extra else None

    @staticmethod
    def _halve(channels: int) -> nn.Layer:
        return DepthwiseSeparable(channels, channels, KERNEL, stride=2)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        coarsest = maps.pop()
        fused = [coarsest]
        for layer, finer in zip(self.top_down, reversed(maps), strict=True):
            above = F.interpolate(fused[0], scale_factor=2, mode="nearest")
            fused.insert(0, layer(paddle.concat([above, finer], axis=1)))
        outputs = fused[:1]
        for halve, layer, coarser in zip(self.down, self.bottom_up, fused[1:], strict=True):
            outputs.append(layer(paddle.concat([halve(outputs[-1]), coarser], axis=1)))
        if self.extra_input is not None and self.extra_output is not None:
            outputs.append(self.extra_input(coarsest) + self.extra_output(outputs[-1]))
        return outputs
