import cv2
import numpy as np
import pytest

from models.training.detection.coco import Sample
from models.training.recipes.composed import block
from models.training.recipes.grounds import GROUND_SIDE, landscapes, surroundings, wallpapers
from models.training.recipes.pictures import STAMP_SIDE, stamps
from models.training.recipes.pools import Pools, draw, draw_composed, draw_room

SIDE = 96
GREY = np.full((60, 80, 3), 90, np.uint8)


def put(folder, name, pixels=GREY):
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), pixels)


@pytest.fixture
def pools():
    rng = np.random.default_rng(0)
    cutouts = [block(rng) for _ in range(8)]
    photograph = Sample(GREY[:60, :60], np.array([[10, 10, 40, 50]], np.float32))
    return Pools(
        drinks=[photograph],
        groceries=[photograph],
        rendered=[photograph],
        bodies=cutouts,
        rendered_bodies=cutouts,
        models=cutouts,
        stamps=cutouts,
        blocks=cutouts,
        grounds=[GREY],
        landscapes=[GREY + 60],
        surroundings=[GREY + 120],
    )


def test_samples_of_every_kind_have_the_side_that_is_asked_for(pools):
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(120):
        sample = draw(pools, SIDE, rng)
        assert sample.image.shape == (SIDE, SIDE, 3)
        assert sample.boxes.shape[1] == 4
        assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
        counts.append(len(sample.boxes))
    assert min(counts) == 0
    assert max(counts) > 4


def test_a_room_is_the_same_for_a_seed(pools):
    first, again = (draw_room(pools, SIDE, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.boxes, again.boxes)


def test_an_empty_scene_has_no_boxes(pools):
    for seed in range(5):
        assert not len(draw_composed(pools, SIDE, np.random.default_rng(seed), 0).boxes)


def test_stamps_are_bodies_not_symbols(tmp_path):
    folder = tmp_path / "usr/share/tuxpaint/stamps"
    zebra = np.zeros((900, 700, 4), np.uint8)
    zebra[100:800, 50:650] = 255
    put(folder / "animals", "zebra.png", zebra)
    put(folder / "animals", "without_opacity.png")
    put(folder / "symbols", "a.png", zebra)
    [found] = stamps(tmp_path)
    assert found.shape[2] == 4
    assert max(found.shape) <= STAMP_SIDE
    assert found.shape[0] / found.shape[1] == pytest.approx(7 / 6, abs=0.02)


def test_grounds_show_no_bodies_and_a_wallpaper_counts_once(tmp_path):
    share = tmp_path / "usr/share"
    put(share / "tuxpaint/templates", "rocks.jpg")
    put(share / "tuxpaint/templates", "sheep.jpg")
    for size in (50, 200):
        put(share / "wallpapers/Path/contents/images", f"{size}.jpg", cv2.resize(GREY, (size, 60)))
    put(share / "wallpapers/Kite/contents/images", "80.jpg")
    found = list(landscapes(tmp_path))
    assert len(found) == 2
    assert all(min(ground.shape[:2]) == GROUND_SIDE for ground in found)
    for number in range(5):
        put(share / "backgrounds", f"{number}.png")
    put(share / "backgrounds", "goldfish.png")
    assert len(list(wallpapers(tmp_path, "train"))) == 4
    assert len(list(wallpapers(tmp_path, "kept"))) == 1


def test_surroundings_are_beside_all_bodies():
    image = np.zeros((100, 100, 3), np.uint8)
    image[20:60, 45:90] = 255
    found = list(surroundings([Sample(image, np.array([[45, 20, 90, 60]], np.float32))]))
    assert [window.shape[:2] for window in found] == [(100, 45), (40, 100)]
    assert not any(window.any() for window in found)
