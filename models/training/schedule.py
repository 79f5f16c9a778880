"""What changes over a run: the learning rate, and the averaged weights that are kept."""

import math

import paddle

WARM_UP_START = 0.1

EMA_DECAY = 0.9998


def learning_rate(step: int, total: int, base: float, *, warm_up: int) -> float:
    """Linear from a tenth of `base` over `warm_up` steps, times a cosine to 0 over `total`."""
    warm = min(1.0, WARM_UP_START + (1 - WARM_UP_START) * step / warm_up)
    return base * warm * (1 + math.cos(math.pi * step / total)) / 2


class CycleEMA:
    """Exponential moving average of a network's state, begun anew every `cycle` epochs.

    Beginning anew forgets the early, bad weights, which at the full decay of 0.9998 would weigh on
    the average for some ten thousand steps; for the same reason the decay grows from 0.1.
    """

    def __init__(self, network: paddle.nn.Layer, cycle: int = 20) -> None:
        self.network = network
        self.cycle = cycle
        self.epochs = 0
        self.restart()

    def restart(self) -> None:
        """Forget; the average is the present state."""
        self.steps = 0
        self.state = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def update(self) -> None:
        """Count the present state in: once after every optimiser step."""
        decay = min(EMA_DECAY, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        with paddle.no_grad():
            for name, value in self.network.state_dict().items():
                average = self.state[name]
                average.set_value(average * decay + value * (1 - decay))

    def end_epoch(self) -> None:
        """Count an epoch; call it after the average has been used."""
        self.epochs += 1
        if self.epochs % self.cycle == 0:
            self.restart()
