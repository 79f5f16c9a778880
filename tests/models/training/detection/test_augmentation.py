import cv2
import numpy as np
import pytest

from models.training.detection.augmentation import crop, crop_to, distort_colours, flip, resize
from tests.models.training.detection.pictures import bright_box, picture


def test_a_flipped_box_is_still_around_its_body():
    sample = flip(picture(30, 50, [[5, 2, 15, 20]]))
    assert sample.boxes.tolist() == [[35, 2, 45, 20]] == [bright_box(sample.image)]
    again = flip(sample)
    assert again.boxes.tolist() == [[5, 2, 15, 20]]


def test_a_crop_moves_and_clips_boxes():
    sample = crop_to(picture(100, 100, [[10, 20, 50, 60]]), 30, 10, 60, 70)
    assert sample.image.shape == (70, 60, 3)
    assert sample.boxes.tolist() == [[0, 10, 20, 50]] == [bright_box(sample.image)]


def test_a_crop_drops_bodies_of_which_little_is_left():
    # Of 40 px width 12 are 30 %: 13 are enough, 11 are not.
    sample = picture(100, 100, [[10, 20, 50, 60]])
    assert len(crop_to(sample, 37, 0, 50, 100).boxes) == 1
    assert len(crop_to(sample, 39, 0, 50, 100).boxes) == 0


def test_random_crops_keep_a_body_and_its_place():
    sample = picture(80, 120, [[70, 40, 110, 70]])
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(50):
        cropped = crop(sample, rng)
        assert cropped.boxes.tolist() == [bright_box(cropped.image)]
        sizes.add(cropped.image.shape)
    assert len(sizes) > 40


def test_empty_images_are_cropped_too():
    rng = np.random.default_rng(0)
    cropped = crop(picture(80, 120, []), rng)
    assert cropped.boxes.shape == (0, 4)
    assert cropped.image.shape != (80, 120, 3)


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_resizing_scales_boxes_by_each_side(interpolation):
    sample = resize(picture(40, 80, [[20, 10, 40, 30]]), 80, 40, interpolation)
    assert sample.image.shape == (80, 40, 3)
    assert sample.boxes.tolist() == [[10, 20, 20, 60]] == [bright_box(sample.image)]


def test_colours_change_and_bodies_stay():
    sample = picture(20, 20, [[5, 5, 15, 15]])
    rng = np.random.default_rng(1)
    changed = [distort_colours(sample, rng) for _ in range(40)]
    assert all(bright_box(other.image) == [5, 5, 15, 15] for other in changed)
    assert all(other.image.dtype == np.uint8 for other in changed)
    assert len({other.image[0, 0, 0] for other in changed}) > 10
    assert sample.image[0, 0].tolist() == [20, 20, 20]


def test_grey_stays_grey_when_saturation_and_hue_change():
    sample = picture(20, 20, [[5, 5, 15, 15]])
    rng = np.random.default_rng(2)
    for _ in range(20):
        image = distort_colours(sample, rng).image.astype(int)
        assert np.ptp(image, axis=2).max() <= 1
