"""What tensors are called: in the published EfficientNet-Lite, in the twin, in Paddle."""

import re

import numpy as np
from numpy.typing import NDArray

# A pattern each; as `models.training.convert`, for a trunk that lies in a detector.
PUBLISHED = (
    (r"_conv_stem\.", "backbone.stem.conv."),
    (r"_bn0\.", "backbone.stem.bn."),
    (r"_blocks\.(\d+)\._expand_conv\.", r"backbone.blocks.\1.expand.conv."),
    (r"_blocks\.(\d+)\._bn0\.", r"backbone.blocks.\1.expand.bn."),
    (r"_blocks\.(\d+)\._depthwise_conv\.", r"backbone.blocks.\1.depthwise.conv."),
    (r"_blocks\.(\d+)\._bn1\.", r"backbone.blocks.\1.depthwise.bn."),
    (r"_blocks\.(\d+)\._project_conv\.", r"backbone.blocks.\1.project.conv."),
    (r"_blocks\.(\d+)\._bn2\.", r"backbone.blocks.\1.project.bn."),
)
STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}


# Of EfficientNet-Lite1, what stays as published when the embedder is trained.
LOWER_STAGES, LOWER_BLOCKS = 5, 15
# What the twins answer to their probes, beside their tensors.
PROBE = ("probe.scores", "probe.sides")
EMBEDDER_PROBE = "probe.pooled"
SCALES = "scales"  # of the features that the embedder's linear layer sees, while it learns


def published_name(published: str) -> str:
    """The twin's name of a published tensor; what the twin lacks keeps its own."""
    for pattern, ours in PUBLISHED:
        name, found = re.subn(f"^{pattern}", ours, published)
        if found:
            return name
    return published


def paddle_name(twin: str) -> str:
    """The Paddle network's name of a tensor of its twin."""
    stem, _, last = twin.rpartition(".")
    return f"{stem}.{STATISTICS.get(last, last)}"


def twin_name(paddle: str) -> str:
    """The other way round."""
    stem, _, last = paddle.rpartition(".")
    torch = {ours: twin for twin, ours in STATISTICS.items()}
    return f"{stem}.{torch.get(last, last)}"


def embedder_probe() -> NDArray[np.float32]:
    """An input [2, 3, 224, 224] on which both embedders must agree."""
    return np.random.default_rng(8).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)


def probe() -> NDArray[np.float32]:
    """An input [1, 3, 128, 128] on which both networks must agree."""
    return np.random.default_rng(7).uniform(-1, 1, (1, 3, 128, 128)).astype(np.float32)
