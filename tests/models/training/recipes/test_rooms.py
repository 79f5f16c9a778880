import numpy as np
import pytest

from models.training.detection.coco import Sample
from models.training.recipes import rooms
from models.training.recipes.composed import block
from models.training.recipes.rooms import littered, room, taken

SIDE = 128


@pytest.fixture
def ground():
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


@pytest.fixture
def things():
    return [block(np.random.default_rng(seed)) for seed in range(6)]


def test_things_are_of_very_different_sizes(ground, things):
    longer = []
    for seed in range(30):
        sample = room(things, ground, SIDE, np.random.default_rng(seed))
        assert sample.image.shape == (SIDE, SIDE, 3)
        assert sample.boxes.min() >= 0
        assert sample.boxes.max() <= SIDE
        longer += (sample.boxes[:, 2:] - sample.boxes[:, :2]).max(axis=1).tolist()
    assert min(longer) < 0.2 * SIDE
    assert max(longer) > 0.8 * SIDE


def test_boxes_are_around_what_was_pasted(ground, monkeypatch):
    for chance in ("CROPPED", "BLURRED", "NOISY", "COMPRESSED"):
        monkeypatch.setattr(rooms, chance, 0)
    monkeypatch.setattr(rooms, "SHARPNESS", (1,))
    monkeypatch.setattr("models.training.recipes.composed.SHADOW", 0)
    body = np.full((40, 30, 4), 255, np.uint8)
    for seed in range(20):
        sample = room([body], ground * 0, SIDE, np.random.default_rng(seed))
        rows, columns = np.nonzero(sample.image.any(axis=2))
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(sample.boxes - tight).max() <= 2


def test_what_leaves_the_picture_is_cut_off(ground, monkeypatch):
    monkeypatch.setattr(rooms, "CROPPED", 1)
    body = np.full((40, 30, 4), 255, np.uint8)
    boxes = [room([body], ground, SIDE, np.random.default_rng(seed)).boxes for seed in range(40)]
    edges = np.concatenate(boxes)
    assert ((edges <= 0) | (edges >= SIDE)).any(axis=1).sum() > 5


def test_an_empty_room_has_no_boxes(ground):
    assert room([], ground, SIDE, np.random.default_rng(0)).boxes.shape == (0, 4)


def test_the_seed_decides(ground, things):
    first, again, other = (
        room(things, ground, SIDE, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


def test_litter_changes_a_ground_that_stays_as_it_was(ground):
    beyond = np.zeros_like(ground)
    changed = 0
    for seed in range(20):
        image = littered(ground, beyond, np.random.default_rng(seed))
        assert image.shape == ground.shape
        assert image.dtype == np.uint8
        changed += bool((image != ground).any())
    assert changed >= 18
    assert (ground == 128).all()


def test_a_camera_blurs_but_moves_nothing(ground):
    sample = Sample(ground, np.array([[10, 10, 50, 60]], np.float32))
    sample.image[10:60, 10:50] = 255
    for seed in range(10):
        after = taken(sample, np.random.default_rng(seed))
        assert np.array_equal(after.boxes, sample.boxes)
        assert after.image[15:55, 15:45].mean() > after.image[70:, 70:].mean() + 60
