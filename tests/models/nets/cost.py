"""What a network costs: parameters, and multiply-accumulates of one forward pass."""

import math
from typing import Any

import paddle
from paddle import nn


def count_parameters(network: nn.Layer) -> int:
    """All values a checkpoint holds, as publications of this family count them.

    That is with the running means and variances of batch norms, which do not learn.
    """
    return sum(math.prod(parameter.shape) for parameter in network.parameters())


def count_macs(network: nn.Layer, *shape: int) -> int:
    """Multiply-accumulates of convolutions and linear layers for an input float32 of `shape`.

    Activations, sums and batch norms (which fold into convolutions) are left out.
    """
    total = 0

    def add(layer: nn.Layer, _inputs: Any, output: paddle.Tensor) -> None:
        nonlocal total
        outputs = math.prod(output.shape)
        # A weight's products for one output: [out, in / groups, k, k] or [in, out].
        per_output = layer.weight.shape[0]
        if isinstance(layer, nn.Conv2D):
            per_output = math.prod(layer.weight.shape[1:])
        total += outputs * per_output

    hooks = [
        layer.register_forward_post_hook(add)
        for layer in network.sublayers()
        if isinstance(layer, nn.Conv2D | nn.Linear)
    ]
    training = network.training
    network.eval()
    with paddle.no_grad():
        network(paddle.zeros(shape))
    if training:
        network.train()
    for hook in hooks:
        hook.remove()
    return total
