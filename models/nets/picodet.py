"""PicoDet: an anchor-free detector of one class, main bodies, on a backbone of choice.

Source: Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv
2111.00902; `MAINBODY` is the variant of PP-ShiTuV2's main-body detector.
"""

from dataclasses import dataclass
from typing import Literal

from paddle import Tensor, nn

from models.nets.csp_pan import CSPPAN
from models.nets.efficientnet_lite import EfficientNetLite
from models.nets.pico_head import PicoHead
from models.nets.pp_lcnet import PPLCNet

Backbone = Literal["pp_lcnet", "efficientnet_lite"]
BACKBONE_STRIDES = (8, 16, 32)
STRIDES = ((8, 16, 32, 64), (8, 16, 32), (16, 32, 64), (16, 32))


@dataclass(frozen=True, slots=True)
class Architecture:
    """What to build.

    `scale` is PP-LCNet's width multiplier, or the number in EfficientNet-Lite's name, of which the
    first `blocks` are taken (all, if None). `strides` are those of the head's levels, one of
    `STRIDES`.
    """

    backbone: Backbone = "pp_lcnet"
    scale: float = 2.5
    channels: int = 128
    strides: tuple[int, ...] = (8, 16, 32, 64)
    head_blocks: int = 4
    shared_towers: bool = True
    blocks: int | None = None


MAINBODY = Architecture()
MAINBODY_SIZE = 640


class EfficientNetLiteTrunk(nn.Layer):
    """The first blocks of EfficientNet-Lite: the maps of strides 8, 16 and 32.

    Most of its weights are in the blocks of stride 32, of which few are enough for a detector:
    Lite0 has 3.0 M up to its last block, 0.9 M up to the first of stride 32, the twelfth.
    """

    def __init__(self, variant: int, blocks: int | None) -> None:
        super().__init__()
        network = EfficientNetLite(variant)
        self.stem = network.stem
        self.blocks = network.blocks[:blocks]
        # A map is taken where its resolution ends.
        halving = [position for position, block in enumerate(self.blocks) if block.stride == 2]
        self.taken = (halving[-2] - 1, halving[-1] - 1, len(self.blocks) - 1)
        self.channels = tuple(
            self.blocks[position].project.conv.weight.shape[0] for position in self.taken
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = self.stem(x)
        for position, block in enumerate(self.blocks):
            x = block(x)
            if position in self.taken:
                maps.append(x)
        return maps


class PicoDet(nn.Layer):
    """Float32 [N, 3, H, W], sides multiples of 32 → what `PicoHead` gives for its cells."""

    def __init__(self, architecture: Architecture = MAINBODY) -> None:
        """Build with random weights.

        Raises:
            ValueError: the strides are none of `STRIDES`.
        """
        super().__init__()
        self.architecture = architecture
        if architecture.strides not in STRIDES:
            raise ValueError(f"strides are one of {STRIDES}, not {architecture.strides}")
        extra = architecture.strides[-1] > BACKBONE_STRIDES[-1]
        self.levels = len(architecture.strides) - extra
        self.backbone: nn.Layer = (
            PPLCNet(architecture.scale)
            if architecture.backbone == "pp_lcnet"
            else EfficientNetLiteTrunk(int(architecture.scale), architecture.blocks)
        )
        self.neck = CSPPAN(
            self.backbone.channels[-self.levels :], architecture.channels, extra=extra
        )
        self.head = PicoHead(
            architecture.channels,
            len(architecture.strides),
            blocks=architecture.head_blocks,
            shared=architecture.shared_towers,
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone(image)[-self.levels :]
        scores, sides = self.head(self.neck(maps))
        return scores, sides
