from contextlib import suppress
from io import BytesIO
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.images import (
    EmptyImage,
    ImageError,
    ImageLimits,
    ImageTooLarge,
    ImageTooSmall,
    UnsupportedImage,
    check_bytes,
    decode,
    decode_reduced,
    encode_thumbnail,
    open_photograph,
)
from models.preprocess import Pyramid
from tests.app import pictures

LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000, min_side=16)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    height, width = image.shape[:2]
    spots = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    spots += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(int(v) for v in image[y, x]) for y, x in spots]


def assert_quarters(image: np.ndarray, tolerance: int = 12) -> None:
    assert image.dtype == np.uint8
    assert image.shape == (40, 80, 3)
    for seen, expected in zip(corners(image), (RED, GREEN, BLUE, WHITE), strict=True):
        assert np.abs(np.subtract(seen, expected)).max() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_every_format_is_read_as_rgb(kind: str) -> None:
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    assert_quarters(decode(pictures.encode(pictures.quarters(), kind, **options), LIMITS), 40)


def test_a_lack_of_memory_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    in_opencv = cv2.error("Insufficient memory")
    in_opencv.code = cv2.Error.StsNoMem
    for error in (MemoryError(), in_opencv):
        monkeypatch.setattr("app.images.simplejpeg.decode_jpeg", Mock(side_effect=error))
        with pytest.raises(MemoryError, match="not enough memory"):
            decode(pictures.jpeg(1), LIMITS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    assert_quarters(decode(pictures.turned(orientation), LIMITS))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_image_is_the_same_picture_and_knows_its_size(orientation: int) -> None:
    data = pictures.turned(orientation, 800, 400)
    reduced = decode_reduced(data, LIMITS, 80)
    assert (reduced.width, reduced.height) == (800, 400)
    assert reduced.pixels.shape == (100, 200, 3)
    whole = Image.fromarray(decode(data, LIMITS)).resize((200, 100), Image.Resampling.BOX)
    assert np.abs(reduced.pixels.astype(int) - np.asarray(whole)).mean() < 1


@pytest.mark.parametrize(
    ("side", "shape"),
    [(401, (400, 800, 3)), (201, (400, 800, 3)), (200, (200, 400, 3)), (1, (50, 100, 3))],
)
def test_reducing_leaves_the_pixels_asked_for(side: int, shape: tuple[int, ...]) -> None:
    assert decode_reduced(pictures.turned(1, 800, 400), LIMITS, side).pixels.shape == shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_has_the_same_parts_however_it_was_read(orientation: int) -> None:
    data = pictures.turned(orientation, 800, 400)
    reduced, whole = open_photograph(data, LIMITS, 100), Pyramid(decode(data, LIMITS))
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == (800, 400)
    for part in ((0, 0, 800, 400), (380, 180, 420, 220), (401, 7, 799, 391)):
        one, other = (p.crop(*part).reduced(16, 16).astype(int) for p in (reduced, whole))
        assert one.shape == other.shape
        assert np.abs(one - other).mean() < 2
    assert np.array_equal(reduced.pixels, whole.pixels)


def test_jpegs_decode_as_pillow_decodes_them() -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}):
        data = pictures.encode(Image.fromarray(pictures.noise(4, 331, 257)), "JPEG", **options)
        expected = np.asarray(Image.open(BytesIO(data)))
        assert np.abs(decode(data, LIMITS).astype(int) - expected).max() <= 1
    grey = pictures.encode(pictures.quarters().convert("L"), "JPEG", quality=95)
    assert np.ptp(decode(grey, LIMITS), axis=2).max() == 0


def test_a_jpeg_with_bytes_to_spare_is_read() -> None:
    data = pictures.encode(Image.fromarray(pictures.noise(4)), "JPEG")
    padded = data[:-2] + bytes(16) + data[-2:]
    assert np.array_equal(decode(padded, LIMITS), decode(data, LIMITS))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_malformed_exif_is_taken_as_upright() -> None:
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\xff"
    assert_quarters(decode(pictures.encode(pictures.quarters(), "JPEG", exif=exif), LIMITS), 40)


