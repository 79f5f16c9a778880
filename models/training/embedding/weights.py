"""A feature extractor out of its state dict, which tells its size."""

from models.errors import ModelError
from models.nets.pp_lcnet import scaled_channels
from models.nets.pp_lcnet_v2 import SIZES, STAGES, PPLCNetV2ShiTu, SizeName
from models.training.detection.weights import load_weights
from models.training.embedding.reference import Weights, is_reference, our_weights


def size_of(weights: Weights) -> SizeName:
    """The size of a feature extractor with these weights, told by the width of its last stage.

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


def embedder_from(weights: Weights) -> PPLCNetV2ShiTu:
    """The network with these weights, ours or the reference's, in evaluation mode.

    Raises:
        ModelError: they are no feature extractor's, or some are missing, left over or of another
            shape.
    """
    if is_reference(weights):
        weights = our_weights(weights)
    network = PPLCNetV2ShiTu(size_of(weights))
    load_weights(network, weights)
    network.eval()
    return network
