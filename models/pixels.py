"""Pixels of a decoded picture: the same in service, training and evaluation."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture, 16-bit grey scaled to 8 bits: Pillow would clip it at 255."""
    if not image.mode.startswith("I"):
        return image
    grey = np.clip(np.asarray(image).astype(np.int32), 0, 65535) >> 8
    return Image.fromarray(grey.astype(np.uint8))


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], RGB; what is transparent lies on white."""
    image = eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"))
