import numpy as np
import paddle
import pytest

from models.nets.efficientnet_lite import (
    HEAD_CHANNELS,
    EfficientNetLite,
    PooledLinear,
    StagesLinear,
)


def trainable(network):
    return sum(p.size for p in network.parameters() if p.trainable)


@pytest.mark.parametrize(
    ("variant", "millions"), [(0, 4.65), (1, 5.42), (2, 6.09), (3, 8.20), (4, 13.01)]
)
def test_the_classifiers_have_their_published_sizes(variant, millions):
    network = PooledLinear(EfficientNetLite(variant), 1000)
    assert trainable(network) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize(("side", "cells"), [(224, 7), (96, 3), (75, 3)])
def test_the_trunk_divides_by_32_and_rounds_up(side, cells):
    trunk = EfficientNetLite()
    trunk.eval()
    with paddle.no_grad():
        assert trunk(paddle.zeros([2, 3, side, side])).shape == [2, 1280, cells, cells]


def test_the_head_gives_a_row_for_each_image():
    network = PooledLinear(EfficientNetLite(), 512)
    network.eval()
    with paddle.no_grad():
        x = paddle.rand([3, 3, 64, 64])
        assert network.pooled(x).shape == [3, 1280]
        assert network(x).shape == [3, 512]


def test_the_stages_are_described_by_their_means_and_root_mean_squares():
    network = StagesLinear(EfficientNetLite(1), 16)
    network.eval()
    with paddle.no_grad():
        x = paddle.rand([2, 3, 64, 64])
        maps = [map_.numpy() for map_ in network.trunk.stages(x)]
        features, head = network.pooled(x).numpy(), network.trunk(x).numpy()
        assert network(x).shape == [2, 16]
    assert [map_.shape[2] for map_ in maps] == [32, 16, 8, 4, 4, 2, 2]
    assert features.shape == (2, sum(network.widths))
    means = [map_.mean(axis=(2, 3)) for map_ in (head, *maps)]
    squares = [np.sqrt((map_**2).mean(axis=(2, 3))) for map_ in maps]
    expected = np.concatenate([*means, *squares], axis=1)
    assert network.widths[0] == means[0].shape[1] == HEAD_CHANNELS
    np.testing.assert_allclose(features, expected, atol=1e-3)
