"""The embedded detector in PyTorch: `models.nets.picodet` again, layer by layer and name by name.

Only training on a CPU runs this: there, PyTorch is several times faster than Paddle. What it learns
moves to the Paddle network by renaming the statistics of batch norms.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

# kernel, stride, expansion, channels, blocks: EfficientNet-Lite0 up to stride 32.
LITE0 = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
)
STEM = 32
BLOCKS = 13
TAKEN = (10, 12)  # blocks whose maps the neck takes: strides 16 and 32
FROZEN = 8  # blocks, and the stem, that training leaves alone
CHANNELS = 96
HEAD_BLOCKS = 2
STRIDES = (16, 32, 64)
KERNEL = 5
BINS = 8
PRIOR = 0.01


class LiteConvNorm(nn.Module):
    """As in `efficientnet_lite`: "same" padding as TensorFlow's."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, 0, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.kernel, self.stride, self.activate = kernel, stride, activate
        if stride == 1:
            self.conv.padding = (kernel // 2, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            # Of even sides: one pixel less on the left and above.
            x = F.pad(x, (self.kernel // 2 - 1, self.kernel // 2) * 2)
        x = self.bn(self.conv(x))
        return F.relu6(x) if self.activate else x


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = LiteConvNorm(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = LiteConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = LiteConvNorm(hidden, outputs, 1, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def inverted_residuals(
    stages: Sequence[tuple[int, int, int, int, int]],
) -> list[InvertedResidual]:
    """The blocks of all stages, one behind the other and all behind the stem."""
    blocks, inputs = list[InvertedResidual](), STEM
    for kernel, stride, expansion, outputs, count in stages:
        for position in range(count):
            first = stride if position == 0 else 1
            blocks.append(InvertedResidual(inputs, outputs, kernel, first, expansion))
            inputs = outputs
    return blocks


class Trunk(nn.Module):
    """Its batch norms keep ImageNet's statistics; stem and first blocks keep their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = LiteConvNorm(3, STEM, 3, 2)
        self.blocks = nn.ModuleList(inverted_residuals(LITE0)[:BLOCKS])
        self.half = False  # of the frozen part; for training

    def train(self, mode: bool = True) -> "Trunk":  # noqa: ARG002
        super().train(False)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        # Half precision halves the time of a pass forward here, but doubles that of one back.
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            x = self.stem(x)
            for block in self.blocks[:FROZEN]:
                x = block(x)
        x = x.float()
        maps = []
        for position, block in enumerate(self.blocks[FROZEN:], start=FROZEN):
            x = block(x)
            if position in TAKEN:
                maps.append(x)
        return maps


class ConvNorm(nn.Module):
    """As in `pp_lcnet`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        nn.init.kaiming_normal_(self.conv.weight)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(self.bn(self.conv(x)))


class DepthwiseSeparable(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, KERNEL, stride, groups=inputs)
        self.pointwise = ConvNorm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class CSPLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.main = ConvNorm(inputs, half, 1)
        self.bottleneck = nn.Sequential(ConvNorm(half, half, 1), DepthwiseSeparable(half, half))
        self.short = ConvNorm(inputs, half, 1)
        self.join = ConvNorm(2 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat([self.bottleneck(self.main(x)), self.short(x)], 1))


class CSPPAN(nn.Module):
    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        steps = range(len(inputs) - 1)
        self.lateral = nn.ModuleList([ConvNorm(count, channels, 1) for count in inputs])
        self.top_down = nn.ModuleList([CSPLayer(2 * channels, channels) for _ in steps])
        self.down = nn.ModuleList([DepthwiseSeparable(channels, channels, 2) for _ in steps])
        self.bottom_up = nn.ModuleList([CSPLayer(2 * channels, channels) for _ in steps])
        self.extra_input = DepthwiseSeparable(channels, channels, 2)
        self.extra_output = DepthwiseSeparable(channels, channels, 2)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        coarsest = maps.pop()
        fused = [coarsest]
        for layer, finer in zip(self.top_down, reversed(maps), strict=True):
            above = F.interpolate(fused[0], scale_factor=2, mode="nearest")
            fused.insert(0, layer(torch.cat([above, finer], 1)))
        outputs = fused[:1]
        for halve, layer, coarser in zip(self.down, self.bottom_up, fused[1:], strict=True):
            outputs.append(layer(torch.cat([halve(outputs[-1]), coarser], 1)))
        outputs.append(self.extra_input(coarsest) + self.extra_output(outputs[-1]))
        return outputs


class PicoHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score_towers = nn.ModuleList(
            nn.Sequential(*(DepthwiseSeparable(CHANNELS, CHANNELS) for _ in range(HEAD_BLOCKS)))
            for _ in STRIDES
        )
        self.scores = nn.ModuleList(nn.Conv2d(CHANNELS, 1, 1) for _ in STRIDES)
        self.sides = nn.ModuleList(nn.Conv2d(CHANNELS, 4 * BINS, 1) for _ in STRIDES)
        for score, side in zip(self.scores, self.sides, strict=True):
            nn.init.normal_(score.weight, std=0.01)
            nn.init.constant_(score.bias, -math.log((1 - PRIOR) / PRIOR))
            nn.init.normal_(side.weight, std=0.01)
            nn.init.zeros_(side.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        scores, sides = [], []
        for level, features in enumerate(maps):
            features = self.score_towers[level](features)
            scores.append(self.scores[level](features).flatten(1))
            by_cell = self.sides[level](features).flatten(2).transpose(1, 2)
            sides.append(by_cell.reshape(len(by_cell), -1, 4, BINS))
        return torch.cat(scores, 1).float(), torch.cat(sides, 1).float()


class Twin(nn.Module):
    """Float32 [N, 3, H, W] → score logits [N, A] and distribution logits [N, A, 4, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Trunk()
        widths = [self.backbone.blocks[block].project.conv.out_channels for block in TAKEN]
        self.neck = CSPPAN(widths, CHANNELS)
        self.head = PicoHead()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        scores, sides = self.head(self.neck(self.backbone(image)))
        return scores, sides


def cells(side: int) -> tuple[Tensor, Tensor]:
    """Centres [A, 2] (x, y) and strides [A] of a square input, as `pico_head.grid` orders them."""
    centers, strides = [], []
    for stride in STRIDES:
        count = math.ceil(side / stride)
        steps = (torch.arange(count) + 0.5) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centers.append(torch.stack([x.flatten(), y.flatten()], 1))
        strides.append(torch.full((count * count,), float(stride)))
    return torch.cat(centers), torch.cat(strides)


def decode(sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """Distribution logits [..., A, 4, 8] → boxes [..., A, 4] in input pixels."""
    bins = torch.arange(BINS, dtype=sides.dtype)
    distances = (sides.softmax(-1) * bins).sum(-1) * strides[:, None]
    return torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], -1)
