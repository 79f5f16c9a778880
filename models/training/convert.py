"""Published ImageNet weights of EfficientNet-Lite, renamed for the network of `models.nets`."""

import re
from pathlib import Path

import numpy as np

from models.errors import ModelError
from models.nets.efficientnet_lite import EfficientNetLite, PooledLinear
from models.training.state_dict import load_weights
from models.training.torch_files import Weights, paddle_name, read_torch

IMAGENET_CLASSES = 1000

# Published EfficientNet-Lite names (a pattern each) → ours. The first block has no expansion, so
# its own batch norms are numbered like everyone else's but its `_bn0` is missing.
EFFICIENTNET_LITE_NAMES = (
    (r"_conv_stem\.", "trunk.stem.conv."),
    (r"_bn0\.", "trunk.stem.bn."),
    (r"_blocks\.(\d+)\._expand_conv\.", r"trunk.blocks.\1.expand.conv."),
    (r"_blocks\.(\d+)\._bn0\.", r"trunk.blocks.\1.expand.bn."),
    (r"_blocks\.(\d+)\._depthwise_conv\.", r"trunk.blocks.\1.depthwise.conv."),
    (r"_blocks\.(\d+)\._bn1\.", r"trunk.blocks.\1.depthwise.bn."),
    (r"_blocks\.(\d+)\._project_conv\.", r"trunk.blocks.\1.project.conv."),
    (r"_blocks\.(\d+)\._bn2\.", r"trunk.blocks.\1.project.bn."),
    (r"_conv_head\.", "trunk.head.conv."),
    (r"_bn1\.", "trunk.head.bn."),
    (r"_fc\.", "fc."),
)


def efficientnet_lite_name(published: str) -> str:
    """Our name of a published EfficientNet-Lite tensor.

    Raises:
        ModelError: the table does not know it.
    """
    for pattern, ours in EFFICIENTNET_LITE_NAMES:
        name, found = re.subn(f"^{pattern}", ours, published)
        if found:
            return paddle_name(name)
    raise ModelError(f"No EfficientNet-Lite has a tensor {published}")


def efficientnet_lite(checkpoint: Path, variant: int = 0) -> PooledLinear:
    """The ImageNet classifier from a PyTorch state dict (`efficientnet-lite0-57934424.pth`).

    Raises:
        ModelError: it is no such file, or tensors are missing, left over or of another shape.
    """
    weights: Weights = {}
    for published, tensor in read_torch(checkpoint).items():
        if published.endswith("num_batches_tracked"):
            continue
        name = efficientnet_lite_name(published)
        # Linear layers are [outputs, inputs] there, [inputs, outputs] here.
        weights[name] = np.ascontiguousarray(tensor.T) if name == "fc.weight" else tensor
    network = PooledLinear(EfficientNetLite(variant), IMAGENET_CLASSES)
    load_weights(network, weights)
    network.eval()
    return network
