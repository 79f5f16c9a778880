import numpy as np
import paddle
import pytest
from paddle import nn

from models.nets.pp_lcnet_v2 import (
    SIZES,
    PPLCNetV2,
    PPLCNetV2Classifier,
    PPLCNetV2ShiTu,
    RepDepthwise,
    fold,
)
from tests.models.nets.cost import count_macs, count_parameters


def with_history(network):
    """Batch norms as if they had seen data, every channel in its own way."""
    paddle.seed(5)
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D | nn.BatchNorm1D):
            for tensor in (layer.weight, layer.bias, layer._mean, layer._variance):
                tensor.set_value(paddle.uniform(tensor.shape, min=0.5, max=1.5))
    network.eval()
    return network


def answers(network, x):
    with paddle.no_grad():
        return network(x).numpy()


def test_the_shitu_variant_has_its_published_size():
    network = PPLCNetV2ShiTu()
    assert round(count_parameters(network) / 1e6, 2) == 4.67
    fold(network)
    parameters = count_parameters(network)
    assert round(parameters / 1e6, 2) == 4.58
    assert round(4 * parameters / 1e6, 1) == 18.3
    assert round(count_macs(network, 1, 3, 224, 224) / 1e9, 2) == 0.83


def test_the_base_classifier_has_its_published_size():
    network = PPLCNetV2Classifier()
    fold(network)
    assert round(count_parameters(network) / 1e6, 1) == 6.6
    # Published: 604, with batch norms and sums.
    assert 0.97 * 604 < count_macs(network, 1, 3, 224, 224) / 1e6 < 604


def test_sizes_are_in_proportion_to_the_published_archives():
    # In MB, as PaddleX lists them; compression takes the same share off each.
    for size, archive in (("small", 14.6), ("base", 23.7), ("large", 37.3)):
        network = PPLCNetV2Classifier(size)
        fold(network)
        assert 0.885 < archive / (4 * count_parameters(network) / 1e6) < 0.895


@pytest.mark.parametrize("size", SIZES)
def test_sizes_differ_in_width_and_in_the_blocks_of_stage_3(size):
    trunk = PPLCNetV2(size)
    channels, depth = {"small": (768, 4), "base": (1024, 6), "large": (1280, 8)}[size]
    assert trunk.channels == channels
    assert [len(stage) for stage in trunk.stages] == [2, 2, depth, 2]


@pytest.mark.parametrize(("last_stride", "sides"), [(2, (3, 2)), (1, (6, 4))])
def test_the_last_stage_halves_the_resolution_or_keeps_it(last_stride, sides):
    trunk = PPLCNetV2("small", last_stride=last_stride)
    trunk.eval()
    assert answers(trunk, paddle.zeros([2, 3, 96, 64])).shape == (2, 768, *sides)
    # A branch of kernel 1 exists at stride 1 only.
    first, second = trunk.stages[3]
    assert len(first.depthwise.branches) == {1: 3, 2: 2}[last_stride]
    assert len(second.depthwise.branches) == 3
    # The sum with the input needs equal widths: not in the first block, whatever its stride.
    assert [first.shortcut, second.shortcut] == [False, True]


@pytest.mark.parametrize("stride", [1, 2])
def test_branches_fold_into_one_convolution(stride):
    layer = with_history(RepDepthwise(6, 5, stride))
    x = paddle.uniform([2, 6, 13, 10], min=-1)
    before = answers(layer, x)
    fold(nn.Sequential(layer))
    [conv] = layer.branches
    assert isinstance(conv, nn.Conv2D)
    assert conv.weight.shape == [6, 1, 5, 5]
    assert conv.bias.shape == [6]
    assert before.max() > 0.5
    np.testing.assert_allclose(answers(layer, x), before, atol=1e-5)


@pytest.mark.parametrize("kind", [PPLCNetV2Classifier, PPLCNetV2ShiTu])
def test_a_folded_network_answers_as_before(kind):
    network = with_history(kind("small"))
    x = paddle.uniform([2, 3, 64, 64], min=-1)
    before = answers(network, x)
    fold(network)
    after = answers(network, x)
    assert before.std() > 0.01
    scale = np.abs(before).max()
    np.testing.assert_allclose(after / scale, before / scale, atol=1e-5)


@pytest.mark.filterwarnings("ignore:When training")
def test_the_neck_learns_a_scale_and_no_bias():
    network = PPLCNetV2ShiTu("small")
    optimizer = paddle.optimizer.Momentum(0.1, parameters=network.parameters())
    for _ in range(2):
        features = network(paddle.uniform([4, 3, 32, 32]))
        assert features.shape == [4, 512]
        ((features - 1) ** 2).sum().backward()
        assert abs(network.neck.bias.grad.numpy()).max() > 0.01
        optimizer.step()
    assert (network.neck.weight.numpy() < 0.9).all()
    assert np.array_equal(network.neck.bias.numpy(), np.zeros(512))


def test_dropout_scales_down_when_serving():
    network = with_history(PPLCNetV2ShiTu("small"))
    x = paddle.uniform([1, 3, 32, 32])
    embedding = answers(nn.Sequential(network.trunk, network.pool, network.embedding), x)
    kept = paddle.to_tensor(0.8 * embedding.reshape(1, 512))
    np.testing.assert_allclose(answers(network, x), answers(network.neck, kept), rtol=1e-4)
