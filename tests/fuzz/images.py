"""Fuzzes the image gate: python -m tests.fuzz.images -runs=1000000.

Anything but an image or an ImageError is a crash, more than a second a hang.
"""

import warnings

import atheris

with atheris.instrument_imports(include=["app.images", "PIL"]):
    from app.images import ImageError, ImageLimits, decode

from tests.app import pictures
from tests.fuzz.seeds import run

# Few pixels, so that what takes long is not just large.
LIMITS = ImageLimits(max_bytes=100_000, max_pixels=1_000_000, min_side=1)


def target(data: bytes) -> None:
    try:
        image = decode(data, LIMITS)
    except ImageError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size <= 3 * LIMITS.max_pixels


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    small = pictures.quarters(32, 24)
    run(
        target,
        [
            *(pictures.encode(small, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP")),
            *(pictures.encode(small.convert(mode)) for mode in ("L", "P", "RGBA", "1", "I;16")),
            pictures.encode(small, "JPEG", progressive=True),
            pictures.encode(small.convert("CMYK"), "JPEG"),
            pictures.turned(6),
        ],
    )
