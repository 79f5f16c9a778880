"""Pixels of a decoded picture: the same in service, training and evaluation."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Each step of a conversion is a copy of four bytes a pixel: of a strip, not of the whole picture.
_STRIP_PIXELS = 1024 * 1024


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture, 16-bit grey scaled to 8 bits: Pillow would clip it at 255."""
    if not image.mode.startswith("I"):
        return image
    grey = np.clip(np.asarray(image).astype(np.int32), 0, 65535) >> 8
    return Image.fromarray(grey.astype(np.uint8))


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], RGB; what is transparent lies on white."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(_on_white(eight_bits(strip)))
    return pixels


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")
