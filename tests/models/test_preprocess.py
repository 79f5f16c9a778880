import cv2
import numpy as np
import pytest

from models.pack import Pack
from models.preprocess import Preprocessor


@pytest.fixture
def spec(pack_folder):
    return Pack.load(pack_folder).detector


def as_published(image, spec, interpolation):
    """The formula in its published order, in double precision."""
    height, width = spec.input_size
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    values = (resized * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return values.transpose(2, 0, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (37, 211), (640, 640), (1080, 1920)])
@pytest.mark.parametrize(
    ("name", "interpolation"),
    [("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC), ("area", cv2.INTER_AREA)],
)
def test_equals_the_published_formula(spec, shape, name, interpolation):
    image = np.random.default_rng(4).integers(0, 256, (*shape, 3), dtype=np.uint8)
    changed = spec.model_copy(
        update={
            "interpolation": name,
            "input_size": (64, 96),
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
        }
    )
    preprocessor = Preprocessor(changed)
    batch = preprocessor.batch(2)
    preprocessor.write(image, batch[1])
    np.testing.assert_allclose(batch[1], as_published(image, changed, interpolation), atol=2e-6)
    assert batch.shape == (2, 3, 64, 96)
    assert batch.dtype == np.float32


def test_a_crop_that_is_a_view_counts_like_its_copy(spec):
    image = np.random.default_rng(5).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    view = image[11:47, 20:71]
    preprocessor = Preprocessor(spec)
    batch = preprocessor.batch(2)
    preprocessor.write(view, batch[0])
    preprocessor.write(view.copy(), batch[1])
    np.testing.assert_array_equal(batch[0], batch[1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_anything_but_rgb_bytes_is_refused(spec, image):
    preprocessor = Preprocessor(spec)
    with pytest.raises(ValueError, match="expected uint8"):
        preprocessor.write(image, preprocessor.batch(1)[0])
