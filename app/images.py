"""The image gate: untrusted bytes in, a checked upright RGB image out.

The size is read from the header before anything is decoded: a PNG of 140 KB can cost 825 MB.
"""

import io
import re
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from threading import Lock

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from models.pixels import to_rgb
from models.preprocess import Pyramid

RGBImage = NDArray[np.uint8]

# JPEG includes MPO, which many phones write into a file called .jpg. TIFF is left out: no camera
# at a till writes it, and its decoder is the largest attack surface of them all.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_JPEG = ("JPEG", "MPO")
FORMAT_NAMES = "JPEG, PNG, WebP, GIF or BMP"

# Brands of ISO/IEC 23008-12 and of the AV1 Image File Format.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}

# Encoders write ten or so. Each is a pass over all pixels for as little as 75 bytes: a hundred cost
# 2 s at 49 megapixels, and a file may have thousands. The library leaves the limit to its callers.
MOST_JPEG_SCANS = 50
# Of up to 64 KB each, and Pillow takes a microsecond for an empty one: 3 s for a file of them.
MOST_JPEG_SEGMENTS = 1000
# Pillow takes up to 16 bytes a pixel, and 50 megapixels may come in 90 KB. Images with more pixels
# than these go through it one at a time; ordinary JPEGs pass it by.
MANY_PIXELS = 9_000_000
_large = Lock()
# Pillow reads other formats part by part, and each read takes a microsecond: 5 s for a PNG of empty
# chunks. A file of 20 MB with chunks of 8 KB takes 8,000.
MOST_READS = 100_000
# A PNG has one (W3C PNG, 11.3.2.3), and Pillow unpacks up to 1 MB from a thousand bytes for each.
# The name may be found among the pixels, too, hardly ever twice.
MOST_PNG_PROFILES = 10
_PNG_START = b"\x89PNG"
_JPEG_START = b"\xff\xd8\xff"
# What ends an image or has a length behind it (ITU-T T.81, B.1.1.3). Among the data of a scan 0xff
# is followed by 0, by D0 to D7 for a restart or by another 0xff.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"

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


class PlainImage(ImageError):
    """One even colour, as of a covered lens: nothing that a product could be known by."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds on what is decoded: bytes of the file, pixels, and the shortest side in pixels."""

    max_bytes: int
    max_pixels: int
    min_side: int


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Pixels uint8 [H, W, 3], RGB, upright, of an upright image of `width` by `height` pixels.

    They are fewer where fewer were asked for.
    """

    pixels: RGBImage
    width: int
    height: int


def decode(data: bytes, limits: ImageLimits) -> RGBImage:
    """Decode one image to uint8 [H, W, 3], RGB, upright (EXIF applied), first frame.

    Transparency is laid on white, as a product picture's page would show it; grey, CMYK and 16-bit
    images become 8-bit RGB.

    Raises:
        ImageError: one of its kinds, before decoding where the header tells.
        MemoryError: there was none for it, which says nothing of the image.
    """
    return decode_reduced(data, limits, None).pixels


def decode_reduced(data: bytes, limits: ImageLimits, side: int | None) -> Decoded:
    """As `decode`; where `side` is given a JPEG may be read at a half, a quarter or an eighth.

    Both sides keep `side` pixels then: it takes two thirds of the time for 12 megapixels.

    Raises:
        ImageError, MemoryError: as `decode`.
    """
    if not data:
        raise EmptyImage("The image is empty. Send the bytes of an image file.")
    check_bytes(len(data), limits)
    if data.startswith(_JPEG_START):
        _check_segments(data)
    if data.startswith(_PNG_START) and data.count(b"iCCP") > MOST_PNG_PROFILES:
        raise DamagedImage("The PNG has several colour profiles. Save it again as a plain one.")
    try:
        # Opening reads the header only; pixels are decoded by load().
        with _opened(data) as image:
            _check_size(image.size, limits)
            pixels = _decode_jpeg(data, image, side)
            if pixels is not None:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
                width, height = image.size[::-1] if orientation in _ON_ITS_SIDE else image.size
                return Decoded(_upright(pixels, orientation), width, height)
            many = image.width * image.height > MANY_PIXELS
        # A WebP that is open has memory for its pixels already.
        del image
        with _large if many else nullcontext():
            pixels = _decode_other(data)
        return Decoded(pixels, pixels.shape[1], pixels.shape[0])
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise UnsupportedImage(_not_read(data)) from None
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem:
            raise MemoryError("There was not enough memory to decode an image.") from error
        # Pillow's decoders raise whatever their parsing ran into (OSError, SyntaxError,
        # struct.error, IndexError, zlib.error …): to the sender they all mean the same.
        raise DamagedImage(
            f"The image is damaged or incomplete ({_first_line(error)}). Send the whole file again."
        ) from error


def open_photograph(data: bytes, limits: ImageLimits, side: int | None) -> Pyramid:
    """As `decode_reduced`; the whole image is decoded when a part needs more of its pixels.

    Raises:
        ImageError, MemoryError: as `decode`.
    """
    read = decode_reduced(data, limits, side)
    return Pyramid.read_reduced(read.pixels, read.height, read.width, lambda: decode(data, limits))


def check_bytes(size: int, limits: ImageLimits) -> None:
    """Raise ImageTooLarge when `size` bytes, of which more may be to come, are over the limit."""
    if size > limits.max_bytes:
        raise ImageTooLarge(
            f"The image file has more than {limits.max_bytes:,} bytes, the most that are read. "
            "Send a smaller or more compressed image."
        )


def encode_thumbnail(image: RGBImage, *, max_side: int = 512, quality: int = 88) -> bytes:
    """Encode uint8 [H, W, 3] RGB as a JPEG whose longest side is at most `max_side` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _not_read(data: bytes) -> str:
    """What a file is that is none of ours, and what to do."""
    # ISO/IEC 14496-12, 4.3: a size, "ftyp", and brands of four bytes; AVIF has some of HEIF's.
    size = int.from_bytes(data[:4], "big")
    head = data[: min(size, 256)]
    brands = {head[at : at + 4] for at in range(8, len(head), 4)} if head[4:8] == b"ftyp" else set()
    if brands & _AVIF:
        return f"AVIF is not read. Send {FORMAT_NAMES}."
    if brands & _HEIF:
        return (
            "HEIC is not read. Set the iPhone to Most Compatible (Settings, Camera, Formats), or "
            f"convert the image: send {FORMAT_NAMES}."
        )
    return f"This is not an image that can be read. Send {FORMAT_NAMES}."


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


