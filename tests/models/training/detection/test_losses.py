"""Losses against numbers worked out by hand; the same inputs can test any other implementation."""

import numpy as np
import paddle
import pytest

from models.training.detection.losses import distribution_focal, giou_loss, iou, varifocal


def tensor(values):
    return paddle.to_tensor(values, dtype="float32", stop_gradient=False)


def test_varifocal_weighs_a_body_by_its_iou():
    # p = 0.5: cross entropy is ln 2 whatever the target; times the target 0.8.
    # p = 0.75 (logit ln 3), target 0.6: -(0.6 ln 0.75 + 0.4 ln 0.25) = 0.727120; times 0.6.
    loss = varifocal(tensor([0.0, np.log(3)]), tensor([0.8, 0.6]))
    assert np.allclose(loss.numpy(), [0.8 * np.log(2), 0.6 * 0.727120], atol=1e-5)


def test_varifocal_forgives_background_that_is_scored_low():
    # 0.75 p² x -ln(1 - p): p = 0.5 → 0.75 x 0.25 x 0.693147; p = 0.25 → 0.75 x 0.0625 x 0.287682.
    loss = varifocal(tensor([0.0, -np.log(3)]), tensor([0.0, 0.0]))
    assert np.allclose(loss.numpy(), [0.129965, 0.013485], atol=1e-5)


def test_varifocal_pulls_towards_the_iou_and_not_beyond():
    logits = tensor([np.log(3), 2.0])
    varifocal(logits, tensor([0.75, 0.75])).sum().backward()
    at_the_target, above = logits.grad.numpy()
    assert abs(at_the_target) < 1e-6
    assert above > 0


def test_distribution_focal_shares_out_to_the_bins_beside():
    # Uniform over 8 bins: every -log p is ln 8, wherever the distance lies.
    uniform = distribution_focal(tensor(np.zeros((3, 8))), tensor([0.0, 2.3, 6.9]))
    assert np.allclose(uniform.numpy(), np.log(8))
    # Bins (1/2, 1/4, 1/8, 1/8), distance 0.25: 0.75 ln 2 + 0.25 ln 4 = 1.25 ln 2.
    # Distance 2: all on bin 2, 3 ln 2.
    logits = tensor(np.log([[1 / 2, 1 / 4, 1 / 8, 1 / 8]] * 2))
    loss = distribution_focal(logits, tensor([0.25, 2.0]))
    assert np.allclose(loss.numpy(), [1.25 * np.log(2), 3 * np.log(2)])


def test_distribution_focal_is_least_where_the_mean_is_the_distance():
    logits = tensor(np.log([[1e-6, 0.7, 0.3, 1e-6]]))
    distribution_focal(logits, tensor([1.3])).sum().backward()
    assert np.allclose(logits.grad.numpy(), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "overlap", "loss"),
    [
        ([0, 0, 4, 4], [0, 0, 4, 4], 1, 0),
        # Common 2 x 2, union 28, hull 6 x 6: 1 - 4/28 + 8/36.
        ([0, 0, 4, 4], [2, 2, 6, 6], 4 / 28, 1 - 4 / 28 + 8 / 36),
        # Apart: union 8, hull 12 x 2.
        ([0, 0, 2, 2], [10, 0, 12, 2], 0, 1 + 16 / 24),
        # One in the other: union and hull are the outer one.
        ([0, 0, 4, 4], [1, 1, 3, 3], 4 / 16, 1 - 4 / 16),
    ],
)
def test_giou_of_a_pair(a, b, overlap, loss):
    assert np.allclose(iou(tensor([a]), tensor([b])).numpy(), overlap)
    assert np.allclose(giou_loss(tensor([a]), tensor([b])).numpy(), loss)


def test_giou_draws_boxes_together_that_do_not_meet():
    box = tensor([[0, 0, 2, 2]])
    giou_loss(box, tensor([[10, 0, 12, 2]])).sum().backward()
    assert box.grad.numpy()[0, 2] < 0  # the right side wants to go right
