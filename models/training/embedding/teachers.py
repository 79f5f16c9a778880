"""Larger embedders whose view of what is alike a smaller one learns.

Only the cosines between the images of a batch are compared, never vectors: so teachers may have any
number of dimensions, and there may be several. Source: Park et al., "Relational Knowledge
Distillation", CVPR 2019.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F  # noqa: N812

from models.embedder import Embedder
from models.errors import ModelError
from models.pack import Pack
from models.training.embedding.weights import embedder_from, normalisation_of
from models.training.state_dict import read_state_dict

# Views uint8 [N, S, S, 3] → vectors float32 [N, D] of unit length.
Teacher = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def teacher_from(path: Path, threads: int) -> Teacher:
    """The embedder of a pack (its folder), with its own pre-processing; or a `.pdparams` file's.

    Raises:
        ModelError: it is neither.
    """
    if path.is_dir():
        embedder = Embedder(Pack.load(path), threads)
        return lambda views: embedder.embed(list(views))[0]
    network = embedder_from(read_state_dict(path))
    normalisation = normalisation_of(network)

    def vectors(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        with paddle.no_grad():
            features = network(paddle.to_tensor(normalisation.apply(views)))
            unit: NDArray[np.float32] = F.normalize(features, axis=-1).numpy()
        return unit

    return vectors


def cosines(teachers: Sequence[Teacher], views: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the teachers make of each pair of views, on average: float32 [N, N].

    Raises:
        ModelError: there is no teacher.
    """
    if not teachers:
        raise ModelError("There is no teacher to ask")
    found = [vectors @ vectors.T for vectors in (teacher(views) for teacher in teachers)]
    mean: NDArray[np.float32] = np.mean(found, axis=0, dtype=np.float32)
    return mean


def relational_loss(features: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of the cosines between images, and those wanted, [N, N].

    An image and itself are always alike and left out.
    """
    unit = F.normalize(features, axis=-1)
    count = features.shape[0]
    return ((unit @ unit.t() - wanted) ** 2).sum() / (count * (count - 1))
