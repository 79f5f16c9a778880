"""The embedded pack's embedder on products that it was not trained on: five-fold, by product.

    python -m bench.accuracy --embedder WORK [--data ../shared/data] [--write docs/benchmarks.md]

WORK is where `models.training.recipes.embedded_embedder` trained it, once without each fifth of the
products; each is asked about the fifth it never saw. Rows: the features of the trunk before
training as they come, a projection of them (as of Lite0's in the first pack) fitted without the
fifth, the trained embedder, and the same as the gallery compares references (gallery.leaning).
Columns: grocery `val` in `train`, among the kept-out products and
among all; one iconic image of each, likewise (`val` and `train` ask); a beverage source of a
repeated SKU in all other sources, whole and by its true body.

For the second and third table a query is asked twice, with its product enrolled and without.
Without, reaching the threshold is a false accept. The third is for choosing the pack's threshold
and margin.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.disturbances import recalls
from bench.folded import folded_pack
from bench.report import circumstances, table
from gallery.leaning import leaned
from models.embedder import Embedder
from models.nets.efficientnet_lite import HEAD_CHANNELS
from models.pack import read_manifest
from models.training.open_data import Photo, beverage, grocery
from models.training.projection import fit_projection
from models.training.recipes.pack_files import PACK
from models.training.recipes.split import PARTS, folds

Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]

FIRST_SHRINKAGE = 0.6  # of the first pack's projection
THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
MARGINS = (0.01, 0.02, 0.04)
FALSE_ACCEPTS = 0.05
THREADS = 2


class Photos:
    """All open photographs, and a fold for each product."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.identity = np.asarray([photo.identity for photo in photos])
        self.split = np.asarray([photo.split for photo in photos])
        self.source = np.asarray([photo.source for photo in photos])
        self.domain = np.asarray(["beverage" if photo.boxes else "grocery" for photo in photos])
        of = folds(photo.identity for photo in photos)
        self.fold = np.asarray([of[photo.identity] for photo in photos])
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


def ask(
    photos: Photos, vectors: Rows, asked: Flags, gallery: Flags, *, leaning: bool = False
) -> Answers:
    """What asked rows get from a gallery of other sources; a product's best photograph counts.

    `leaning`: compared as the gallery compares them (gallery.leaning).
    """
    order = np.flatnonzero(gallery)[np.argsort(photos.identity[gallery], kind="stable")]
    names, starts = np.unique(photos.identity[order], return_index=True)
    own = names[None] == photos.identity[asked][:, None]
    same = photos.source[asked][:, None] == photos.source[order][None]
    references = np.split(vectors[order], starts[1:])
    if leaning:
        compared = [leaned(rows, np.zeros(len(rows), np.bool_)) for rows in references]
        scores = vectors[asked] @ np.concatenate(compared).T
    else:
        scores = vectors[asked] @ vectors[order].T
    scores[same] = -1
    products = np.maximum.reduceat(scores, starts, axis=1)
    if leaning:  # without the asked source its product's references lean otherwise
        for query, product in np.argwhere(own & np.logical_or.reduceat(same, starts, axis=1)):
            rows = references[product][~np.split(same[query], starts[1:])[product]]
            if len(rows):
                compared_again = leaned(rows, np.zeros(len(rows), np.bool_))
                products[query, product] = (compared_again @ vectors[asked][query]).max()
    ranked = np.sort(products, axis=1)
    impostor = np.where(own, -1, products).max(axis=1)
    return Answers(
        right=np.where(own, products, -1).max(axis=1) > impostor,
        score=ranked[:, -1],
        margin=ranked[:, -1] - ranked[:, -2],
        impostor=impostor,
    )


