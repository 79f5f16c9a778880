import cv2
import numpy as np
import pytest

from models.pack import Pack
from models.preprocess import Preprocessor, Pyramid, reading_side


@pytest.fixture
def spec(pack_folder):
    return Pack.load(pack_folder).detector


def as_published(image, spec, interpolation):
    """The formula in its published order, in double precision."""
    height, width = spec.input_size
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    values = (resized * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return values.transpose(2, 0, 1)


SMALL = [(1, 1), (1, 2000), (37, 211)]
LARGE = [(64, 96), (640, 640), (1080, 1920)]


@pytest.mark.parametrize(
    ("name", "interpolation", "shape"),
    [("linear", cv2.INTER_LINEAR, shape) for shape in SMALL + LARGE]
    + [("cubic", cv2.INTER_CUBIC, shape) for shape in SMALL + LARGE]
    + [("area", cv2.INTER_AREA, shape) for shape in SMALL],
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


# Of a network for 64 x 96: below 3 times that, beyond it, and long in one direction.
SIZES = [(64, 96), (70, 250), (191, 287), (192, 288), (500, 701), (1080, 1920), (65, 5000)]


@pytest.mark.parametrize("shape", SIZES)
def test_a_large_picture_is_averaged_as_at_once(spec, shape):
    coarse = np.random.default_rng(6).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    levels = grey_levels(spec, image)
    assert np.abs(levels - cv2.resize(image, (96, 64), interpolation=cv2.INTER_AREA)).mean() < 1


@pytest.mark.parametrize("shape", SIZES[2:])
def test_averaging_skips_no_pixels(spec, shape):
    noise = np.random.default_rng(8).integers(0, 2, (*shape, 3), dtype=np.uint8) * 255
    # The standard deviation of a mean of so many coins.
    exact = cv2.resize(noise, (96, 64), interpolation=cv2.INTER_AREA).std()
    assert exact * 0.7 < grey_levels(spec, noise).std() < exact * 1.3


def test_a_picture_of_the_networks_size_is_not_blurred(spec):
    noise = np.random.default_rng(8).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grey_levels(spec, noise), noise)
    # One side as wanted, the other halved.
    doubled = np.repeat(noise, 2, axis=1)
    np.testing.assert_array_equal(grey_levels(spec, doubled), noise)


def grey_levels(spec, image):
    """What averaging makes of an image: [64, 96, 3], 0 to 255."""
    plain = {"interpolation": "area", "input_size": (64, 96)}
    preprocessor = Preprocessor(
        spec.model_copy(update=plain | {"scale": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)})
    )
    batch = preprocessor.batch(1)
    preprocessor.write(image, batch[0])
    return batch[0].transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("shape", "levels"), [((191, 400), 0), ((192, 288), 1), ((1080, 1920), 3), ((65, 5000), 0)]
)
def test_halving_keeps_one_and_a_half_times_the_pixels_and_the_picture(shape, levels):
    coarse = np.random.default_rng(6).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    reduced = Pyramid(image).reduced(64, 96)
    assert reduced.shape == (shape[0] >> levels, shape[1] >> levels, 3)
    at_once = cv2.resize(image, (96, 64), interpolation=cv2.INTER_AREA)
    after = cv2.resize(reduced, (96, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(at_once.astype(int) - after).mean() < 2


def test_crops_of_crops_are_parts_of_the_image():
    image = np.random.default_rng(7).integers(0, 256, (97, 113, 3), dtype=np.uint8)
    whole = Pyramid(image)
    part = whole.crop(10, 20, 90, 95).crop(3, 5, 60, 70)
    assert (part.width, part.height) == (57, 65)
    np.testing.assert_array_equal(part.pixels, image[25:90, 13:70])
    half = cv2.resize(image[:96, :112], (56, 48), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(part.reduced(20, 18), half[12:45, 6:35])
    assert whole.crop(112, 96, 113, 97).pixels.shape == (1, 1, 3)


def test_the_whole_image_is_read_only_for_parts_that_need_its_pixels():
    coarse = np.random.default_rng(9).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (401, 301), interpolation=cv2.INTER_CUBIC)
    half = cv2.resize(image, (201, 151), interpolation=cv2.INTER_AREA)
    read = []

    def whole():
        read.append(image)
        return image

    photograph = Pyramid.read_reduced(half, 301, 401, whole)
    assert (photograph.height, photograph.width) == (301, 401)
    corner = photograph.crop(201, 101, 401, 301)
    np.testing.assert_array_equal(corner.reduced(60, 60), half[50:151, 100:201])
    assert photograph.reduced(20, 20).shape == (37, 50, 3)
    np.testing.assert_array_equal(corner.reduced(85, 85), half[50:151, 100:201])
    assert not read
    np.testing.assert_array_equal(corner.reduced(90, 90), image[101:301, 201:401])
    np.testing.assert_array_equal(photograph.pixels, image)
    assert len(read) == 1
    # An answer does not depend on what was asked before it.
    np.testing.assert_array_equal(corner.reduced(85, 85), half[50:151, 100:201])


def test_how_far_a_photograph_may_be_reduced(spec):
    detector = spec.model_copy(update={"interpolation": "area", "input_size": (320, 400)})
    embedder = spec.model_copy(update={"interpolation": "area", "input_size": (224, 192)})
    assert reading_side(detector, embedder) == 1031
    assert reading_side(detector, embedder.model_copy(update={"input_size": (60, 64)})) == 600
    linear = embedder.model_copy(update={"interpolation": "linear"})
    assert reading_side(detector, linear) is reading_side(linear, embedder) is None


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
