"""Weights of the twin drawn by name: the same in PyTorch, which recorded its answers, and here."""

import zlib

import numpy as np


def seeded_weights(shapes):
    """Tensors by the twin's names, of the given shapes."""
    weights = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        last = name.rpartition(".")[2]
        if last == "running_var":
            drawn = rng.uniform(0.5, 2, shape)
        elif last == "weight" and len(shape) == 1:
            drawn = rng.uniform(0.5, 1.5, shape)
        elif last == "weight":
            drawn = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            drawn = rng.normal(0, 0.1, shape)
        weights[name] = drawn.astype(np.float32)
    return weights


def seeded_case():
    """Three images of 0, 2 and 4 boxes: score logits, distribution logits and boxes, padded."""
    rng = np.random.default_rng(12)
    cells = 8 * 8 + 4 * 4 + 2 * 2  # of an input of 128 pixels, strides 16, 32 and 64
    scores = rng.normal(0, 1, (3, cells)).astype(np.float32)
    sides = rng.normal(0, 1, (3, cells, 4, 8)).astype(np.float32)
    boxes = np.zeros((3, 4, 4), np.float32)
    for image, count in enumerate((0, 2, 4)):
        corner = rng.uniform(0, 80, (count, 2))
        boxes[image, :count] = np.hstack([corner, corner + rng.uniform(16, 48, (count, 2))])
    return scores, sides, boxes
