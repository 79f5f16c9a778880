"""What a recipe and its training in PyTorch agree on: where they part, names, probes."""

import numpy as np
from numpy.typing import NDArray

# Of EfficientNet-Lite1, what stays as published when the embedder is trained.
LOWER_STAGES, LOWER_BLOCKS = 5, 15
# What the twins answer to their probes, beside their tensors.
PROBE = ("probe.scores", "probe.sides")
EMBEDDER_PROBE = "probe.pooled"
SCALES = "scales"  # of the features that the embedder's linear layer sees, while it learns


def embedder_probe() -> NDArray[np.float32]:
    """An input [2, 3, 224, 224] on which both embedders must agree."""
    return np.random.default_rng(8).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)


def probe() -> NDArray[np.float32]:
    """An input [1, 3, 128, 128] on which both networks must agree."""
    return np.random.default_rng(7).uniform(-1, 1, (1, 3, 128, 128)).astype(np.float32)
