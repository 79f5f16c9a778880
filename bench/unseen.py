"""The embedded pack's projection on products that it was not fitted on: five-fold, by product.

    python -m bench.unseen CHECKPOINT [--data ../shared/data] [--write docs/benchmarks.md]

CHECKPOINT is `efficientnet-lite0-57934424.pth`. For each fifth of the products the projection is
fitted on the other four and asked about this one. Columns: grocery `val` in `train`, among the
kept-out products and among all; one iconic image of each, likewise (`val` and `train` ask); a
beverage source of a repeated SKU in all other sources, whole and by its true body.

The second table is for choosing the pack's threshold and margin, with the pack's own shrinkage: a
query is asked twice, with its product enrolled and without. Without, reaching the threshold is a
false accept.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.report import circumstances, table, write_section
from models.pack import PackManifest
from models.training.build_embedded import PACK, SHRINKAGE, pooled_features, read_manifest
from models.training.convert import efficientnet_lite
from models.training.export import fold_batch_norms
from models.training.open_data import Photo, beverage, grocery
from models.training.projection import fit_projection

Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]
Project = Callable[[Rows], Rows]

FOLDS = 5
SEED = 0
SHRINKAGES = (0.3, 0.6, 0.9)
THRESHOLDS = (0.55, 0.6, 0.65, 0.7)
MARGINS = (0.01, 0.02, 0.04)


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


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Per query: is the best product right, its score, its lead, and the best wrong score."""

    right: Flags
    score: Rows
    margin: Rows
    impostor: Rows

    @classmethod
    def join(cls, parts: Sequence["Answers"]) -> "Answers":
        columns = ([getattr(part, name) for part in parts] for name in cls.__slots__)
        return cls(*(np.concatenate(column) for column in columns))


def ask(photos: Photos, vectors: Rows, asked: Flags, gallery: Flags) -> Answers:
    """What asked rows get from a gallery of other sources; a product's best photograph counts."""
    scores = vectors[asked] @ vectors[gallery].T
    scores[photos.source[asked][:, None] == photos.source[gallery][None]] = -1
    order = np.argsort(photos.identity[gallery], kind="stable")
    names, starts = np.unique(photos.identity[gallery][order], return_index=True)
    products = np.maximum.reduceat(scores[:, order], starts, axis=1)
    ranked = np.sort(products, axis=1)
    own = names[None] == photos.identity[asked][:, None]
    impostor = np.where(own, -1, products).max(axis=1)
    return Answers(
        right=np.where(own, products, -1).max(axis=1) > impostor,
        score=ranked[:, -1],
        margin=ranked[:, -1] - ranked[:, -2],
        impostor=impostor,
    )


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


def protocols(
    photos: Photos, features: Rows, project: Callable[[int], Project]
) -> dict[str, Answers]:
    """Answers by protocol, over the queries of all folds."""
    answers: dict[str, list[Answers]] = {}
    train, val, iconic, original = (
        photos.split == split for split in ("train", "val", "iconic", "original")
    )
    for fold in range(FOLDS):
        vectors = project(fold)(features)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        whole, closer = vectors[:, 0], vectors[:, 1]
        unseen = photos.fold == fold
        shots, drinks = unseen & (train | val), unseen & original & photos.repeated
        for name, views, asked, gallery in (
            ("grocery, kept-out only", whole, unseen & val, unseen & train),
            ("grocery, among all", whole, unseen & val, train),
            ("iconic, kept-out only", whole, shots, unseen & iconic),
            ("iconic, among all", whole, shots, iconic),
            ("beverage, whole", whole, drinks, original),
            ("beverage, body", closer, drinks, original),
        ):
            answers.setdefault(name, []).append(ask(photos, views, asked, gallery))
    return {name: Answers.join(parts) for name, parts in answers.items()}


def decisions(answers: Answers, threshold: float, margin: float) -> list[str]:
    """Shares: match right, match wrong, ambiguous with the best right or wrong, false accepts."""
    accepted, close = answers.score >= threshold, answers.margin < margin
    shares = (
        accepted & ~close & answers.right,
        accepted & ~close & ~answers.right,
        accepted & close & answers.right,
        accepted & close & ~answers.right,
        answers.impostor >= threshold,
    )
    return [f"{share.mean():.3f}" for share in shares]


def run(data: Path, checkpoint: Path, manifest: PackManifest) -> str:
    """The section as Markdown."""
    network = efficientnet_lite(checkpoint)
    fold_batch_norms(network)
    shown = [*grocery(data), *beverage(data)]
    photos = Photos(shown)
    features = pooled_features(network, manifest.embedder, shown).reshape(len(shown), 2, -1)

    def fold_projections(shrinkage: float) -> Callable[[int], Project]:
        dimension = manifest.embedder.dimension
        return lambda fold: fitted(photos, features, fold, shrinkage, dimension)

    found = {"as it comes, 1280-d": protocols(photos, features, lambda _: lambda rows: rows.copy())}
    for shrinkage in SHRINKAGES:
        found[f"shrinkage {shrinkage}"] = protocols(photos, features, fold_projections(shrinkage))
    recalls = table(
        ("recall@1", *next(iter(found.values()))),
        [
            (name, *(f"{answers.right.mean():.3f}" for answers in columns.values()))
            for name, columns in found.items()
        ],
    )
    chosen = found[f"shrinkage {SHRINKAGE}"]
    cases = [(t, MARGINS[1]) for t in THRESHOLDS]
    cases += [(manifest.embedder.match_threshold, margin) for margin in MARGINS]
    choices = table(
        (
            "threshold, margin",
            "match, right",
            "match, wrong",
            "ambiguous, best right",
            "ambiguous, best wrong",
            "false accepts",
        ),
        [
            (f"{name}: {threshold}, {margin}", *decisions(chosen[name], threshold, margin))
            for name in ("grocery, among all", "beverage, body")
            for threshold, margin in cases
        ],
    )
    title = "## Products the projection was not fitted on"
    how = f"`python -m bench.unseen`, {FOLDS} folds by product. {circumstances()}"
    return "\n\n".join((title, how, recalls, choices))


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
