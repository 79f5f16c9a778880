"""Pooled features of the open photographs, and the linear layer that is fitted on them."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from models.nets.efficientnet_lite import PooledLinear
from models.pack import NetworkSpec
from models.preprocess import Preprocessor
from models.session import Session
from models.training.export import export
from models.training.open_data import Photo
from models.training.projection import Projection
from models.training.recipes.views import Image

VIEWS = 2


def views(photo: Photo) -> list[Image]:
    """VIEWS: the photograph, and closer: its largest labelled body, or else its middle."""
    image = photo.load()
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (
        photo.boxes[0] if photo.boxes else (width / 8, height / 8, width * 7 / 8, height * 7 / 8)
    )
    return [image, image[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]]


class Pooled(nn.Layer):
    """A network without its linear layer: float32 [N, 3, H, W] → [N, D]."""

    def __init__(self, network: PooledLinear) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.pooled(image)


def pooled_features(
    network: PooledLinear, spec: NetworkSpec, subjects: Iterable[Sequence[Image]], threads: int
) -> NDArray[np.float32]:
    """Pooled features [subjects, views of each, D], through the runtime that will serve."""
    preprocessor = Preprocessor(spec)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        export(Pooled(network), Path(folder), "pooled", spec.input_size)
        files = (Path(folder) / "pooled.json", Path(folder) / "pooled.pdiparams")
        session = Session(*files, threads)
        for seen in subjects:
            batch = preprocessor.batch(len(seen))
            for view, pixels in zip(seen, batch, strict=True):
                preprocessor.write(view, pixels)
            rows.append(session.run({"x": batch})[0])
    return np.stack(rows).astype(np.float32, copy=False)


def with_projection(network: PooledLinear, projection: Projection) -> PooledLinear:
    """The same network with a projection as its linear layer."""
    weight, bias = projection
    embedder = type(network)(network.trunk, weight.shape[1])
    embedder.fc.weight.set_value(weight)
    embedder.fc.bias.set_value(bias)
    return embedder
