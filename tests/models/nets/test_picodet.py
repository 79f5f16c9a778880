import numpy as np
import paddle
import pytest

from models.nets.csp_pan import CSPPAN
from models.nets.efficientnet_lite import EfficientNetLite
from models.nets.pico_head import PRIOR, PicoHead, grid
from models.nets.picodet import MAINBODY_SIZE, Architecture, PicoDet
from tests.models.nets.cost import count_macs, count_parameters

TINY = Architecture(scale=0.25, channels=16, head_blocks=1)


def test_the_official_detector_has_its_published_size():
    network = PicoDet()
    assert round(count_parameters(network) / 1e6, 1) == 7.1
    # Published 28.5 MB is the file: the values and some 100 KB around them.
    assert 28.2 < 4 * count_parameters(network) / 1e6 < 28.5
    macs = count_macs(network, 1, 3, MAINBODY_SIZE, MAINBODY_SIZE)
    assert round(macs / 1e9, 2) == 9.06


@pytest.mark.parametrize(
    ("architecture", "cells"),
    [
        # 96 x 64 px: 12 x 8 + 6 x 4 + 3 x 2 + 2 x 1 cells; the coarsest row is half outside.
        (TINY, 128),
        (Architecture(scale=0.25, channels=16, head_blocks=1, strides=(16, 32, 64)), 32),
        (Architecture(scale=0.25, channels=16, head_blocks=1, strides=(8, 16, 32)), 126),
        (Architecture(scale=0.25, channels=16, head_blocks=1, shared_towers=False), 128),
        (Architecture("efficientnet_lite", 0, channels=16, head_blocks=1), 128),
        (Architecture("efficientnet_lite", 2, channels=16, head_blocks=1, strides=(16, 32)), 30),
        (Architecture("efficientnet_lite", 0, channels=16, head_blocks=1, blocks=12), 128),
    ],
)
def test_every_cell_of_the_grid_is_scored_and_measured(architecture, cells):
    network = PicoDet(architecture)
    network.eval()
    scores, sides = network(paddle.zeros([2, 3, 96, 64]))
    assert tuple(scores.shape) == (2, cells)
    assert tuple(sides.shape) == (2, cells, 4, 8)
    assert len(grid(96, 64, architecture.strides)[0]) == cells


@pytest.mark.parametrize("strides", [(8, 32), (8, 16), (4, 8, 16, 32), (32, 16), ()])
def test_strides_that_no_neck_can_give_are_refused(strides):
    with pytest.raises(ValueError, match="strides"):
        PicoDet(Architecture(scale=0.25, channels=16, strides=strides))


def test_efficientnet_weights_fit_its_trunk_under_the_same_names():
    detector = PicoDet(Architecture("efficientnet_lite", 0, channels=16, head_blocks=1))
    trunk = EfficientNetLite(0)
    ours = {
        name.removeprefix("backbone."): tuple(tensor.shape)
        for name, tensor in detector.state_dict().items()
        if name.startswith("backbone.")
    }
    theirs = {name: tuple(tensor.shape) for name, tensor in trunk.state_dict().items()}
    assert ours == {name: s for name, s in theirs.items() if not name.startswith("head.")}


def test_an_untrained_detector_scores_everything_near_the_prior():
    network = PicoDet(TINY)
    network.eval()
    scores, _ = network(paddle.randn([1, 3, 64, 64]))
    assert np.allclose(paddle.nn.functional.sigmoid(scores).numpy(), PRIOR, atol=0.002)


def test_the_grid_counts_rows_from_the_finest_level_on():
    centers, strides = grid(64, 32, (16, 32))
    assert centers.tolist() == [
        *([x, y] for y in (8, 24, 40, 56) for x in (8, 24)),
        [16, 16],
        [16, 48],
    ]
    assert strides.tolist() == [16] * 8 + [32] * 2


def test_the_head_orders_its_cells_as_the_grid_does():
    # A head whose score is the first channel of its map: maps that hold the cells' own numbers.
    head = PicoHead(4, levels=2, blocks=0)
    for layer in head.scores:
        weight = np.zeros((1, 4, 1, 1), np.float32)
        weight[0, 0] = 1
        layer.weight.set_value(weight)
        layer.bias.set_value(np.zeros(1, np.float32))
    centers, _ = grid(64, 32, (16, 32))
    maps = []
    for number, rows, columns in ((0, 4, 2), (8, 2, 1)):
        features = np.zeros((1, 4, rows, columns), np.float32)
        features[0, 0] = number + np.arange(rows * columns).reshape(rows, columns)
        maps.append(paddle.to_tensor(features))
    scores, _ = head(maps)
    assert scores.numpy().tolist() == [list(range(len(centers)))]


def test_boxes_are_mean_distances_around_the_cell():
    head = PicoHead(4, levels=1, blocks=0)
    sides = np.full((1, 1, 4, 8), -50, np.float32)
    sides[0, 0, 0, 1] = 50  # left: one cell
    sides[0, 0, 1, [2, 3]] = 50  # top: half two, half three
    sides[0, 0, 2, :] = 0  # right: uniform, 3.5
    sides[0, 0, 3, 7] = 50  # bottom: seven
    center, stride = paddle.to_tensor([[100.0, 60.0]]), paddle.to_tensor([8.0])
    box = head.boxes(paddle.to_tensor(sides), center, stride)
    # 100 - 8, 60 - 2.5 x 8, 100 + 3.5 x 8, 60 + 7 x 8
    assert np.allclose(box.numpy(), [[[92, 40, 128, 116]]], atol=1e-4)


def test_the_neck_keeps_sizes_and_adds_a_coarser_map():
    neck = CSPPAN([8, 16, 24], 16)
    neck.eval()
    maps = [paddle.randn([1, c, s, s]) for c, s in ((8, 12), (16, 6), (24, 3))]
    shapes = [tuple(x.shape) for x in neck(maps)]
    assert shapes == [(1, 16, 12, 12), (1, 16, 6, 6), (1, 16, 3, 3), (1, 16, 2, 2)]


def test_every_map_of_the_neck_sees_every_map_of_the_backbone():
    neck = CSPPAN([8, 8, 8], 8)
    neck.eval()
    maps = [paddle.randn([1, 8, size, size]) for size in (16, 8, 4)]
    before = neck(maps)
    for changed in range(3):
        other = list(maps)
        other[changed] = maps[changed] + 1
        after = neck(other)
        assert all(not np.allclose(a, b) for a, b in zip(before, after, strict=True))
