import numpy as np
import pytest

from models.training.detection.evaluation import Metrics, coco_metrics


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def found(*rows):
    return np.array(rows, np.float32).reshape(-1, 5)


def test_what_is_found_exactly_scores_one():
    truth = [boxes([10, 10, 50, 90]), boxes()]
    metrics = coco_metrics(truth, [found([0.9, 10, 10, 50, 90]), found()])
    assert metrics == Metrics(1, 1, 1, 1, 1, 1)


def test_one_of_two_bodies_and_a_false_one():
    # Found first and exactly: precision 1 up to recall 0.5, which 51 of COCO's 101 points reach.
    truth = [boxes([10, 10, 50, 90], [100, 10, 150, 90])]
    metrics = coco_metrics(truth, [found([0.9, 10, 10, 50, 90], [0.8, 200, 200, 250, 250])])
    assert metrics.ap == metrics.ap50 == pytest.approx(51 / 101)
    assert metrics.ar1 == metrics.ar100 == 0.5


def test_a_loose_box_counts_at_the_thresholds_it_reaches():
    # IoU 0.8125 (65 of 80 rows): thresholds 0.5 to 0.8, seven of ten.
    metrics = coco_metrics([boxes([0, 0, 40, 80])], [found([0.9, 0, 0, 40, 65])])
    assert metrics.ap50 == metrics.ap75 == 1
    assert metrics.ap == pytest.approx(0.7)
    assert metrics.ar1 == pytest.approx(0.7)


def test_a_false_box_that_scores_higher_halves_the_precision():
    metrics = coco_metrics(
        [boxes([0, 0, 40, 80])], [found([0.9, 100, 0, 140, 80], [0.5, 0, 0, 40, 80])]
    )
    assert metrics.ap == pytest.approx(0.5)
    assert metrics.ar1 == 0
    assert metrics.ar10 == 1


def test_nothing_found_or_nothing_to_find_is_zero():
    nothing = Metrics(0, 0, 0, 0, 0, 0)
    assert coco_metrics([boxes([0, 0, 40, 80])], [found()]) == nothing
    assert coco_metrics([boxes()], [found([0.9, 0, 0, 40, 80])]) == nothing
