"""A feature extractor out of its weights, which tell what it is."""

from itertools import product
from pathlib import Path

from models.errors import ModelError
from models.nets.efficientnet_lite import SCALES, EfficientNetLite, PooledLinear, StagesLinear
from models.nets.pp_lcnet import scaled_channels
from models.nets.pp_lcnet_v2 import (
    EMBEDDING_CHANNELS,
    SIZES,
    STAGES,
    PPLCNetV2ShiTu,
    SizeName,
    fold,
)
from models.training.embedding.reference import is_reference, our_weights
from models.training.export import fold_batch_norms
from models.training.normalisation import EFFICIENTNET_LITE, IMAGENET, Normalisation
from models.training.state_dict import Weights, load_weights, read_program

Embedder = PPLCNetV2ShiTu | PooledLinear

_FOLDED_BRANCH = "trunk.stages.2.0.depthwise.branches.0.weight"
_LITE_HEAD = "trunk.head.conv.weight"
_BATCH_NORM = "trunk.stem.bn.weight"


def size_of(weights: Weights) -> SizeName:
    """The size of a PP-LCNetV2 "ShiTu" with these weights, told by the width of its last stage.

    Raises:
        ModelError: they are no feature extractor's of this project, or of no published size.
    """
    if "embedding.weight" not in weights or "neck.weight" not in weights:
        raise ModelError("These weights are not a PP-LCNetV2 feature extractor's")
    width = weights["embedding.weight"].shape[1]
    for name, size in SIZES.items():
        if width == scaled_channels(STAGES[-1].channels, size.scale):
            return name
    raise ModelError(f"No published PP-LCNetV2 is {width} channels wide")


def embedder_from(weights: Weights) -> Embedder:
    """The network with these weights, ours or the reference's, in evaluation mode.

    That is a PP-LCNetV2 "ShiTu", its branches folded or not; or an EfficientNet-Lite with a linear
    layer, its batch norms folded or not. What is folded trains as it is.

    Raises:
        ModelError: they are no feature extractor's, or some are missing, left over or of another
            shape.
    """
    if is_reference(weights):
        weights = our_weights(weights)
    network: Embedder
    if _LITE_HEAD in weights:
        network = _efficientnet_lite(weights)
    else:
        network = PPLCNetV2ShiTu(size_of(weights))
        if _FOLDED_BRANCH in weights:
            fold(network)
    load_weights(network, weights)
    network.eval()
    return network


def dimension_of(network: Embedder) -> int:
    """Length of its vectors."""
    if isinstance(network, PPLCNetV2ShiTu):
        return EMBEDDING_CHANNELS
    return int(network.fc.weight.shape[1])


def normalisation_of(network: Embedder) -> Normalisation:
    """The one of the trunk's published ImageNet weights."""
    return IMAGENET if isinstance(network, PPLCNetV2ShiTu) else EFFICIENTNET_LITE


def read_exported(model: Path) -> Embedder:
    """The embedder of a pack that this project exported (`.json` and `.pdiparams`).

    Raises:
        ModelError: the program is not one of ours.
    """
    weights = read_program(model)
    try:
        return embedder_from(weights)
    except ModelError as error:
        raise ModelError(f"{model} cannot be trained further: {error}") from error


def _efficientnet_lite(weights: Weights) -> PooledLinear:
    """The network of these names and shapes, not loaded yet."""
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    for variant, kind in product(range(len(SCALES)), (PooledLinear, StagesLinear)):
        network = kind(EfficientNetLite(variant), shapes.get("fc.bias", [1])[0])
        if _BATCH_NORM not in weights:
            fold_batch_norms(network)
        if {name: tensor.shape for name, tensor in network.state_dict().items()} == shapes:
            return network
    raise ModelError("No EfficientNet-Lite with a linear layer has these weights")
