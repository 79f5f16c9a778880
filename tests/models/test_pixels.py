import io

import numpy as np
import pytest
from PIL import Image

from app.images import ImageLimits, decode
from models.pixels import eight_bits, to_rgb
from models.training.embedding.pictures import Picture
from models.training.quantise import _load


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_grey_of_16_bits_is_scaled(mode):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    image = Image.fromarray(deep if mode == "I;16" else deep.astype(np.int32))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(eight_bits(image)), deep >> 8)


def test_what_is_transparent_lies_on_white():
    clear = Image.new("RGBA", (2, 2), (30, 23, 15, 0))
    assert to_rgb(clear).tolist() == [[[255] * 3] * 2] * 2


def test_service_training_and_quantising_see_the_same(tmp_path):
    rng = np.random.default_rng(3)
    for name, image in {
        "deep.png": Image.fromarray(rng.integers(0, 65536, (40, 30), dtype=np.uint16)),
        "grey.png": Image.fromarray(rng.integers(0, 256, (40, 30), dtype=np.uint8)),
        "colour.png": Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)),
    }.items():
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        (tmp_path / name).write_bytes(buffer.getvalue())
        served = decode(buffer.getvalue(), ImageLimits(10**6, 10**6, 1))
        np.testing.assert_array_equal(Picture(tmp_path / name, "p").load(), served)
        np.testing.assert_array_equal(_load(tmp_path / name), served)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_strips_of_a_picture_are_converted_as_the_whole(mode, monkeypatch):
    picture = Image.fromarray(
        np.random.default_rng(3).integers(0, 256, (50, 40, 4), np.uint8), "RGBA"
    )
    image = picture.convert("I" if mode == "I;16" else mode)
    whole = to_rgb(image)
    monkeypatch.setattr("models.pixels._STRIP_PIXELS", 40 * 7)
    np.testing.assert_array_equal(to_rgb(image), whole)
