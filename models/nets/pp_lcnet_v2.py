"""PP-LCNetV2: large depthwise kernels trained as parallel branches, and its ShiTu variant.

Source: PaddleClas' published description of PP-LCNetV2 and of PP-ShiTuV2's feature extractor.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

from models.nets.pp_lcnet import HIDDEN_CHANNELS, ConvNorm, SqueezeExcite, scaled_channels


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one resolution at scale 1; the first of them has stride 2."""

    channels: int
    kernel: int
    rep: bool = False
    squeeze: bool = False
    split: bool = False
    shortcut: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """Width multiplier, and blocks of each stage."""

    scale: float
    depths: tuple[int, int, int, int]


STEM_CHANNELS = (32, 64)
STAGES = (
    Stage(channels=128, kernel=3),
    Stage(channels=256, kernel=3),
    Stage(channels=512, kernel=5, rep=True, squeeze=True, split=True),
    Stage(channels=1024, kernel=5, rep=True, shortcut=True),
)
SizeName = Literal["small", "base", "large"]
SIZES: dict[SizeName, Size] = {
    "small": Size(0.75, (2, 2, 4, 2)),
    "base": Size(1.0, (2, 2, 6, 2)),
    "large": Size(1.25, (2, 2, 8, 2)),
}
EMBEDDING_CHANNELS = 512
DROPOUT = 0.2


class RepDepthwise(nn.Layer):
    """Depthwise kernels of k, k - 2, … 1, each with its batch norm, summed; ReLU.

    The kernel of 1 is the identity's kin and only there at stride 1. `fold` leaves one branch.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.kernel = kernel
        self.stride = stride
        smallest = 1 if stride == 1 else 3
        self.branches = nn.LayerList(
            ConvNorm(
                channels, channels, size, stride=stride, groups=channels, activation=nn.Identity
            )
            for size in range(kernel, smallest - 1, -2)
        )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(sum(branch(x) for branch in self.branches))

    def fold(self) -> None:
        """Replace the branches by the one convolution, with bias, that they amount to in eval."""
        folded = nn.Conv2D(
            self.channels,
            self.channels,
            self.kernel,
            self.stride,
            padding=self.kernel // 2,
            groups=self.channels,
        )
        kernel = paddle.zeros_like(folded.weight)
        bias = paddle.zeros_like(folded.bias)
        for branch in self.branches:
            conv, bn = branch.conv, branch.bn
            scale = bn.weight / paddle.sqrt(bn._variance + bn._epsilon)
            border = (self.kernel - conv.weight.shape[-1]) // 2
            kernel += F.pad(conv.weight * scale.reshape([-1, 1, 1, 1]), [border] * 4)
            bias += bn.bias - bn._mean * scale
        folded.weight.set_value(kernel)
        folded.bias.set_value(bias)
        self.branches = nn.LayerList([folded])


class RepDepthwiseSeparable(nn.Layer):
    """Depthwise, perhaps squeeze-excite, one pointwise or two through half the width."""

    def __init__(self, inputs: int, outputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        self.depthwise = (
            RepDepthwise(inputs, stage.kernel, stride)
            if stage.rep
            else ConvNorm(
                inputs, inputs, stage.kernel, stride=stride, groups=inputs, activation=nn.ReLU
            )
        )
        self.squeeze = SqueezeExcite(inputs, gate=nn.Sigmoid) if stage.squeeze else nn.Identity()
        widths = (inputs, outputs // 2, outputs) if stage.split else (inputs, outputs)
        self.pointwise = nn.Sequential(
            *(ConvNorm(a, b, 1, activation=nn.ReLU) for a, b in pairwise(widths))
        )
        self.shortcut = stage.shortcut and stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.squeeze(self.depthwise(x)))
        return x + y if self.shortcut else y


class PPLCNetV2(nn.Layer):
    """The trunk: float32 [N, 3, H, W] → [N, channels, H/32, W/32], or /16 if `last_stride` is 1."""

    def __init__(self, size: SizeName = "base", *, last_stride: int = 2) -> None:
        super().__init__()
        scale, depths = SIZES[size].scale, SIZES[size].depths
        first, channels = (scaled_channels(width, scale) for width in STEM_CHANNELS)
        self.stem = nn.Sequential(
            ConvNorm(3, first, 3, stride=2, activation=nn.ReLU),
            RepDepthwiseSeparable(first, channels, Stage(STEM_CHANNELS[1], kernel=3), stride=1),
        )
        stages: list[nn.Layer] = []
        for stage, depth in zip(STAGES, depths, strict=True):
            outputs = scaled_channels(stage.channels, scale)
            blocks: list[nn.Layer] = []
            for position in range(depth):
                stride = 1 if position else last_stride if stage is STAGES[-1] else 2
                blocks.append(RepDepthwiseSeparable(channels, outputs, stage, stride))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x))


class PPLCNetV2Classifier(nn.Layer):
    """The published ImageNet network: float32 [N, 3, H, W] → logits [N, classes].

    Its dropout does not scale up what it keeps while training; it scales down when serving, which
    the published weights rely on.
    """

    def __init__(self, size: SizeName = "base", classes: int = 1000) -> None:
        super().__init__()
        self.trunk = PPLCNetV2(size)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.hidden = nn.Conv2D(self.trunk.channels, HIDDEN_CHANNELS, 1, bias_attr=False)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(DROPOUT, mode="downscale_in_infer")
        self.fc = nn.Linear(HIDDEN_CHANNELS, classes)

    def forward(self, x: Tensor) -> Any:
        hidden = self.act(self.hidden(self.pool(self.trunk(x))))
        return self.fc(self.dropout(hidden).flatten(1))


def frozen_bias() -> paddle.ParamAttr:
    """A bias that stays zero: by its learning rate, or Paddle gives the scale no gradient."""
    return paddle.ParamAttr(initializer=nn.initializer.Constant(0.0), learning_rate=0.0)


class PPLCNetV2ShiTu(nn.Layer):
    """PP-ShiTuV2's feature extractor: float32 [N, 3, H, W] → [N, 512], not normalised.

    The neck is a batch norm whose bias stays zero, so that what the identity classifier sees and
    what cosines are taken of lie around the same origin ("BNNeck": Luo et al., "Bag of Tricks and
    a Strong Baseline for Deep Person Re-identification", CVPR Workshops 2019). Dropout as in the
    classifier.
    """

    def __init__(self, size: SizeName = "base") -> None:
        super().__init__()
        self.trunk = PPLCNetV2(size, last_stride=1)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.embedding = nn.Conv2D(self.trunk.channels, EMBEDDING_CHANNELS, 1)
        self.dropout = nn.Dropout(DROPOUT, mode="downscale_in_infer")
        self.neck = nn.BatchNorm1D(EMBEDDING_CHANNELS, bias_attr=frozen_bias())

    def forward(self, x: Tensor) -> Tensor:
        embedding = self.embedding(self.pool(self.trunk(x)))
        return self.neck(self.dropout(embedding).flatten(1))


@paddle.no_grad()  # type: ignore[untyped-decorator]
def fold(network: nn.Layer) -> None:
    """Fold every `RepDepthwise` of a trained network, in place; answers in evaluation stay.

    A folded network trains as one without branches; what is folded stays so.
    """
    for layer in network.sublayers():
        if isinstance(layer, RepDepthwise) and isinstance(layer.branches[0], ConvNorm):
            layer.fold()
