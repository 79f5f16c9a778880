import numpy as np
import pytest

from bench.detection import figures, matched
from models.training.detection.boxes import iou

SQUARE = (0, 0, 10, 10)


def test_one_found_box_finds_one_labelled_box():
    # Both labelled boxes overlap the one found box well; only one may claim it.
    overlap = iou([(0, 0, 10, 10)], [(0, 0, 10, 9), (0, 1, 10, 10)])
    assert matched(overlap, 0.5) == 1


def test_the_largest_overlap_is_claimed_first():
    overlap = np.array([[0.6, 0.9], [0.0, 0.7]])
    assert matched(overlap, 0.5) == 1
    assert matched(np.array([[0.6, 0.55], [0.0, 0.5]]), 0.5) == 2


def test_figures_of_two_images():
    far = (100, 100, 120, 120)
    result = figures([([SQUARE, far], [SQUARE]), ([(0, 0, 10, 6)], [SQUARE, far])])
    assert result.images == 2
    assert result.recall_50 == pytest.approx(2 / 3)
    assert result.recall_75 == pytest.approx(1 / 3)
    assert result.boxes_per_image == 1.5
    assert result.mean_best_iou == pytest.approx((1 + 0.6 + 0) / 3)


def test_an_image_without_a_found_box_counts():
    result = figures([([], [SQUARE])])
    assert (result.recall_50, result.boxes_per_image, result.mean_best_iou) == (0, 0, 0)


def test_no_images_have_no_figures():
    with pytest.raises(ValueError, match="no images"):
        figures([])