def projected(photos: Photos, features: Rows, fold: int, dimension: int) -> Rows:
    """A projection of features [photos, 2 views, D], fitted on the products outside the fold."""
    kept = photos.fold != fold
    weight, bias = fit_projection(
        features[kept].reshape(-1, features.shape[-1]),
        photos.identity[kept].repeat(2).tolist(),
        photos.domain[kept].repeat(2).tolist(),
        dimension=dimension,
        shrinkage=FIRST_SHRINKAGE,
    )
    return features @ weight + bias


def protocols(
    photos: Photos, made_for: Callable[[int], Rows], *, leaning: bool = False
) -> dict[str, Answers]:
    """Answers by protocol, over the queries of all folds; vectors are [photos, 2 views, D]."""
    answers: dict[str, list[Answers]] = {}
    train, val, iconic, original = (
        photos.split == split for split in ("train", "val", "iconic", "original")
    )
    for fold in range(PARTS):
        vectors = made_for(fold)
        vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
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
            found = ask(photos, views, asked, gallery, leaning=leaning)
            answers.setdefault(name, []).append(found)
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


def accepted(found: dict[str, dict[str, Answers]]) -> str:
    """Right and accepted at the threshold that FALSE_ACCEPTS of strangers reach, as a table."""

    def share(answers: Answers) -> float:
        threshold = np.quantile(answers.impostor, 1 - FALSE_ACCEPTS)
        return float((answers.right & (answers.score > threshold)).mean())

    return table(
        (f"right and accepted, {FALSE_ACCEPTS:.0%} false accepts", *found["trained"]),
        [
            (name, *(f"{share(answers):.3f}" for answers in columns.values()))
            for name, columns in found.items()
        ],
    )


def disturbances(shown: Sequence[Photo], photos: Photos, work: Path) -> str:
    """What is left of recall@1 when the photograph that asks is disturbed."""
    right: dict[str, list[bool]] = {}
    for fold in range(PARTS):
        unseen = photos.fold == fold
        gallery = unseen & (photos.split == "train")
        vectors = np.load(work / str(fold) / "vectors.npy")[gallery, 0]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = [shown[int(place)] for place in np.flatnonzero(unseen & (photos.split == "val"))]
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Embedder(folded_pack(work, fold, Path(folder) / "pack"), THREADS)) as embedder,
        ):
            by_name = recalls(embedder, asked, vectors, photos.identity[gallery])
        for name, found in by_name.items():
            right.setdefault(name, []).extend(found)
    rows = [(f"grocery, kept-out only: {name}", f"{np.mean(r):.3f}") for name, r in right.items()]
    return table(("recall@1 of the trained embedder", ""), rows)


def run(data: Path, work: Path) -> str:
    """The section as Markdown."""
    embedder = read_manifest(PACK).embedder
    shown = [*grocery(data), *beverage(data)]
    photos = Photos(shown)
    features = np.load(work / "imagenet.npy")[..., :HEAD_CHANNELS]

    def trained(fold: int) -> Rows:
        vectors: Rows = np.load(work / str(fold) / "vectors.npy").astype(np.float32)
        return vectors

    found = {
        "ImageNet as it comes, 1280-d": protocols(photos, lambda _: features),
        "a projection of that": protocols(
            photos, lambda fold: projected(photos, features, fold, embedder.dimension)
        ),
        "trained": protocols(photos, trained),
        "… as the gallery compares": protocols(photos, trained, leaning=True),
    }
    plain = table(
        ("recall@1", *found["trained"]),
        [
            (name, *(f"{answers.right.mean():.3f}" for answers in columns.values()))
            for name, columns in found.items()
        ],
    )
    chosen = found["… as the gallery compares"]
    cases = [(t, embedder.ambiguous_margin) for t in THRESHOLDS]
    cases += [(embedder.match_threshold, margin) for margin in MARGINS]
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
    title = "## Products the embedder was not trained on"
    how = f"`python -m bench.accuracy --embedder WORK`, {PARTS} folds by product. {circumstances()}"
    return "\n\n".join(
        (title, how, plain, accepted(found), choices, disturbances(shown, photos, work))
    )
