"""The embedded pack's projection on products that it was not fitted on: five-fold, by product.

    python -m bench.unseen CHECKPOINT [--data ../shared/data] [--write docs/benchmarks.md]

CHECKPOINT is `efficientnet-lite0-57934424.pth`. For each fifth of the products the projection is
fitted on the other four and asked about this one. Columns: grocery `val` in `train`, among the
kept-out products and among all; one iconic image of each, likewise (`val` and `train` ask); a
beverage source of a repeated SKU in all other sources, whole and by its true body. Then, per data
set, the inner product that 5 % of queries reach by a wrong product when their own is not enrolled,
and the share of queries that the right product wins at or above it.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.report import circumstances, table, write_section
from models.pack import PackManifest
from models.training.build_embedded import PACK, pooled_features, read_manifest
from models.training.convert import efficientnet_lite
from models.training.export import fold_batch_norms
from models.training.open_data import Photo, beverage, grocery
from models.training.projection import fit_projection

Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]
Project = Callable[[Rows], Rows]

FOLDS = 5
SEED = 0
FALSE_ACCEPTS = 0.05
SHRINKAGES = (0.1, 0.3, 0.6, 0.9)


class Photos:
    """All open photographs, and a fold for each product."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.identity = np.asarray([photo.identity for photo in photos])
        self.split = np.asarray([photo.split for photo in photos])
        self.source = np.asarray([photo.source for photo in photos])
        self.domain = np.asarray(["beverage" if photo.boxes else "grocery" for photo in photos])
        order = np.random.default_rng(SEED).permutation(np.unique(self.identity))
        fold = {identity: place % FOLDS for place, identity in enumerate(order)}
        self.fold = np.asarray([fold[identity] for identity in self.identity])
        originals = Counter(self.identity[self.split == "original"])
        self.repeated = np.asarray([originals[identity] > 1 for identity in self.identity])


def nearest(
    photos: Photos, vectors: Rows, asked: Flags, gallery: Flags
) -> list[tuple[bool, float, float]]:
    """Of each asked row: is the nearest of another source right, its score, the best wrong one."""
    scores = vectors[asked] @ vectors[gallery].T
    scores[photos.source[asked][:, None] == photos.source[gallery][None]] = -1
    same = photos.identity[asked][:, None] == photos.identity[gallery][None]
    right = np.where(same, scores, -1).max(axis=1)
    wrong = np.where(same, -1, scores).max(axis=1)
    return [(r > w, max(r, w), w) for r, w in zip(right.tolist(), wrong.tolist(), strict=True)]


def fitted(photos: Photos, features: Rows, fold: int, shrinkage: float, dimension: int) -> Project:
    """The projection of the products outside the fold; features are [photos, 2 views, D]."""
    kept = photos.fold != fold
    weight, bias = fit_projection(
        features[kept].reshape(-1, features.shape[-1]),
        photos.identity[kept].repeat(2).tolist(),
        photos.domain[kept].repeat(2).tolist(),
        dimension=dimension,
        shrinkage=shrinkage,
    )
    return lambda rows: rows @ weight + bias


def row(photos: Photos, features: Rows, project: Callable[[int], Project]) -> list[str]:
    """One table row: the mean over all queries of the five folds."""
    results: list[list[tuple[bool, float, float]]] = [[] for _ in range(6)]
    train, val, iconic, original = (
        photos.split == s for s in ("train", "val", "iconic", "original")
    )
    for fold in range(FOLDS):
        vectors = project(fold)(features)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        whole, closer = vectors[:, 0], vectors[:, 1]
        unseen = photos.fold == fold
        shots = unseen & (train | val)
        drinks = unseen & original & photos.repeated
        for result, found in zip(
            results,
            (
                nearest(photos, whole, unseen & val, unseen & train),
                nearest(photos, whole, unseen & val, train),
                nearest(photos, whole, shots, unseen & iconic),
                nearest(photos, whole, shots, iconic),
                nearest(photos, whole, drinks, original),
                nearest(photos, closer, drinks, original),
            ),
            strict=True,
        ):
            result += found
    cells = [f"{np.mean([right for right, _, _ in result]):.3f}" for result in results]
    for result in (results[1], results[5]):
        threshold = float(np.quantile([wrong for _, _, wrong in result], 1 - FALSE_ACCEPTS))
        accepted = np.mean([right and score >= threshold for right, score, _ in result])
        cells.append(f"{accepted:.3f} at {threshold:.3f}")
    return cells


def run(data: Path, checkpoint: Path, manifest: PackManifest) -> str:
    """The section as Markdown."""
    network = efficientnet_lite(checkpoint)
    fold_batch_norms(network)
    shown = [*grocery(data), *beverage(data)]
    photos = Photos(shown)
    features = pooled_features(network, manifest.embedder, shown).reshape(len(shown), 2, -1)
    rows = [["as it comes, 1280-d", *row(photos, features, lambda _: lambda rows: rows.copy())]]
    for shrinkage in SHRINKAGES:
        projections = [
            fitted(photos, features, fold, shrinkage, manifest.embedder.dimension)
            for fold in range(FOLDS)
        ]
        rows.append([f"shrinkage {shrinkage}", *row(photos, features, projections.__getitem__)])
    header = (
        "products kept out, recall@1",
        "grocery, kept-out only",
        "among all",
        "iconic, kept-out only",
        "among all",
        "beverage whole",
        "true body",
        "grocery at 5 % false accepts",
        "beverage body at 5 %",
    )
    title = "## Products the projection was not fitted on"
    how = f"`python -m bench.unseen`, {FOLDS} folds by product. {circumstances()}"
    return "\n\n".join((title, how, table(header, rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--write", type=Path, help="report whose section is replaced")
    options = parser.parse_args()
    section = run(options.data, options.checkpoint, read_manifest(PACK))
    print(section)
    if options.write:
        write_section(options.write, "unseen products", section)


if __name__ == "__main__":
    main()
