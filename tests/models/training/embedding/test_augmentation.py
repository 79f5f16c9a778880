import cv2
import numpy as np
import pytest

from models.training.embedding.augmentation import (
    HIDDEN_AREA,
    aslant,
    background,
    blurred,
    compressed,
    glare,
    hidden,
    lit,
    moved,
    on_background,
    published,
    training_view,
    turned,
)


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
    views = [published(image, rng) for _ in range(400)]
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


def test_angles_reach_a_quarter_turn_either_way():
    # A white mark right of the middle, on a disc of grey: its direction tells the angle.
    image = np.zeros((224, 224, 3), np.uint8)
    cv2.circle(image, (190, 112), 6, (255, 255, 255), -1)
    rng = np.random.default_rng(2)
    angles = []
    for _ in range(400):
        y, x = spot(published(image, rng))
        angles.append(np.degrees(np.arctan2(111.5 - y, abs(x - 111.5))))
    assert min(angles) < -75
    assert max(angles) > 75
    assert sum(abs(angle) > 20 for angle in angles) == pytest.approx(400 * 0.5 * 70 / 90, abs=40)


def test_a_plane_seen_aslant_keeps_its_middle_and_its_straight_lines():
    image = spotted(y=111, x=111)
    places = []
    for seed in range(30):
        view = aslant(image, np.random.default_rng(seed))
        assert view.shape == image.shape
        places.append(spot(view))
    # Corners move by at most 0.12 x 224 = 27 px, and the middle to where the diagonals cross.
    offsets = np.abs(np.array(places) - 111)
    assert 5 < np.median(offsets) < 27
    assert offsets.max() < 40
    ramp = np.tile(np.arange(224, dtype=np.uint8)[:, None, None], (1, 224, 3))
    column = aslant(ramp, np.random.default_rng(1))[60:160, 112, 0].astype(int)
    assert (np.diff(column) >= 0).all()


def test_light_scales_every_channel():
    grey = np.full((8, 8, 3), 100, np.uint8)
    means = np.array([lit(grey, np.random.default_rng(s)).mean(axis=(0, 1)) for s in range(200)])
    assert 44 <= means.min() < 55
    assert 125 < means.max() <= 143
    assert 0.8 < (means.max(axis=1) / means.min(axis=1)).max() < 1.23


def test_glare_is_one_soft_spot_that_only_brightens():
    grey = np.full((100, 100, 3), 60, np.uint8)
    for seed in range(20):
        lighter = glare(grey, np.random.default_rng(seed)).astype(int)
        assert lighter.min() >= 60
        brightest = np.unravel_index(lighter[..., 0].argmax(), (100, 100))
        assert lighter.max() > 60 + 0.59 * 195
        # It fades: half the frame away there is less of it.
        far = lighter[(brightest[0] + 50) % 100, (brightest[1] + 50) % 100, 0]
        assert far < lighter.max() - 30


def test_blur_spreads_an_edge_but_no_light():
    edge = np.zeros((64, 140, 3), np.uint8)
    edge[:, 70:] = 200
    view = blurred(edge, np.random.default_rng(0))
    assert view.mean() == pytest.approx(edge.mean(), abs=1)
    row = view[32, :, 0].astype(int)
    assert 2 <= np.count_nonzero((row > 5) & (row < 195)) <= 12
    assert np.abs(np.diff(row)).max() < 200


def test_what_is_hidden_is_a_rectangle_of_one_colour():
    image = np.random.default_rng(3).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    shares = []
    for seed in range(60):
        view = hidden(image, np.random.default_rng(seed))
        changed = (view != image).any(axis=2)
        ys, xs = np.nonzero(changed)
        box = view[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        assert len(np.unique(box.reshape(-1, 3), axis=0)) == 1
        shares.append(box.shape[0] * box.shape[1] / (120 * 90))
    assert HIDDEN_AREA[0] - 0.02 < min(shares) < 0.1
    assert 0.2 < max(shares) < HIDDEN_AREA[1] + 0.02


def test_compression_leaves_the_picture_but_not_its_pixels():
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    view = compressed(image, np.random.default_rng(0))
    difference = np.abs(view.astype(int) - image)
    assert 0 < difference.mean() < 8
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 220
    assert compressed(red, np.random.default_rng(0))[16, 16].tolist() == pytest.approx(
        [220, 0, 0], abs=6
    )


def test_what_is_transparent_shows_the_ground():
    image = np.zeros((10, 20, 4), np.uint8)
    image[:, :10] = (200, 100, 50, 255)
    image[:, 10:15] = (200, 100, 50, 128)
    ground = np.full((10, 20, 3), 20, np.uint8)
    laid = on_background(image, ground)
    assert laid[5, 5].tolist() == [200, 100, 50]
    assert laid[5, 12].tolist() == [110, 60, 35]
    assert laid[5, 17].tolist() == [20, 20, 20]
    grounds = [background(30, 30, np.random.default_rng(seed)) for seed in range(20)]
    plain = [len(np.unique(ground.reshape(-1, 3), axis=0)) == 1 for ground in grounds]
    assert 4 < sum(plain) < 16
    views = [training_view(image, 32, np.random.default_rng(seed)) for seed in range(10)]
    assert len({view[16, 30].tobytes() for view in views}) > 5


def test_a_view_comes_again_from_the_same_seed_and_has_the_size_asked_for():
    image = spotted(100, 80, 30, 20)
    views = [training_view(image, 64, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert {view.shape for view in views} == {(64, 64, 3)}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_the_aspect_is_not_kept():
    image = np.zeros((50, 400, 3), np.uint8)
    image[:, 100:] = 255
    rng = np.random.default_rng(1)
    # Three quarters are white, but for what was moved out of the frame, turned or hidden.
    shares = [training_view(image, 224, rng).mean() / 255 for _ in range(100)]
    assert np.median(shares) == pytest.approx(0.6, abs=0.15)
