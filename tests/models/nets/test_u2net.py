import paddle
import pytest

from models.nets.u2net import RSU, U2NetP


def test_it_has_the_published_size():
    # 1.13 M with batch norms; folded, their scales are part of the weights.
    assert sum(p.size for p in U2NetP().parameters()) == 1_125_485


@pytest.mark.parametrize("size", [(64, 64), (96, 70)])
def test_a_map_of_the_images_size_between_0_and_1(size):
    network = U2NetP()
    with paddle.no_grad():
        mask = network(paddle.rand([2, 3, *size])).numpy()
    assert mask.shape == (2, 1, *size)
    assert 0 <= mask.min() <= mask.max() <= 1


@pytest.mark.parametrize(("height", "dilated"), [(7, False), (4, False), (4, True)])
def test_a_block_keeps_the_size_even_where_halving_does_not_come_out(height, dilated):
    with paddle.no_grad():
        assert RSU(height, 5, dilated=dilated)(paddle.rand([1, 5, 37, 50])).shape == [1, 64, 37, 50]


def test_a_dilated_block_never_pools():
    block = RSU(4, 3, dilated=True)
    assert [layer[0]._dilation for layer in block.down] == [[1, 1], [2, 2], [4, 4], [8, 8]]
