"""PP-LCNet: depthwise separable blocks, h-swish and late squeeze-excite, made for oneDNN on CPUs.

Source: Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network", arXiv 2109.15099.
"""

from dataclasses import dataclass
from typing import Any

from paddle import Tensor, nn


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one resolution at scale 1; the first of them has the stride, all the kernel."""

    stride: int
    channels: int
    kernels: tuple[int, ...]
    squeeze: bool = False


STEM_CHANNELS = 16
HIDDEN_CHANNELS = 1280
STAGES = (
    Stage(stride=1, channels=32, kernels=(3,)),
    Stage(stride=2, channels=64, kernels=(3, 3)),
    Stage(stride=2, channels=128, kernels=(3, 3)),
    Stage(stride=2, channels=256, kernels=(3, 5, 5, 5, 5, 5)),
    Stage(stride=2, channels=512, kernels=(5, 5), squeeze=True),
)
SCALES = (0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
SQUEEZE_REDUCTION = 4


def scaled_channels(channels: int, scale: float) -> int:
    """To the nearest multiple of 8, but never more than 10 % below the exact value."""
    exact = channels * scale
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


class ConvNorm(nn.Layer):
    """Convolution that keeps the size (but for its stride), batch norm, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Layer] = nn.Hardswish,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            inputs,
            outputs,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            weight_attr=nn.initializer.KaimingNormal(),
            bias_attr=False,
        )
        self.bn = nn.BatchNorm2D(outputs)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class SqueezeExcite(nn.Layer):
    """Weighs every channel by what the whole map says: pool, reduce, expand, gate."""

    def __init__(self, channels: int, gate: type[nn.Layer] = nn.Hardsigmoid) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.reduce = nn.Conv2D(channels, channels // SQUEEZE_REDUCTION, 1)
        self.relu = nn.ReLU()
        self.expand = nn.Conv2D(channels // SQUEEZE_REDUCTION, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.relu(self.reduce(self.pool(x)))))


class DepthwiseSeparable(nn.Layer):
    """Depthwise kxk, perhaps squeeze-excite, pointwise 1x1."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, squeeze: bool = False
    ) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, kernel, stride=stride, groups=inputs)
        self.squeeze = SqueezeExcite(inputs) if squeeze else nn.Identity()
        self.pointwise = ConvNorm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.squeeze(self.depthwise(x)))


class PPLCNet(nn.Layer):
    """The trunk: float32 [N, 3, H, W] → the maps of the last three stages, strides 8, 16 and 32.

    Args:
        scale: width multiplier; the published ones are in `SCALES`.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        channels = scaled_channels(STEM_CHANNELS, scale)
        self.stem = ConvNorm(3, channels, 3, stride=2)
        stages: list[nn.Layer] = []
        for stage in STAGES:
            outputs = scaled_channels(stage.channels, scale)
            blocks: list[nn.Layer] = []
            for position, kernel in enumerate(stage.kernels):
                stride = stage.stride if position == 0 else 1
                blocks.append(
                    DepthwiseSeparable(
                        channels, outputs, kernel, stride=stride, squeeze=stage.squeeze
                    )
                )
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.LayerList(stages)
        self.channels = tuple(scaled_channels(stage.channels, scale) for stage in STAGES[-3:])

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[-3:]


class PPLCNetClassifier(nn.Layer):
    """The published ImageNet network: trunk, pooling, a hidden layer of 1,280, one linear layer.

    Its dropout does not scale up what it keeps while training; it scales down when serving, which
    the published weights rely on.
    """

    def __init__(self, scale: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        self.trunk = PPLCNet(scale)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.hidden = nn.Conv2D(self.trunk.channels[-1], HIDDEN_CHANNELS, 1, bias_attr=False)
        self.act = nn.Hardswish()
        self.dropout = nn.Dropout(0.2, mode="downscale_in_infer")
        self.fc = nn.Linear(HIDDEN_CHANNELS, classes)

    def forward(self, x: Tensor) -> Any:
        pooled = self.pool(self.trunk(x)[-1])
        return self.fc(self.dropout(self.act(self.hidden(pooled))).flatten(1))
