"""From a dygraph network to the two files that serve: program (`.json`) and parameters."""

from functools import partial
from pathlib import Path

import paddle
from paddle import Tensor, nn
from paddle.base.framework import EagerParamBase
from paddle.nn import functional as F  # noqa: N812
from paddle.static import InputSpec

from models.nets import efficientnet_lite, pp_lcnet
from models.pack import sha256_of
from models.training.state_dict import name_tensors

CONV_NORMS = (efficientnet_lite.ConvNorm, pp_lcnet.ConvNorm)


def fold_batch_norms(network: nn.Layer) -> None:
    """Moves every `ConvNorm`'s evaluation-time batch norm into its convolution, in place.

    w' = w · γ/√(σ² + ε) per output channel, b' = β − μ · γ/√(σ² + ε). What is folded stays so.
    The predictor would do the same each time it loads, one small operator after another: it takes
    four times as long to load.
    """
    for layer in network.sublayers():
        if not isinstance(layer, CONV_NORMS) or isinstance(layer.bn, nn.Identity):
            continue
        conv, bn = layer.conv, layer.bn
        scale = bn.weight / paddle.sqrt(bn._variance + bn._epsilon)
        conv.weight.set_value(conv.weight * scale.reshape([-1, 1, 1, 1]))
        conv.bias = conv.create_parameter(shape=[bn._num_features], is_bias=True)
        conv.bias.set_value(bn.bias - bn._mean * scale)
        layer.bn = nn.Identity()


def store_in_half(network: nn.Layer) -> None:
    """Keeps the weights of convolutions and linear layers as float16, in place: half the file.

    They are widened in the program. Every engine does so once, when it folds constants while
    loading, so passes are float32 and take as long as before.
    """
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D):
            layer.forward = partial(_convolve, layer)
        elif isinstance(layer, nn.Linear):
            layer.forward = partial(_multiply, layer)
        else:
            continue
        layer.weight = EagerParamBase.from_tensor(layer.weight.astype("float16"))


def _convolve(layer: nn.Conv2D, x: Tensor) -> Tensor:
    weight = layer.weight.astype("float32")
    geometry = layer._stride, layer._padding, layer._dilation, layer._groups
    return F.conv2d(x, weight, layer.bias, *geometry)


def _multiply(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.astype("float32"), layer.bias)


def export(network: nn.Layer, folder: Path, name: str, size: tuple[int, int]) -> dict[str, str]:
    """Writes `name`.json and `name`.pdiparams: input `x` float32 [N, 3, *size].

    Parameters keep the names of the state dict: `state_dict.read_program` gets them back.

    Returns:
        sha256 of each file by its name, as pack.toml wants it.
    """
    network.eval()
    name_tensors(network)
    spec = InputSpec([None, 3, *size], "float32", name="x")
    paddle.jit.save(network, str(folder / name), input_spec=[spec])
    files = (f"{name}.json", f"{name}.pdiparams")
    return {file: sha256_of(folder / file) for file in files}