class _CountedReads(io.BytesIO):
    """An image's bytes, read in no more parts than a file of a camera's or an editor's has."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_READS

    def read(self, size: int | None = -1) -> bytes:
        """As of any file.

        Raises:
            DamagedImage: there were too many.
        """
        self._left -= 1
        if self._left < 0:
            raise DamagedImage(
                f"The image has more than {MOST_READS:,} parts. Save it again as a plain one."
            )
        return super().read(size)


def _check_segments(data: bytes) -> None:
    """Raise DamagedImage when a JPEG's image has more parts than an encoder writes.

    Neither EXIF's thumbnail counts nor what a phone puts behind the image.
    """
    segments = scans = place = 0
    while marker := _MARKER.search(data, place):
        place = marker.end()
        segments += 1
        if marker[1] != _END_OF_IMAGE:
            place += max(2, int.from_bytes(data[place : place + 2]))
            scans += marker[1] == _START_OF_SCAN
        elif scans:
            # Before any scan it ends tables alone, and Pillow decodes what is behind them.
            return
        if scans > MOST_JPEG_SCANS or segments > MOST_JPEG_SEGMENTS:
            raise DamagedImage(
                f"The JPEG has more than {MOST_JPEG_SCANS} scans or {MOST_JPEG_SEGMENTS} segments. "
                "Save it again as a plain one."
            )


def _decode_jpeg(data: bytes, image: Image.Image, side: int | None) -> RGBImage | None:
    """The pixels as they lie in the file, straight into an array; None where Pillow has to.

    Pillow decodes with the same library, but into four bytes a pixel, and copies them twice.
    """
    if image.format not in _JPEG or image.mode not in ("RGB", "L"):
        return None
    width, height = image.size
    least = {}
    if side is not None:
        part = next((p for p in (8, 4, 2) if min(width, height) >= side * p), 1)
        least = {"min_width": ceil(width / part), "min_height": ceil(height / part)}
    try:
        pixels: RGBImage = simplejpeg.decode_jpeg(data, "RGB", strict=True, **least)
    except ValueError:
        # It takes every warning for an error; which of them spoil the image, Pillow decides.
        return None
    return pixels


def _decode_other(data: bytes) -> RGBImage:
    """What Pillow reads, in memory that is free again on return but for the pixels."""
    with _opened(data) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)


def _opened(data: bytes) -> Image.Image:
    return Image.open(_CountedReads(data), formats=FORMATS)


# EXIF's orientations in which rows are the upright image's columns.
_ON_ITS_SIDE = (5, 6, 7, 8)


def _upright(pixels: RGBImage, orientation: int) -> RGBImage:
    if orientation in (5, 7):
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    turn = {
        3: cv2.ROTATE_180,
        6: cv2.ROTATE_90_CLOCKWISE,
        7: cv2.ROTATE_180,
        8: cv2.ROTATE_90_COUNTERCLOCKWISE,
    }.get(orientation)
    if turn is not None:
        pixels = np.asarray(cv2.rotate(pixels, turn), np.uint8)
    if orientation in (2, 4):
        pixels = np.asarray(cv2.flip(pixels, 1 if orientation == 2 else 0), np.uint8)
    return pixels


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0][:120] if text else type(error).__name__
