"""What the original networks answer on a made image: the reference that our conversion must meet.

    python tests/data/make_originals.py CHECKPOINT tests/data/originals.npz

Runs in an environment of its own with torch, not in the project's, and so imports
nothing of the project: the network below is written a second time, from the checkpoint's names.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

LOWER_BLOCKS = 15  # as many as the embedded embedder keeps as they were published
# stride of the first block, expansion, blocks; kernels are what the tensors say
STAGES = (
    (1, 1, 1),
    (2, 6, 3),
    (2, 6, 3),
    (2, 6, 4),
    (1, 6, 4),
    (2, 6, 5),
    (1, 6, 1),
)


def made_image(size: int) -> NDArray[np.float32]:
    """A bright body on waves of another length in each channel, float32 [1, 3, size, size]."""
    at = np.arange(size) / size
    waves = [
        np.sin(9 * channel * at)[:, None] * np.cos(14 * channel * at)[None]
        for channel in (1.0, 1.7, 2.3)
    ]
    image = np.stack(waves)[None].astype(np.float32)
    image[:, :, size // 4 : size // 2, size // 3 : 2 * size // 3] = 2
    return image


class EfficientNetLite1:
    """The published checkpoint, run by torch's functions with weights rounded as the pack's."""

    def __init__(self, checkpoint: Path) -> None:
        self.tensors = torch.load(checkpoint, map_location="cpu", weights_only=True)

    def convolve(
        self, x: torch.Tensor, name: str, norm: str, stride: int = 1, groups: int = 1
    ) -> torch.Tensor:
        """A convolution and its batch norm, folded, as they are stored: weights in half."""
        weight = self.tensors[f"{name}.weight"]
        kernel, size = weight.shape[-1], x.shape[-1]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        x = F.pad(x, (before, after, before, after))
        mean, var, gamma, beta = (
            self.tensors[f"{norm}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = gamma / torch.sqrt(var + 1e-3)
        stored = (weight * scale[:, None, None, None]).half().float()
        return F.conv2d(x, stored, beta - mean * scale, stride, 0, 1, groups)

    def lower(self, x: torch.Tensor, blocks: int) -> torch.Tensor:
        """Spatial means of the features after so many blocks."""
        x = F.relu6(self.convolve(x, "_conv_stem", "_bn0", 2))
        number = 0
        for first_stride, expansion, repeats in STAGES:
            for block in range(repeats):
                name = f"_blocks.{number}."
                y = x
                if expansion > 1:
                    y = F.relu6(self.convolve(y, f"{name}_expand_conv", f"{name}_bn0"))
                stride = first_stride if block == 0 else 1
                depthwise, groups = f"{name}_depthwise_conv", y.shape[1]
                y = F.relu6(self.convolve(y, depthwise, f"{name}_bn1", stride, groups))
                y = self.convolve(y, f"{name}_project_conv", f"{name}_bn2")
                x = y if block == 0 else x + y
                number += 1
                if number == blocks:
                    return x.mean((2, 3))
        raise ValueError(f"it has no {blocks} blocks")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    network = EfficientNetLite1(options.checkpoint)
    means = network.lower(torch.from_numpy(made_image(224)), LOWER_BLOCKS)
    np.savez_compressed(options.out, efficientnet_lite1_lower=means.numpy())


if __name__ == "__main__":
    main()
