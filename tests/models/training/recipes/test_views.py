"""What the embedder's training does to pictures."""

import numpy as np
import pytest

from models.training.recipes.cylinders import ASPECT, HEIGHT, cylinder
from models.training.recipes.views import (
    LUMINANCE,
    disturbed,
    exposed,
    hindered,
    hue_turn,
    pasted,
    photographed,
    recoloured,
)

SIDE = 48
GREY = np.full((90, 120, 3), 128, np.uint8)


def picture(seed=0, height=90, width=120):
    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    return np.kron(small, np.ones((height // 9, width // 12, 1), np.uint8))


def red_body(height=60, width=40):
    body = np.zeros((height, width, 4), np.uint8)
    body[..., 0] = body[..., 3] = 255
    return body


@pytest.mark.parametrize("angle", [0.3, 2.0, 4.5])
def test_turning_hues_keeps_luminance_and_greys(angle):
    turn = hue_turn(angle)
    np.testing.assert_allclose(LUMINANCE @ turn, LUMINANCE, atol=1e-5)
    np.testing.assert_allclose(turn @ np.ones(3), np.ones(3), atol=1e-5)
    assert np.abs(turn @ [1.0, 0, 0] - [1, 0, 0]).max() > 0.1


def test_hues_turned_back_are_the_same():
    np.testing.assert_allclose(hue_turn(1.2) @ hue_turn(-1.2), np.eye(3), atol=1e-5)


def test_another_hue_has_the_same_outline():
    body = red_body()
    body[:10, :, 3] = 0
    other = recoloured(body, hue_turn(2.1))
    np.testing.assert_array_equal(other[..., 3], body[..., 3])
    assert other[30, 20, 0] < 128 <= max(other[30, 20, 1:3])


def test_a_view_of_a_body_shows_the_body():
    image = GREY.copy()
    image[30:60, 40:80] = (255, 0, 0)
    rng = np.random.default_rng(1)
    views = [photographed(image, [(40, 30, 80, 60)], SIDE, rng) for _ in range(60)]
    red = [(view[..., 0] > 200).mean() for view in views]
    assert all(view.shape == (SIDE, SIDE, 3) for view in views)
    # Half of the views are close to the body; the others are of the whole or of a part.
    assert np.quantile(red, 0.75) > 0.6
    assert min(red) < 0.3


def test_a_pasted_body_lies_on_the_ground():
    rng = np.random.default_rng(2)
    ground = np.full((100, 100, 3), (0, 0, 200), np.uint8)
    for _ in range(20):
        view = pasted(red_body(), ground, SIDE, rng)
        red, blue = (view[..., 0] > 200).mean(), (view[..., 2] > 60).mean()
        assert red > 0.1
        assert red + blue > 0.8


def test_an_upright_body_only_leans():
    body = red_body(60, 20)
    body[:30, :, 0], body[:30, :, 1] = 0, 255  # green above
    ground = np.full((100, 100, 3), (0, 0, 200), np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(20):
        view = pasted(body, ground, SIDE, rng, upright=True)
        green, red = (np.nonzero(view[..., channel] > 200)[0].mean() for channel in (1, 0))
        assert green < red - SIDE / 8


def test_other_light_keeps_what_is_seen():
    view = picture(4, 54, 60)[:48, :48]
    rng = np.random.default_rng(4)
    lit = [exposed(view, rng) for _ in range(40)]
    assert min(np.corrcoef(view.ravel(), other.ravel())[0, 1] for other in lit) > 0.9
    assert np.std([other.mean() for other in lit]) > 5


def test_hindering_hides_part_of_a_picture_or_blurs_all_of_it():
    view = picture(4)
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(40):
        hidden, soft = hindered(view, rng)
        assert hidden.shape == soft.shape == view.shape
        shares.append((hidden != view).any(axis=2).mean())
        edges = np.abs(np.diff(view.astype(int), axis=1)).max()
        assert np.abs(np.diff(soft.astype(int), axis=1)).max() < edges
    assert 0.1 < min(shares) < max(shares) < 0.4


def test_views_are_drawn_by_the_generator_alone():
    def drawn(seed):
        rng = np.random.default_rng(seed)
        view = pasted(red_body(), picture(), SIDE, rng)
        return disturbed(view, [picture(3)], rng)

    np.testing.assert_array_equal(drawn(5), drawn(5))
    assert (drawn(5) != drawn(6)).any()


def test_disturbing_leaves_its_input_and_most_of_the_picture():
    view = picture(4, 54, 60)[:48, :48].copy()
    before = view.copy()
    rng = np.random.default_rng(7)
    alike = []
    for _ in range(60):
        other = disturbed(view, [GREY], rng)
        alike.append(np.corrcoef(view.ravel(), other.ravel())[0, 1])
    np.testing.assert_array_equal(view, before)
    assert np.median(alike) > 0.8
    assert min(alike) < 0.8


@pytest.mark.parametrize("kind", ASPECT)
def test_a_cylinder_shows_the_part_of_its_label_that_faces_the_camera(kind):
    label = np.zeros((60, 400, 3), np.uint8)
    label[:, :200, 1] = label[:, 200:, 2] = 200  # green to the left of the front, blue to the right
    seen = cylinder(label, kind, np.random.default_rng(8))
    assert seen.shape[0] == HEIGHT
    assert seen.shape[1] / HEIGHT == pytest.approx(ASPECT[kind], rel=0.1)
    row = seen[HEIGHT * 2 // 3].astype(int)
    left, right = row[len(row) // 8], row[-len(row) // 8]
    assert left[1] > left[2]
    assert right[2] > right[1]
    assert (seen[HEIGHT // 2, :, 3] == 255).all()
    assert seen[0, 0, 3] == 0
