"""What happens to pixel values before the network, by the weights its backbone starts from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.nets.picodet import Architecture

Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """A pixel value `v` becomes `(v * scale - mean) / std`, as in pack.toml."""

    scale: float
    mean: Channels
    std: Channels

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images uint8 [N, H, W, 3] → float32 [N, 3, H, W]."""
        factor = np.asarray(self.scale / np.asarray(self.std), np.float32)
        shift = np.asarray(-np.asarray(self.mean) / np.asarray(self.std), np.float32)
        return np.ascontiguousarray((images * factor + shift).transpose(0, 3, 1, 2))


IMAGENET = Normalisation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# (v - 127) / 128, as EfficientNet-Lite was trained.
EFFICIENTNET_LITE = Normalisation(1 / 128, (127 / 128,) * 3, (1.0, 1.0, 1.0))


def normalisation_of(architecture: Architecture) -> Normalisation:
    """The one of the backbone's published ImageNet weights."""
    return IMAGENET if architecture.backbone == "pp_lcnet" else EFFICIENTNET_LITE
