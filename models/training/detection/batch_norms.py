"""Batch norms for a detector whose own were folded when it was exported, so that it can train.

A folded convolution answers y = w'x + b'. With m and v, the mean and variance of y over pictures,
the same convolution without b' and a batch norm with γ = √(v + ε), β = m, μ = m − b' and σ² = v
answer the same, also when training normalises by the statistics of a batch instead of μ and σ².
"""

from collections.abc import Iterable

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from models.nets.picodet import PicoDet
from models.training.export import CONV_NORMS
from models.training.state_dict import load_weights


class _Moments:
    """Mean and variance by channel of all maps [N, C, H, W] that a layer gives."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: NDArray[np.float64] | float = 0.0
        self._squares: NDArray[np.float64] | float = 0.0

    def __call__(self, _layer: nn.Layer, _inputs: tuple[Tensor, ...], maps: Tensor) -> None:
        values = maps.numpy().astype(np.float64)
        self._count += values.size // values.shape[1]
        self._sum += values.sum(axis=(0, 2, 3))
        self._squares += np.square(values).sum(axis=(0, 2, 3))

    @property
    def mean(self) -> NDArray[np.float64]:
        return np.asarray(self._sum / self._count)

    @property
    def variance(self) -> NDArray[np.float64]:
        return np.maximum(self._squares / self._count - np.square(self.mean), 0)


def is_folded(network: PicoDet) -> bool:
    return not any(isinstance(layer, nn.BatchNorm2D) for layer in network.sublayers())


def with_batch_norms(folded: PicoDet, batches: Iterable[Tensor]) -> PicoDet:
    """The same network with batch norms, in evaluation mode.

    Args:
        folded: what an export left.
        batches: images as the network takes them, of the kind it will be trained on.
    """
    layers = {
        name: layer for name, layer in folded.named_sublayers() if isinstance(layer, CONV_NORMS)
    }
    moments = {name: _Moments() for name in layers}
    hooks = [layer.conv.register_forward_post_hook(moments[name]) for name, layer in layers.items()]
    folded.eval()
    with paddle.no_grad():
        for images in batches:
            folded(images)
    for hook in hooks:
        hook.remove()
    network = PicoDet(folded.architecture)
    norms = dict(network.named_sublayers())
    weights = {name: tensor.numpy() for name, tensor in folded.state_dict().items()}
    for name, seen in moments.items():
        weights |= {
            f"{name}.bn.weight": np.sqrt(seen.variance + norms[f"{name}.bn"]._epsilon),
            f"{name}.bn.bias": seen.mean,
            f"{name}.bn._mean": seen.mean - weights.pop(f"{name}.conv.bias"),
            f"{name}.bn._variance": seen.variance,
        }
    load_weights(network, {name: tensor.astype(np.float32) for name, tensor in weights.items()})
    network.eval()
    return network
