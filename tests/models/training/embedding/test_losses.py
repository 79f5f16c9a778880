import math

import numpy as np
import paddle
import pytest

from models.training.embedding.losses import (
    identity_head,
    smoothed_cross_entropy,
    triplet_angular_margin,
)


def at(*degrees):
    """Features that point there, of different lengths."""
    return paddle.to_tensor(
        [
            [length * math.cos(math.radians(a)), length * math.sin(math.radians(a))]
            for length, a in enumerate(degrees, start=1)
        ]
    )


def cos(degrees):
    return math.cos(math.radians(degrees))


def test_the_head_is_linear_small_and_without_bias():
    paddle.seed(0)
    head = identity_head(512, 300)
    assert head.bias is None
    assert float(head.weight.std()) == pytest.approx(0.001, rel=0.01)
    assert head(paddle.zeros([2, 512])).shape == [2, 300]


def test_a_tenth_of_the_target_is_shared():
    # Probabilities 1/2, 1/4, 1/4; targets 0.9 + 0.1/3 for the label and 0.1/3 for the others.
    logits = paddle.to_tensor([[math.log(2), 0.0, 0.0]] * 2)
    shared = 0.1 / 3
    first = (0.9 + shared) * math.log(2) + 2 * shared * math.log(4)
    second = (0.9 + shared) * math.log(4) + shared * (math.log(2) + math.log(4))
    for labels, expected in (([0, 0], first), ([1, 2], second), ([0, 1], (first + second) / 2)):
        loss = smoothed_cross_entropy(logits, paddle.to_tensor(labels))
        assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_a_perfectly_sure_answer_is_not_free():
    logits = paddle.to_tensor([[5.0, 0.0]])
    surer = paddle.to_tensor([[50.0, 0.0]])
    label = paddle.to_tensor([0])
    assert float(smoothed_cross_entropy(surer, label)) > float(
        smoothed_cross_entropy(logits, label)
    )


def test_far_identities_that_keep_together_cost_nothing():
    # Within an identity 20°: ap = .94. To the other at least 70°: an = .34, not above .4, where the
    # reference's constant would be 0.1.
    labels = paddle.to_tensor([0, 0, 1, 1])
    assert float(triplet_angular_margin(at(0, 20, 90, 110), labels)) == 0


def test_a_worked_case_with_every_term():
    # Identity 0 at 0° and 60°, identity 1 at 90°, alone: its positive is itself.
    ap = [cos(60), cos(60), 1]
    an = [cos(90), cos(30), cos(30)]
    ranking = sum(max(0, 0.5 - (p - n)) for p, n in zip(ap, an, strict=True)) / 3
    too_far = 2 * (0.8 - 0.5) / 3
    too_near = 2 * (cos(30) - 0.4) / 3
    loss = triplet_angular_margin(at(0, 60, 90), paddle.to_tensor([0, 0, 1]))
    assert float(loss) == pytest.approx(ranking + 0.1 * (too_far + too_near), abs=1e-6)
    assert ranking == pytest.approx((0 + cos(30) + (cos(30) - 0.5)) / 3)


def test_the_hardest_pairs_count():
    # The farthest of its own (50°), the nearest of the others (60° from 0°, 10° from 50°).
    angles = {"own": (0, 30, 50), "others": (60, 150)}
    labels = paddle.to_tensor([0, 0, 0, 1, 1])
    features = at(*angles["own"], *angles["others"])
    ap = [cos(50), cos(30), cos(50), cos(90), cos(90)]
    an = [cos(60), cos(30), cos(10), cos(10), cos(100)]
    ranking = np.mean([max(0, 0.5 - p + n) for p, n in zip(ap, an, strict=True)])
    absolute = np.mean([max(0, 0.8 - p) for p in ap]) + np.mean([max(0, n - 0.4) for n in an])
    loss = triplet_angular_margin(features, labels)
    assert float(loss) == pytest.approx(ranking + 0.1 * absolute, abs=1e-6)


def test_its_slope_draws_an_identity_together_and_others_apart():
    features = at(0, 60, 90)
    features.stop_gradient = False
    triplet_angular_margin(features, paddle.to_tensor([0, 0, 1])).backward()
    moved = features.numpy() - 0.01 * features.grad.numpy()
    angles = np.degrees(np.arctan2(moved[:, 1], moved[:, 0]))
    assert angles[1] - angles[0] < 60
    assert angles[2] - angles[1] > 30


def test_one_label_only_is_drawn_together_and_has_nothing_too_near():
    # ap = cos 60° = .5: ap - an = 1.5 with an = -1; only the distance to .8 is left.
    loss = triplet_angular_margin(at(0, 60), paddle.to_tensor([3, 3]))
    assert float(loss) == pytest.approx(0.1 * 0.3, abs=1e-6)
