"""The image gate: untrusted bytes in, a checked upright RGB image out.

The size is read from the header before anything is decoded: a PNG of 140 KB can cost 825 MB.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

RGBImage = NDArray[np.uint8]

# JPEG includes MPO, which many phones write into a file called .jpg. TIFF is left out: no camera
# at a till writes it, and its decoder is the largest attack surface of them all.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
FORMAT_NAMES = "JPEG, PNG, WebP, GIF or BMP"

# The limit is ours (ImageLimits), checked before decoding; Pillow's own would only warn.
Image.MAX_IMAGE_PIXELS = None


class ImageError(Exception):
    """An image was refused. The message says what to do."""


class EmptyImage(ImageError):
    """No bytes at all."""


class UnsupportedImage(ImageError):
    """Not one of the formats that are read."""


class DamagedImage(ImageError):
    """The right format, but truncated or corrupt."""


class ImageTooLarge(ImageError):
    """More bytes or pixels than the limits allow."""


class ImageTooSmall(ImageError):
    """A side shorter than the limit."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds on what is decoded: bytes of the file, pixels, and the shortest side in pixels."""

    max_bytes: int
    max_pixels: int
    min_side: int


def decode(data: bytes, limits: ImageLimits) -> RGBImage:
    """Decode one image to uint8 [H, W, 3], RGB, upright (EXIF applied), first frame.

    Transparency is laid on white, as a product picture's page would show it; grey, CMYK and 16-bit
    images become 8-bit RGB.

    Raises:
        ImageError: one of its kinds, before decoding where the header tells.
    """
    if not data:
        raise EmptyImage("The image is empty. Send the bytes of an image file.")
    check_bytes(len(data), limits)
    try:
        # Opening reads the header only; pixels are decoded by load().
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, limits)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedImage(
            f"This is not an image that can be read. Send {FORMAT_NAMES}."
        ) from None
    except Exception as error:
        # Pillow's decoders raise whatever their parsing ran into (OSError, SyntaxError,
        # struct.error, IndexError, zlib.error …): to the sender they all mean the same.
        raise DamagedImage(
            f"The image is damaged or incomplete ({_first_line(error)}). Send the whole file again."
        ) from error


def check_bytes(size: int, limits: ImageLimits) -> None:
    """Raise ImageTooLarge when a file of `size` bytes is over the limit."""
    if size > limits.max_bytes:
        raise ImageTooLarge(
            f"The image file has {size:,} bytes; at most {limits.max_bytes:,} are read. "
            "Send a smaller or more compressed image."
        )


def encode_thumbnail(image: RGBImage, *, max_side: int = 512, quality: int = 88) -> bytes:
    """Encode uint8 [H, W, 3] RGB as a JPEG whose longest side is at most `max_side` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The image is {width} × {height} pixels; at most {limits.max_pixels:,} are read. "
            "Scale it down: 2 megapixels are plenty."
        )
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(
            f"The image is {width} × {height} pixels; each side needs at least {limits.min_side}."
        )


def _to_rgb(image: Image.Image) -> RGBImage:
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 instead of scaling it.
        return _grey_to_rgb(np.asarray(image, dtype=np.uint16) >> 8)
    if image.mode == "I":
        return _grey_to_rgb(np.clip(np.asarray(image), 0, 65535) >> 8)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(white, layer)
    return np.asarray(image.convert("RGB"))


def _grey_to_rgb(grey: NDArray[np.generic]) -> RGBImage:
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0][:120] if text else type(error).__name__
