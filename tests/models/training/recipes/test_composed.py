import numpy as np
import pytest

from models.training.recipes import composed
from models.training.recipes.composed import LEAST_VISIBLE, block, compose

SIDE = 200


def plain(colour, height=60, width=40):
    body = np.empty((height, width, 4), np.uint8)
    body[:] = (*colour, 255)
    return body


@pytest.fixture
def ground():
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


def test_a_box_is_around_what_changed(monkeypatch):
    monkeypatch.setattr(composed, "HAND", 0)
    for seed in range(30):
        black = np.zeros((SIDE, SIDE, 3), np.uint8)
        sample = compose([plain((250, 210, 230))], black, 0.4, np.random.default_rng(seed))
        rows, columns = np.nonzero(sample.image.any(axis=2))
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(sample.boxes - tight).max() <= 2


def test_bodies_keep_half_of_themselves(ground):
    bodies = [block(np.random.default_rng(seed)) for seed in range(8)]
    overlapping = 0
    for seed in range(40):
        sample = compose(bodies, ground, 0.35, np.random.default_rng(seed))
        assert 1 <= len(sample.boxes) <= len(bodies)
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        assert (sides > 0).all()
        assert sample.boxes.min() >= 0
        assert sample.boxes.max() <= SIDE
        for place, a in enumerate(sample.boxes):
            for b in sample.boxes[place + 1 :]:
                shared = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                overlapping += bool((shared > 0).all())
    assert overlapping > 20
    assert LEAST_VISIBLE == 0.5


def test_no_bodies_no_boxes(ground):
    sample = compose([], ground, 0.4, np.random.default_rng(1))
    assert sample.boxes.shape == (0, 4)


def test_the_seed_decides(ground):
    bodies = [block(np.random.default_rng(seed)) for seed in range(3)]
    first, again, other = (
        compose(bodies, ground, 0.4, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


def test_a_block_is_mostly_opaque():
    for seed in range(20):
        made = block(np.random.default_rng(seed))
        assert made.shape[2] == 4
        assert (made[..., 3] == 255).mean() > 0.5
