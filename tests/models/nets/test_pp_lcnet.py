import numpy as np
import paddle
import pytest

from models.nets.pp_lcnet import SCALES, PPLCNet, PPLCNetClassifier, scaled_channels
from tests.models.nets.cost import count_macs, count_parameters

# Published with the ImageNet weights: million parameters, million multiply-accumulates at 224 px.
# The latter also count batch norms, which is 1 to 7 % more than convolutions and linear layers.
PUBLISHED = {
    0.25: (1.5, 18),
    0.35: (1.6, 29),
    0.5: (1.9, 47),
    0.75: (2.4, 99),
    1.0: (3.0, 161),
    1.5: (4.5, 342),
    2.0: (6.5, 590),
    2.5: (9.0, 906),
}


@pytest.mark.parametrize("scale", SCALES)
def test_every_published_scale_has_its_published_size(scale):
    network = PPLCNetClassifier(scale)
    millions, macs = PUBLISHED[scale]
    assert round(count_parameters(network) / 1e6, 1) == millions
    assert 0.93 * macs < count_macs(network, 1, 3, 224, 224) / 1e6 < macs


def test_the_trunk_gives_the_maps_of_strides_8_16_and_32():
    trunk = PPLCNet(0.5)
    trunk.eval()
    maps = trunk(paddle.zeros([2, 3, 96, 64]))
    assert [tuple(x.shape) for x in maps] == [(2, 64, 12, 8), (2, 128, 6, 4), (2, 256, 3, 2)]
    assert trunk.channels == (64, 128, 256)


def test_widths_are_multiples_of_8_at_most_a_tenth_too_narrow():
    # 0.35 x 16 = 5.6: 8 at least. 0.35 x 32 = 11.2: 8 would lose 29 %, so 16. 0.75 x 16 = 12 → 16.
    assert [scaled_channels(16, 0.35), scaled_channels(32, 0.35), scaled_channels(16, 0.75)] == [
        8,
        16,
        16,
    ]


def test_dropout_scales_down_when_serving():
    network = PPLCNetClassifier(0.25)
    network.eval()
    with paddle.no_grad():
        x = paddle.uniform([1, 3, 64, 64])
        pooled = network.pool(network.trunk(x)[-1])
        kept = 0.8 * network.act(network.hidden(pooled)).flatten(1)
        logits, expected = network(x).numpy(), network.fc(kept).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits / scale, expected / scale, atol=1e-5)
