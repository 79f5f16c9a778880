import warnings

import numpy as np
import paddle
import pytest

from models.nets.pico_head import grid
from models.nets.picodet import Architecture, PicoDet
from models.training.detection.boxes import pairwise_iou
from models.training.detection.criterion import detection_losses

NOTHING = np.zeros((0, 4), np.float32)


@pytest.fixture
def network():
    paddle.seed(1)
    network = PicoDet(Architecture(scale=0.25, channels=16, head_blocks=1))
    network.eval()  # the criterion does not care, and batch norms stay quiet
    return network


@pytest.mark.parametrize("static", [False, True])
def test_every_part_has_a_gradient_where_there_are_bodies(network, static):
    images = paddle.randn([2, 3, 96, 64])
    boxes = [np.array([[8, 8, 40, 56], [30, 60, 60, 90]], np.float32), NOTHING]
    losses = detection_losses(network, images, boxes, static=static)
    assert min(float(losses.varifocal), float(losses.distribution), float(losses.giou)) > 0
    losses.total.backward()
    for part in (network.head.scores, network.head.sides, network.backbone.stem):
        assert any(np.abs(p.grad.numpy()).sum() > 0 for p in part.parameters() if p.trainable)


def test_an_empty_image_only_teaches_low_scores(network):
    losses = detection_losses(network, paddle.randn([1, 3, 64, 64]), [NOTHING])
    losses.total.backward()
    assert float(losses.distribution) == float(losses.giou) == 0
    # Lower scores are better: the loss falls with every score's bias.
    assert all(layer.bias.grad.item() > 0 for layer in network.head.scores)


def test_a_perfect_prediction_costs_next_to_nothing():
    """A head of constants, whose one coarse cell predicts the truth."""
    network = PicoDet(Architecture(scale=0.25, channels=16, head_blocks=1, strides=(16, 32)))
    network.eval()
    for level, (scores, sides) in enumerate(
        zip(network.head.scores, network.head.sides, strict=True)
    ):
        for layer in (scores, sides):
            layer.weight.set_value(paddle.zeros(layer.weight.shape))
        # The fine cells are sure to be background, and their boxes have no area. The coarse one,
        # at (16, 16), is sure of itself; half a cell is half on bin 0 and half on bin 1.
        scores.bias.set_value(paddle.to_tensor([20.0 if level == 1 else -20.0]))
        bias = np.full((4, 8), -20, np.float32)
        bias[:, : level + 1] = 0
        sides.bias.set_value(paddle.to_tensor(bias.ravel()))
    images, truth = paddle.zeros([1, 3, 32, 32]), np.array([[0, 0, 32, 32]], np.float32)
    losses = detection_losses(network, images, [truth])
    # It predicts 16 ± 16. Its distribution still costs ln 2, of which a quarter is counted.
    assert float(losses.varifocal) < 1e-6
    assert float(losses.giou) < 1e-5
    assert float(losses.distribution) == pytest.approx(0.25 * np.log(2), abs=1e-5)


def test_a_batch_of_unsure_images_costs_the_sum_of_each(network):
    """Belief is 0.01 a cell: its sum stays below 1, which it is then divided by."""
    images = paddle.randn([2, 3, 64, 64])
    first = np.array([[4, 4, 40, 60]], np.float32)
    second = np.array([[20, 8, 60, 40], [0, 30, 30, 64]], np.float32)
    together = detection_losses(network, images, [first, second])
    apart = [
        detection_losses(network, images[:1], [first]),
        detection_losses(network, images[1:], [second]),
    ]
    assert float(together.giou) == pytest.approx(sum(float(x.giou) for x in apart), rel=1e-4)
    assert float(together.distribution) == pytest.approx(
        sum(float(x.distribution) for x in apart), rel=1e-4
    )


def test_training_finds_the_bodies_it_is_shown():
    paddle.seed(2)
    network = PicoDet(Architecture(scale=0.25, channels=16, head_blocks=1))
    # To a rest at the end: at a constant rate boxes still swing by a tenth of their size.
    rate = paddle.optimizer.lr.CosineAnnealingDecay(0.02, T_max=140)
    optimizer = paddle.optimizer.Momentum(rate, parameters=network.parameters())
    pixels = np.zeros((2, 3, 64, 64), np.float32)
    pixels[0, :, 12:44, 20:52] = 2
    pixels[1, :, 20:60, 4:30] = 2
    images = paddle.to_tensor(pixels)
    boxes = [np.array([box], np.float32) for box in ([20, 12, 52, 44], [4, 20, 30, 60])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "When training, we now always track")
        for _ in range(140):
            detection_losses(network, images, boxes).total.backward()
            optimizer.step()
            optimizer.clear_grad()
            rate.step()
    network.eval()
    scores, sides = network(images)
    centers, strides = map(paddle.to_tensor, grid(64, 64, network.architecture.strides))
    found = network.head.boxes(sides, centers, strides).numpy()
    for image, cell in enumerate(scores.argmax(axis=1).tolist()):
        assert pairwise_iou(found[image, [cell]], boxes[image]).item() > 0.8
