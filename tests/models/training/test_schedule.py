import numpy as np
import paddle
import pytest

from models.training.schedule import CycleEMA, learning_rate


def test_the_learning_rate_warms_up_and_follows_a_cosine():
    rate = [learning_rate(step, 1200, 0.4, warm_up=300) for step in range(1201)]
    assert rate[0] == pytest.approx(0.04)
    # Half-way through the warm-up: 0.55, times the cosine at 1/8.
    assert rate[150] == pytest.approx(0.4 * 0.55 * (1 + np.cos(np.pi / 8)) / 2)
    assert rate[600] == pytest.approx(0.2)
    assert rate[1200] == pytest.approx(0)
    assert max(rate) == rate[300] == pytest.approx(0.4 * (1 + np.cos(np.pi / 4)) / 2)


def weights_at(network, value):
    network.weight.set_value(paddle.full([1, 1], value))


def test_the_average_follows_slowly_and_more_slowly_later():
    network = paddle.nn.Linear(1, 1)
    weights_at(network, 0.0)
    ema = CycleEMA(network)
    # Decays 1/10, 2/11, 3/12: 0.9; 0.9 x 2/11 + 9/11; and so on, towards 1.
    average = 0.0
    weights_at(network, 1.0)
    for step in range(3):
        ema.update()
        decay = (1 + step) / (10 + step)
        average = average * decay + (1 - decay)
        assert ema.state["weight"].item() == pytest.approx(average)
    assert network.weight.item() == 1


def test_the_average_begins_anew_after_every_cycle():
    network = paddle.nn.Linear(1, 1)
    weights_at(network, 0.0)
    ema = CycleEMA(network, cycle=2)
    weights_at(network, 1.0)
    ema.update()
    ema.end_epoch()
    assert ema.state["weight"].item() == pytest.approx(0.9)
    weights_at(network, 5.0)
    ema.end_epoch()
    assert ema.state["weight"].item() == 5
    assert ema.steps == 0
