"""Boxes from salience maps: how many, where, how sure."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.salience import boxes_from_mask


def blank(height: int = 200, width: int = 320) -> np.ndarray:
    return np.zeros((height, width), np.float32)


@pytest.mark.parametrize("level", [0.0, 0.01, 0.3])
def test_a_flat_map_below_one_half_has_no_body(level):
    assert boxes_from_mask(np.full((320, 320), level, np.float32)) == []


def test_faint_noise_is_not_stretched_into_bodies():
    noise = np.random.default_rng(3).uniform(0, 0.2, (320, 320)).astype(np.float32)
    assert boxes_from_mask(noise) == []


def test_the_whole_map_may_be_one_body():
    assert boxes_from_mask(np.ones((32, 48), np.float32)) == [(0.0, 0.0, 1.0, 1.0, 1.0)]


def test_a_body_gets_its_exact_relative_box_and_its_mean_salience():
    mask = blank()
    mask[50:150, 80:240] = 0.8
    [(x1, y1, x2, y2, score)] = boxes_from_mask(mask)
    assert (x1, y1, x2, y2) == (0.25, 0.25, 0.75, 0.75)
    assert score == pytest.approx(0.8)


def test_bodies_apart_get_a_box_each():
    mask = blank()
    mask[20:80, 20:80] = 0.9
    mask[100:180, 200:300] = 1.0
    boxes = sorted(boxes_from_mask(mask))
    assert [box[:2] for box in boxes] == [(20 / 320, 20 / 200), (200 / 320, 100 / 200)]


def test_touching_bodies_with_sure_cores_are_parted():
    mask = blank()
    for x in (90, 170):
        cv2.circle(mask, (x, 100), 42, 0.7, -1)
    for x in (90, 170):
        cv2.circle(mask, (x, 100), 36, 1.0, -1)
    left, right = sorted(boxes_from_mask(mask))
    assert left[2] == pytest.approx(130 / 320, abs=0.015)
    assert right[0] == pytest.approx(130 / 320, abs=0.015)
    assert left[0] == pytest.approx(48 / 320, abs=0.015)


def test_a_glint_does_not_part_a_body():
    mask = blank()
    mask[40:160, 60:200] = 0.9
    mask[60:140, 80:160] = 1.0
    mask[60:64, 180:184] = 1.0
    assert len(boxes_from_mask(mask)) == 1


def test_specks_are_dropped_and_small_bodies_score_less():
    mask = blank()
    mask[5:8, 5:8] = 1.0
    mask[50:66, 50:66] = 1.0
    [(*_, score)] = boxes_from_mask(mask)
    assert score == pytest.approx((16 * 16 / mask.size / 0.01) ** 0.5)


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=48),
        elements=st.floats(0, 1, width=32),
    )
)
def test_any_map_gives_boxes_inside_it(mask):
    for x1, y1, x2, y2, score in boxes_from_mask(mask):
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert 0 < score <= 1 + 1e-6