def test_cmyk_is_converted() -> None:
    data = pictures.encode(pictures.quarters().convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert_quarters(decode(data, LIMITS), 30)


def test_grey_becomes_three_equal_planes() -> None:
    image = decode(pictures.encode(pictures.quarters().convert("L")), LIMITS)
    assert image.shape == (40, 80, 3)
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = decode(pictures.encode(Image.fromarray(ramp)), LIMITS)
    assert np.abs(image[..., 0].astype(int) - (ramp >> 8)).max() <= 1


def test_transparency_is_laid_on_white() -> None:
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 16, 32))
    image = decode(pictures.encode(picture), LIMITS)
    assert tuple(image[16, 4]) == BLUE
    assert tuple(image[16, 28]) == WHITE


def test_palette_with_transparency() -> None:
    picture = pictures.quarters().quantize(8)
    assert_quarters(decode(pictures.encode(picture, "PNG", transparency=255), LIMITS))


def test_an_animation_is_its_first_frame() -> None:
    first, second = pictures.quarters(), Image.new("RGB", (80, 40), "black")
    data = pictures.encode(first, "GIF", save_all=True, append_images=[second])
    assert_quarters(decode(data, LIMITS), 40)


def test_empty() -> None:
    with pytest.raises(EmptyImage, match="Send the bytes"):
        decode(b"", LIMITS)


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7\n", b"\x00" * 100, b"<svg/>"])
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="Send JPEG, PNG"):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    ("brands", "says"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIC is not read. Set the iPhone to Most Compatible"),
        (b"mif1\0\0\0\0mif1heic", "HEIC is not read"),
        (b"hevc\0\0\0\0", "HEIC is not read"),
        (b"avif\0\0\0\0avifmif1miaf", "AVIF is not read"),
        (b"mif1\0\0\0\0avifmif1", "AVIF is not read"),
        (b"isom\0\0\2\0isommp41", "not an image that can be read"),
    ],
    ids=["heic", "heif", "sequence", "avif", "avif second", "film"],
)
def test_what_phones_write_is_named(brands: bytes, says: str) -> None:
    box = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    with pytest.raises(UnsupportedImage, match=says):
        decode(box + b"\0\0\0\x10metaheicavif" + bytes(100), LIMITS)


def test_avif_is_named() -> None:
    with pytest.raises(UnsupportedImage, match="AVIF is not read"):
        decode(pictures.encode(pictures.quarters(), "AVIF"), LIMITS)


def test_tiff_is_not_read() -> None:
    with pytest.raises(UnsupportedImage):
        decode(pictures.encode(pictures.quarters(), "TIFF"), LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    data = pictures.encode(Image.fromarray(pictures.noise(1, 400, 300)), kind)
    with pytest.raises(ImageError):
        decode(data[: int(len(data) * share)], LIMITS)


def test_size_is_checked_before_decoding() -> None:
    # 4 gigapixels in some hundred bytes: reaching the pixels would fail, or take gigabytes.
    with pytest.raises(ImageTooLarge, match="65000 × 65000"):
        decode(pictures.png_header_only(65_000, 65_000), LIMITS)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 20_000), (20_000, 15)])
def test_too_small(width: int, height: int) -> None:
    with pytest.raises(ImageTooSmall, match="at least 16"):
        decode(pictures.encode(Image.new("RGB", (width, height))), LIMITS)


def test_too_many_bytes() -> None:
    check_bytes(1_000_000, LIMITS)
    with pytest.raises(ImageTooLarge, match="more than 1,000,000 bytes"):
        decode(bytes(1_000_001), LIMITS)


def test_thumbnail_keeps_the_aspect_and_never_enlarges() -> None:
    thumbnail = decode(encode_thumbnail(pictures.noise(1, 1000, 500), max_side=200), LIMITS)
    assert thumbnail.shape == (100, 200, 3)
    assert decode(encode_thumbnail(pictures.noise(1, 60, 50)), LIMITS).shape == (50, 60, 3)


@given(st.data())
def test_damage_raises_nothing_but_image_errors(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP", "GIF"]))
    content = bytearray(pictures.encode(pictures.quarters(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        image = decode(bytes(content), LIMITS)
        assert image.dtype == np.uint8
        assert image.ndim == 3
