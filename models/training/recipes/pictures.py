"""Pictures from files: photographs, and bodies on nothing."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

STAMP_SIDE = 320  # pixels, the longer side at most

Image = NDArray[np.uint8]  # RGB [H, W, 3]
Cutout = NDArray[np.uint8]  # RGBA [H, W, 4]


def decode(packed: bytes, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Pixels in OpenCV's order of channels.

    Raises:
        ModelError: OpenCV cannot read it.
    """
    pixels = cv2.imdecode(np.frombuffer(packed, np.uint8), flags)
    if pixels is None:
        raise ModelError("an image of the training data cannot be decoded")
    return np.asarray(pixels, np.uint8)


def read(path: Path) -> Image:
    """An image file, RGB."""
    return np.asarray(cv2.cvtColor(decode(path.read_bytes()), cv2.COLOR_BGR2RGB), np.uint8)


def read_cutout(path: Path) -> Cutout:
    """An image file with opacity, RGBA."""
    pixels = decode(path.read_bytes(), cv2.IMREAD_UNCHANGED)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8)


def things(debian: Path) -> list[Cutout]:
    """The catalogue pictures of 3D models: furniture, tools, vehicles, people and animals."""
    found = []
    for path in sorted((debian / "usr/share/sweethome3d/furniture").glob("*.sh3f")):
        with zipfile.ZipFile(path) as archive:
            catalogue = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
            for line in catalogue.splitlines():
                if line.startswith("icon#"):
                    packed = archive.read(line.partition("=")[2].strip().lstrip("/"))
                    pixels = decode(packed, cv2.IMREAD_UNCHANGED)
                    if pixels.ndim == 3 and pixels.shape[2] == 4:
                        found.append(_trimmed(pixels))
    return found


def stamps(debian: Path) -> Iterator[Cutout]:
    """Tux Paint's stamps but for its symbols: animals, food, vehicles, photographed or drawn."""
    folder = debian / "usr/share/tuxpaint/stamps"
    for path in sorted(folder.rglob("*.png")):
        pixels = decode(path.read_bytes(), cv2.IMREAD_UNCHANGED)
        opaque = pixels.ndim == 3 and pixels.shape[2] == 4 and (pixels[..., 3] >= 128).any()
        if "symbols" not in path.parts and opaque:
            scale = min(1.0, STAMP_SIDE / max(pixels.shape[:2]))
            size = (max(1, int(pixels.shape[1] * scale)), max(1, int(pixels.shape[0] * scale)))
            smaller = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            yield _trimmed(np.asarray(smaller, np.uint8))


def _trimmed(pixels: NDArray[np.uint8]) -> Cutout:
    rows, columns = np.nonzero(pixels[..., 3] >= 128)
    body = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(cv2.cvtColor(body, cv2.COLOR_BGRA2RGBA), np.uint8)
