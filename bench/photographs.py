"""Photographs of a camera's sizes, made from the sample scenes: what the speed benches send."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

SCENES = Path(__file__).parents[1] / "app" / "samples" / "scenes"
SIZES = {"1080p": (1920, 1080), "4 MP": (2464, 1632), "12 MP": (4000, 3000)}
QUALITY = 88
NOISE = 2.0  # grey levels: of a sensor, and what makes a file as large as a camera's


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """`scene`: the sample it was made from; `jpeg`: its file."""

    scene: str
    size: str
    jpeg: bytes


def photographs(sizes: Sequence[str], scenes: Sequence[str] = ()) -> list[Photograph]:
    """Each scene (all, unless some are named) in each size; the same bytes every time."""
    return [
        Photograph(path.name, size, _jpeg(path, *SIZES[size]))
        for size in sizes
        for path in sorted(SCENES.glob("*.jpg"))
        if not scenes or path.name in scenes
    ]


def _jpeg(path: Path, width: int, height: int) -> bytes:
    scene: NDArray[np.uint8] = simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
    enlarged = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * NOISE
    pixels = (enlarged + noise).clip(0, 255).astype(np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420")
    return jpeg
