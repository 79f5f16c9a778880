"""A linear map that teaches vectors one shop's products, and puts itself into the last layer.

Within-class covariance normalisation of the vectors themselves: directions in which views of one
product differ (light, angle, background) are damped. See `models.training.projection` for the
source; here nothing is left out, so the dimension stays.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from numpy.typing import NDArray

from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.training.embedding.weights import Embedder
from models.training.projection import within_class_covariance


def fit_map(
    vectors: NDArray[np.float32], products: Sequence[str], shrinkage: float
) -> NDArray[np.float32]:
    """The map [D, D], symmetric, such that `vectors @ map` compare better.

    Args:
        vectors: [N, D] of unit length, several views of each product.
        products: what each shows.
        shrinkage: 0 trusts the covariance measured, 1 ignores it.

    Raises:
        ValueError: no product has two rows.
    """
    within = within_class_covariance(vectors.astype(np.float64), products)
    isotropic = np.trace(within) / len(within)
    values, directions = np.linalg.eigh(
        (1 - shrinkage) * within + shrinkage * isotropic * np.eye(len(within))
    )
    # The scale of a vector is taken out when served; this one keeps it about as it was.
    scales = np.sqrt(isotropic / values)
    return np.asarray((directions * scales) @ directions.T, np.float32)


def mapped(vectors: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [..., D] after the map, at unit length again."""
    rows = vectors @ by
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


@paddle.no_grad()  # type: ignore[untyped-decorator]
def put_map(network: Embedder, by: NDArray[np.float32]) -> None:
    """Make the network, in place, answer `features @ by` where it answered `features`."""
    after = paddle.to_tensor(by)
    if not isinstance(network, PPLCNetV2ShiTu):
        network.fc.weight.set_value(network.fc.weight @ after)
        network.fc.bias.set_value(network.fc.bias @ after)
        return
    # The neck's scale and shift go into the convolution before it, and leave it without effect.
    conv, neck = network.embedding, network.neck
    scale = neck.weight / paddle.sqrt(neck._variance + neck._epsilon)
    kept = 1 - network.dropout.p  # what its dropout scales by when serving
    shift = neck.bias / kept + (conv.bias - neck._mean / kept) * scale
    weight = conv.weight.flatten(1) * scale.unsqueeze(1)
    conv.weight.set_value((after.t() @ weight).reshape(conv.weight.shape))
    conv.bias.set_value(shift @ after)
    neck.weight.set_value(paddle.full_like(neck.weight, float(np.sqrt(1 + neck._epsilon))))
    neck.bias.set_value(paddle.zeros_like(neck.bias))
    neck._mean.set_value(paddle.zeros_like(neck._mean))
    neck._variance.set_value(paddle.ones_like(neck._variance))
