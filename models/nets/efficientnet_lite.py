"""EfficientNet-Lite 0 to 4: EfficientNet without squeeze-excite, ReLU6 throughout.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019, and the Lite variants published with TensorFlow's TPU models: stem and head keep their
width in every size, the first and the last stage keep their single block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

from models.nets.pp_lcnet import scaled_channels


@dataclass(frozen=True, slots=True)
class Stage:
    """Inverted-residual blocks of one resolution, as written for the unscaled network."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
TINY = 1e-6  # under a root, whose slope at zero has no end
STAGES = (
    Stage(kernel=3, stride=1, expansion=1, channels=16, blocks=1),
    Stage(kernel=3, stride=2, expansion=6, channels=24, blocks=2),
    Stage(kernel=5, stride=2, expansion=6, channels=40, blocks=2),
    Stage(kernel=3, stride=2, expansion=6, channels=80, blocks=3),
    Stage(kernel=5, stride=1, expansion=6, channels=112, blocks=3),
    Stage(kernel=5, stride=2, expansion=6, channels=192, blocks=4),
    Stage(kernel=3, stride=1, expansion=6, channels=320, blocks=1),
)

# Width and depth multipliers, by the number in the network's name.
SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))


class ConvNorm(nn.Layer):
    """Convolution, batch norm and, unless it is a linear bottleneck, ReLU6.

    Padding is TensorFlow's "same": at stride 2 and even sizes the extra pixel lies right and below,
    which the published weights rely on.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            inputs, outputs, kernel, stride, padding="SAME", groups=groups, bias_attr=False
        )
        self.bn = nn.BatchNorm2D(outputs, momentum=0.99, epsilon=1e-3)
        self.act = nn.ReLU6() if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class InvertedResidual(nn.Layer):
    """Expand (1x1), depthwise, project (1x1, linear); plus its input where shapes agree."""

    def __init__(self, inputs: int, stage: Stage, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * stage.expansion
        self.stride = stride
        self.expand = ConvNorm(inputs, hidden, 1) if stage.expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, stage.kernel, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, 1, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Layer):
    """The trunk: float32 [N, 3, H, W] normalised as (x - 127) / 128 → [N, 1280, ⌈H/32⌉, ⌈W/32⌉].

    Args:
        variant: 0 to 4, the number in the published name; sizes 224, 240, 260, 280, 300.
    """

    def __init__(self, variant: int = 0) -> None:
        super().__init__()
        width, depth = SCALES[variant]
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        channels = STEM_CHANNELS
        blocks: list[nn.Layer] = []
        self.stage_channels: list[int] = []
        self.stage_ends: list[int] = []  # places of the stages' last blocks
        for position, stage in enumerate(STAGES):
            outputs = scaled_channels(stage.channels, width)
            ends = position in (0, len(STAGES) - 1)
            repeats = stage.blocks if ends else math.ceil(stage.blocks * depth)
            for block in range(repeats):
                stride = stage.stride if block == 0 else 1
                blocks.append(InvertedResidual(channels, stage, outputs, stride))
                channels = outputs
            self.stage_channels.append(channels)
            self.stage_ends.append(len(blocks) - 1)
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNorm(channels, HEAD_CHANNELS, 1)

    def stages(self, x: Tensor) -> list[Tensor]:
        """The map at the end of each of the seven stages, from [N, 16, ⌈H/2⌉, ⌈W/2⌉] on."""
        maps = []
        x = self.stem(x)
        for place, block in enumerate(self.blocks):
            x = block(x)
            if place in self.stage_ends:
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(x)[-1])


class PooledLinear(nn.Layer):
    """A trunk, global average pooling and one linear layer: [N, 3, H, W] → [N, outputs].

    With 1,000 outputs this is the ImageNet classifier, with 512 an embedder. Not normalised: the
    caller does that.
    """

    def __init__(self, trunk: EfficientNetLite, outputs: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.fc = nn.Linear(sum(self.widths), outputs)

    @property
    def widths(self) -> list[int]:
        """How many of the pooled features belong together, in their order."""
        return [HEAD_CHANNELS]

    def pooled(self, x: Tensor) -> Tensor:
        """Features before the linear layer, [N, 1280]."""
        return self.pool(self.trunk(x)).flatten(1)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.pooled(x))


class StagesLinear(PooledLinear):
    """An embedder that keeps what the last map has lost: colours and textures of small print.

    The linear layer sees, beside the head's means, the mean and the root mean square of each
    channel at the end of every stage: 2,848 features for the smallest network. Statistics of
    shallow maps as a descriptor of texture: Gatys et al., "Texture Synthesis Using Convolutional
    Neural Networks", NeurIPS 2015 (there with the products between channels, too).
    """

    @property
    def widths(self) -> list[int]:
        """Of the head, of the stages' means, of the stages' root mean squares."""
        return [HEAD_CHANNELS, *self.trunk.stage_channels, *self.trunk.stage_channels]

    def pooled(self, x: Tensor) -> Tensor:
        """Features before the linear layer, [N, sum of widths]."""
        maps = self.trunk.stages(x)
        last = self.pool(self.trunk.head(maps[-1])).flatten(1)
        return paddle.concat([last, *statistics(maps)], axis=1)


def statistics(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Means, then root mean squares, of all channels of maps [N, C, H, W]: [N, sum of C] each."""
    means, squares = (
        paddle.concat([F.adaptive_avg_pool2d(map_, 1) for map_ in powers], axis=1).flatten(1)
        for powers in (maps, [map_ * map_ for map_ in maps])
    )
    return means, paddle.sqrt(squares + TINY)
