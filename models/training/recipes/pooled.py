"""Pooled features of the open photographs, and the linear layer that is fitted on them."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paddle import nn
from rich.progress import track

from models.nets.efficientnet_lite import PooledLinear
from models.pack import NetworkSpec
from models.preprocess import Preprocessor
from models.session import Session
from models.training.export import export
from models.training.open_data import Photo
from models.training.projection import Projection

VIEWS = 2


def views(photo: Photo) -> Iterator[NDArray[np.uint8]]:
    """The photograph, and closer: its largest labelled body, or else its middle."""
    image = photo.load()
    yield image
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (
        photo.boxes[0] if photo.boxes else (width / 8, height / 8, width * 7 / 8, height * 7 / 8)
    )
    yield image[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]


def pooled_features(
    network: PooledLinear, spec: NetworkSpec, photos: Sequence[Photo], threads: int
) -> NDArray[np.float32]:
    """Pooled features [photos, VIEWS, 1280], through the runtime that will serve."""
    preprocessor = Preprocessor(spec)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trunk = nn.Sequential(network.trunk, network.pool, nn.Flatten())
        export(trunk, Path(folder), "trunk", spec.input_size)
        files = (Path(folder) / "trunk.json", Path(folder) / "trunk.pdiparams")
        session = Session(*files, threads)
        for photo in track(photos, "features"):
            batch = preprocessor.batch(VIEWS)
            for view, pixels in zip(views(photo), batch, strict=True):
                preprocessor.write(view, pixels)
            rows.append(session.run({"x": batch})[0].value)
    return np.stack(rows).astype(np.float32, copy=False)


def with_projection(network: PooledLinear, projection: Projection) -> PooledLinear:
    """The network's trunk with a projection as its linear layer."""
    weight, bias = projection
    embedder = PooledLinear(network.trunk, weight.shape[1])
    embedder.fc.weight.set_value(weight)
    embedder.fc.bias.set_value(bias)
    return embedder
