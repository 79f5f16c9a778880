from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.detector import Box, Detector
from models.errors import ClosedError, PackError
from models.pack import Pack
from tests.models.tiny_packs import LEGACY, write_pack

HEIGHT, WIDTH = 320, 960  # half and one and a half times the network's 640


def picture(*cells, bright=255):
    """Grey, with the given (column, row) cells of the 4×4 grid brighter."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for number, (column, row) in enumerate(cells):
        y, x = row * HEIGHT // 4, column * WIDTH // 4
        image[y : y + HEIGHT // 4, x : x + WIDTH // 4] = bright - 20 * number
    return image


def cell_box(column, row):
    """Where GridDetector draws the box of a cell, in pixels of the picture."""
    sx, sy = WIDTH / 640, HEIGHT / 640
    return (
        (column * 160 + 16) * sx,
        (row * 160 + 16) * sy,
        ((column + 1) * 160 - 16) * sx,
        ((row + 1) * 160 - 16) * sy,
    )


def corners(box: Box):
    return (box.x1, box.y1, box.x2, box.y2)


@pytest.fixture(params=["new", "legacy", "new with im_shape", "legacy with im_shape"])
def detector(request, tmp_path, exported):
    source = LEGACY if request.param.startswith("legacy") else exported
    stem = "detector_im_shape" if request.param.endswith("im_shape") else "detector"
    embedder = "embedder"
    folder = write_pack(tmp_path / "pack", source, detector=stem, embedder=embedder)
    detector = Detector(Pack.load(folder), threads=2)
    yield detector
    detector.close()


@pytest.fixture
def grid(pack_folder):
    detector = Detector(Pack.load(pack_folder), threads=2)
    yield detector
    detector.close()


def test_boxes_come_back_in_pixels_of_the_image_best_first(detector):
    found, times = detector.detect(picture((3, 0), (1, 2)))
    assert len(found) == 2
    for detection, cell in zip(found, [(3, 0), (1, 2)], strict=True):
        np.testing.assert_allclose(corners(detection.box), cell_box(*cell), atol=1e-3)
    assert 1 >= found[0].score > found[1].score >= 0.6
    assert times.preprocess > 0
    assert times.forward > 0
    assert times.queue >= 0


def test_nothing_to_see_gives_no_boxes(detector):
    nothing = np.zeros((50, 60, 3), np.uint8)
    assert detector.detect(nothing)[0] == []
    assert detector.best_body(nothing) is None


def test_the_best_body_is_its_boxs_pixels(grid):
    image = picture((3, 0), (1, 2))
    x1, y1, x2, y2 = (round(side) for side in cell_box(3, 0))
    np.testing.assert_array_equal(grid.best_body(image), image[y1:y2, x1:x2])


def test_the_packs_threshold_and_count_are_defaults_that_a_call_may_change(grid):
    all_cells = [(column, row) for column in range(4) for row in range(2)]
    image = picture(*all_cells, bright=255)
    assert len(grid.detect(image)[0]) == 5
    assert len(grid.detect(image, max_results=2)[0]) == 2
    assert len(grid.detect(image, max_results=100)[0]) == 6  # two are under .6
    assert len(grid.detect(image, max_results=100, min_score=0.0)[0]) == 16
    assert grid.detect(image, min_score=1.0)[0] == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_boxes_under_a_pixel_are_dropped_on_tiny_images(grid, shape):
    found, _ = grid.detect(np.full((*shape, 3), 255, np.uint8), max_results=100, min_score=0.0)
    for detection in found:
        x1, y1, x2, y2 = corners(detection.box)
        assert x2 - x1 >= 1
        assert y2 - y1 >= 1
        assert 0 <= x1 < x2 <= shape[1]
        assert 0 <= y1 < y2 <= shape[0]


def test_sixteen_callers_get_their_own_answers(grid):
    pictures = [
        np.random.default_rng(n).integers(0, 256, (64 + n, 96, 3), dtype=np.uint8)
        for n in range(16)
    ]

    def detect(image):
        return grid.detect(image, max_results=100, min_score=0.0)[0]

    alone = [detect(image) for image in pictures]
    assert len({tuple(found) for found in alone}) == 16
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            assert list(pool.map(detect, pictures)) == alone


def test_a_network_of_another_role_is_refused(tmp_path, exported):
    folder = write_pack(
        tmp_path / "odd",
        exported,
        detector="embedder",
        detector_fields={"input_size": [224, 224]},
    )
    with pytest.raises(PackError, match="takes image, scale_factor"):
        Detector(Pack.load(folder), threads=1)


def test_a_closed_detector_says_so(grid):
    grid.close()
    with pytest.raises(ClosedError):
        grid.detect(picture())
