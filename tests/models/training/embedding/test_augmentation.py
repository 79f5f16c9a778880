import cv2
import numpy as np
import pytest

from models.training.embedding.augmentation import augmented, moved, training_batch, turned


def spotted(height=224, width=224, y=60, x=150):
    """Grey, with a white spot whose middle is there."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[y - 4 : y + 5, x - 4 : x + 5] = 255
    return image


def spot(image):
    ys, xs = np.nonzero(image[..., 0] > 170)
    return ys.mean(), xs.mean()


def test_moving_pads_with_black():
    image = spotted()
    view = moved(image, 7, -10)
    assert view.shape == image.shape
    assert spot(view) == (50, 157)
    assert not view[-10:].any()
    assert not view[:, :7].any()
    assert view[:-10, 7:].min() == 90
    assert np.array_equal(moved(image, 0, 0), image)


def test_turning_is_about_the_middle():
    image = spotted()
    assert np.array_equal(turned(image, 0), image)
    assert np.array_equal(turned(image, 90), np.rot90(image))
    assert np.array_equal(turned(image, -90), np.rot90(image, -1))
    slanted = turned(image, 45)
    assert not slanted[0, 0].any()
    # From the middle (111.5, 111.5) the spot is 38.5 right and 51.5 up; 45° on, that is 9.2 left of
    # it and 63.6 up.
    assert spot(slanted) == pytest.approx((111.5 - 63.6, 111.5 - 9.2), abs=0.5)


def test_views_are_mirrored_moved_and_turned_in_the_published_shares():
    image = spotted()
    rng = np.random.default_rng(1)
    views = [augmented(image, rng) for _ in range(400)]
    assert {view.shape for view in views} == {(224, 224, 3)}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}
    # Turning resamples and makes new shades; nothing else does.
    spots = [spot(view) for view in views if set(np.unique(view)) <= {0, 90, 255}]
    assert 160 < len(spots) < 240
    # The spot is at 60 down, 150 right, or mirrored at 73.
    mirrored = np.array([x for _, x in spots if x < 112])
    straight = np.array([x for _, x in spots if x > 112])
    assert 0.4 < len(mirrored) / len(spots) < 0.6
    for places, middle in ((np.array([y for y, _ in spots]), 60), (straight, 150), (mirrored, 73)):
        assert (places.min(), places.max()) == (middle - 10, middle + 10)


def test_the_aspect_is_not_kept():
    image = np.zeros((50, 400, 3), np.uint8)
    image[:, 100:] = 255
    rng = np.random.default_rng(1)
    shares = [augmented(image, rng).mean() / 255 for _ in range(40)]
    # Three quarters are white, but for what was moved out of the frame or turned into black.
    assert min(shares) > 0.5
    assert max(shares) < 0.8


def test_angles_reach_a_quarter_turn_either_way():
    # A white mark right of the middle, on a disc of grey: its direction tells the angle.
    image = np.zeros((224, 224, 3), np.uint8)
    cv2.circle(image, (190, 112), 6, (255, 255, 255), -1)
    rng = np.random.default_rng(2)
    angles = []
    for _ in range(400):
        y, x = spot(augmented(image, rng))
        angles.append(np.degrees(np.arctan2(111.5 - y, abs(x - 111.5))))
    assert min(angles) < -75
    assert max(angles) > 75
    assert sum(abs(angle) > 20 for angle in angles) == pytest.approx(400 * 0.5 * 70 / 90, abs=40)


def test_a_batch_is_normalised_and_comes_again_from_the_same_seed():
    images = [spotted(), spotted(100, 80, 30, 20)]
    batch = training_batch(images, np.random.default_rng(5))
    assert batch.dtype == np.float32
    assert batch.shape == (2, 3, 224, 224)
    assert np.array_equal(batch, training_batch(images, np.random.default_rng(5)))
    assert not np.array_equal(batch, training_batch(images, np.random.default_rng(6)))
    rng = np.random.default_rng(5)
    first = augmented(images[0], rng) / 255
    expected = (first - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(batch[0], expected.transpose(2, 0, 1), atol=1e-5)
