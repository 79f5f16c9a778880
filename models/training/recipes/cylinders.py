"""Cans, jars and bottles quickly: a label's wrap on a cylinder, without a ray tracer."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.recipes.views import Cutout, Image

HEIGHT = 224  # pixels of a picture
# Width over height of the round packages that `models.training.render` knows.
ASPECT = {"can": 0.55, "slim_can": 0.42, "tin": 0.8, "bottle": 0.45, "jar": 0.75, "cup": 0.9}
TURN = 0.55  # radians: how far from its front a package stands, one standard deviation


def cylinder(wrap: Image, kind: str, rng: np.random.Generator) -> Cutout:
    """A round package from a little above, its label turned, lit from one side, with a lid.

    Args:
        wrap: the whole label, unrolled, RGB.
        kind: a key of ASPECT.
        rng: draws proportions, turn, light and lid.
    """
    width = int(HEIGHT * ASPECT[kind] * np.exp(rng.uniform(-0.08, 0.08)))
    rim = width / 2 * rng.uniform(0.02, 0.28)  # half the height of its ellipse
    across = (np.arange(width) + 0.5) / width * 2 - 1
    around = np.arcsin(across)
    column = ((around + rng.normal(0, TURN)) / (2 * np.pi) + 0.5) % 1 * wrap.shape[1]
    top = rim + rim * np.sqrt(1 - across**2)
    down = (np.arange(HEIGHT)[:, None] - top) / (HEIGHT - 2 * rim)
    size = (HEIGHT, width)
    label = cv2.remap(
        wrap,
        np.broadcast_to(column, size).astype(np.float32),
        (down * (wrap.shape[0] - 1)).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    side_light = 0.45 + 0.6 * np.cos((around - rng.uniform(-0.8, 0.8)).clip(-1.5, 1.5))
    width_of_shine = rng.uniform(0.04, 0.15)
    shine = np.exp(-(((across - rng.uniform(-0.8, 0.8)) / width_of_shine) ** 2))
    lit = label * side_light[:, None] + (rng.uniform(0, 110) * shine)[:, None]
    lid = np.zeros(size, np.uint8)
    axes = (width // 2 - 1, max(1, int(rim)))
    cv2.ellipse(lid, (width // 2, int(rim)), axes, 0, 0, 360, 255, -1)
    picture = np.where(lid[..., None] > 0, _lid_colours(width, rng), lit)
    opaque = np.where((down >= 0) & (down <= 1) | (lid > 0), 255, 0)
    return np.dstack([picture.clip(0, 255), opaque]).astype(np.uint8)


def _lid_colours(width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Metal or plastic, brighter to one side: [1, width, 3]."""
    metal = rng.uniform(120, 235) * np.exp(rng.uniform(-0.08, 0.08, 3))
    colour = metal if rng.random() < 0.75 else rng.uniform(20, 255, 3)
    return np.linspace(0.75, 1.15, width)[None, :, None] * colour
