import cv2
import numpy as np
import pytest

from models.errors import ModelError
from models.training.detection import composition
from models.training.detection.composition import mosaic, paste, read_cutouts
from tests.models.training.detection.pictures import BRIGHT, DARK, bright_box, picture


def disc(size, colour):
    """A round body on a transparent ground, a margin of 3 px around it."""
    cutout = np.zeros((size + 6, size + 6, 4), np.uint8)
    centre = (size // 2 + 3, size // 2 + 3)
    cv2.circle(cutout, centre, size // 2, (*colour, 255), -1)
    return cutout


def test_a_mosaic_shows_four_images_with_their_boxes():
    # One body each, of a grey of its own.
    samples = []
    for number in range(4):
        sample = picture(60 + 10 * number, 90, [[20, 20, 70, 50]])
        sample.image[sample.image == BRIGHT] = 100 + 40 * number
        samples.append(sample)
    for seed in range(20):
        made = mosaic(samples, 128, np.random.default_rng(seed))
        assert made.image.shape == (128, 128, 3)
        for x1, y1, x2, y2 in made.boxes.round().astype(int).tolist():
            inside = made.image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert inside.min() > DARK + 50
            assert np.ptp(inside) == 0
        # Every pixel that shows a body lies in a box, up to the blur of resizing.
        uncovered = made.image.mean(axis=2) > 90
        for x1, y1, x2, y2 in made.boxes:
            rows = slice(int(max(y1 - 2, 0)), int(y2 + 3))
            uncovered[rows, int(max(x1 - 2, 0)) : int(x2 + 3)] = False
        left_out = uncovered.sum()
        assert left_out == 0 or len(made.boxes) < 4


def test_cutouts_are_trimmed_to_what_is_opaque(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), disc(20, (255, 0, 0)))  # OpenCV writes BGR: blue
    (cutout,) = read_cutouts(tmp_path)
    assert cutout.shape == (21, 21, 4)
    assert cutout[10, 10].tolist() == [0, 0, 255, 255]


def test_folders_without_usable_cutouts_are_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no PNG"):
        read_cutouts(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ModelError, match="shows nothing"):
        read_cutouts(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ModelError, match="no image with an alpha channel"):
        read_cutouts(tmp_path)


@pytest.fixture
def square():
    return np.full((30, 20, 4), (BRIGHT, BRIGHT, BRIGHT, 255), np.uint8)


def test_what_is_pasted_has_its_box(monkeypatch, square):
    monkeypatch.setattr(composition, "PASTED", 1)
    empty = picture(100, 140, [])
    for seed in range(20):
        made = paste(empty, [square], np.random.default_rng(seed))
        assert made.boxes.tolist() == [bright_box(made.image)]
        x1, y1, x2, y2 = made.boxes[0]
        assert 14 <= y2 - y1 <= 60  # the longer side: 0.15 to 0.6 of 100 px
        assert (y2 - y1) / (x2 - x1) == pytest.approx(1.5, rel=0.1)
    assert empty.image.max() == DARK


def test_transparency_lets_the_ground_through(monkeypatch, square):
    monkeypatch.setattr(composition, "PASTED", 1)
    square[..., 3] = 128
    made = paste(picture(100, 100, []), [square], np.random.default_rng(0))
    assert made.image.max() == round(128 / 255 * BRIGHT + 127 / 255 * DARK)


def test_a_body_that_is_hidden_loses_its_box(square):
    rng = np.random.default_rng(3)
    below = picture(100, 100, [[48, 48, 52, 52]])
    hidden = 0
    for _ in range(60):
        made = paste(below, [square], rng)
        kept = made.boxes.tolist()[0] == [48, 48, 52, 52]
        covers = [
            (min(x2, 52) - max(x1, 48)) * (min(y2, 52) - max(y1, 48))
            for x1, y1, x2, y2 in made.boxes[int(kept) :].tolist()
            if min(x2, 52) > max(x1, 48) and min(y2, 52) > max(y1, 48)
        ]
        # Of 16 px², at most 70 % may be hidden by one cut-out.
        assert kept == (max(covers, default=0) <= 0.7 * 16)
        hidden += not kept
    assert 5 < hidden < 55
