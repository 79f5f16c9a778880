"""Learn one shop's products: a pack whose embedder tells them apart better, or no pack at all.

    python -m models.training.embedding.shop --data DATA --from PACK --to PACK

What is learnt is a linear map of the pack's own vectors, from many changed views of each photograph
(`models.training.embedding.adaptation`): it takes minutes, needs a few photographs of each product,
and unlike steps of gradient descent it helps products that come later, too (docs/training.md).

A fifth of the products and one photograph of each other one are kept out, five times, so that each
product is once, and are asked before and after as the service would. If recall@1 or mAP fell on
either, or nothing rose, nothing is written. What is written has learnt from all.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.errors import ModelError
from models.pack import Pack
from models.thresholds import MatchThreshold
from models.training.embedding.adaptation import fit_map, mapped, put_map
from models.training.embedding.augmentation import training_view
from models.training.embedding.pictures import Picture, by_product, read_pictures
from models.training.embedding.retrieval import (
    Answer,
    Embeddings,
    Retrieval,
    ask,
    rejecting,
    summary,
)
from models.training.embedding.served import ServedPack
from models.training.embedding.weights import read_exported
from models.training.export_embedder import install_embedder
from models.training.installation import check_target, replacing
from models.training.normalisation import Normalisation
from models.training.program import start

VIEWS = 6  # changed ones, of the whole photograph and of its body each
LEAST_PRODUCTS = 10  # with two photographs or more: fewer cannot show what was gained
KEPT_OUT = 5  # every so many products, so many times
# How little of what was measured of a shop is believed, 0 to 1; the best is taken.
SHRINKAGES = (0.2, 0.35, 0.5, 0.65, 0.8)
Maps = Sequence[NDArray[np.float32] | None]  # of each split; None: none
_EQUAL = 1e-3  # of a unit vector's elements: what the written pack may differ from the map


@dataclass(frozen=True, slots=True)
class Split:
    """Places in a list of photographs: to learn from, and two kinds that are kept out."""

    learnt: list[int]
    images: list[int]
    products: list[int]


@dataclass(frozen=True, slots=True)
class Found:
    """What the kept-out photographs found among all but the kept-out images."""

    images: list[Answer]
    products: list[Answer]

    @property
    def kinds(self) -> dict[str, Retrieval]:
        """Of each kind that was asked."""
        asked = {"images": self.images, "products": self.products}
        return {kind: summary(answers) for kind, answers in asked.items() if answers}

    @property
    def mean_ap(self) -> float:
        """Of both kinds, which count alike."""
        return float(np.mean([found.mean_ap for found in self.kinds.values()]))


def splits(pictures: Sequence[Picture], seed: int) -> list[Split]:
    """Each product is kept out once, and each time one photograph of those others that have three.

    Raises:
        ModelError: there are too few products with two photographs.
    """
    places: dict[str, list[int]] = {product: [] for product in sorted(by_product(pictures))}
    for place, picture in enumerate(pictures):
        places[picture.product].append(place)
    repeated = [product for product, own in places.items() if len(own) > 1]
    if len(repeated) < LEAST_PRODUCTS:
        raise ModelError(
            f"{len(repeated)} products have two photographs or more; {LEAST_PRODUCTS} are needed "
            "to learn from some and try it on others"
        )
    order = np.random.default_rng(seed).permutation(len(repeated))
    parts = []
    for part in range(KEPT_OUT):
        strangers = {repeated[number] for number in order[part::KEPT_OUT]}
        images, products, learnt = [], [], []
        for product, own in places.items():
            if product in strangers:
                products += own
                continue
            out = own[part % len(own)] if len(own) > 2 else None
            images += [place for place in own if place == out]
            learnt += [place for place in own if place != out]
        parts.append(Split(learnt, images, products))
    return parts


def tried(
    pictures: Sequence[Picture], vectors: NDArray[np.float32], parts: Sequence[Split], maps: Maps
) -> Found:
    """Ask with what each part keeps out, after its map; vectors are [N, V, D], of all pictures."""
    found = Found([], [])
    for part, by in zip(parts, maps, strict=True):
        moved = vectors if by is None else mapped(vectors, by)
        gallery = _of(pictures, moved, [*part.learnt, *part.products])
        found.images.extend(ask(_of(pictures, moved, part.images), gallery))
        found.products.extend(ask(_of(pictures, moved, part.products), gallery))
    return found


def refusal(before: Found, after: Found) -> str | None:
    """Why the new embedder must not be served, if it must not."""
    rose = False
    for kind, old in before.kinds.items():
        new = after.kinds[kind]
        for name, was, now in (
            ("recall@1", old.recall_1, new.recall_1),
            ("mAP", old.mean_ap, new.mean_ap),
        ):
            if now < was:
                return f"{name} on kept-out {kind} fell from {was:.3f} to {now:.3f}"
            rose = rose or now > was
    return None if rose else "nothing that was kept out is found better than before"


def changed_views(
    served: ServedPack, pictures: Sequence[Picture], seed: int
) -> list[NDArray[np.float32]]:
    """Vectors [V, D] of each photograph and its body, as they are and changed."""
    side = max(served.pack.embedder.input_size)
    rows = []
    for place, picture in enumerate(track(pictures, "changed views")):
        rng = np.random.default_rng([seed, place])
        views = served.views(picture)
        images = [*views, *(training_view(v, side, rng) for v in views for _ in range(VIEWS))]
        rows.append(served.vectors(images))
    return rows


@dataclass(frozen=True, slots=True)
class Learnt:
    """The map [D, D] of all photographs, and what those like it found that had learnt less."""

    by: NDArray[np.float32]
    found: Found


def learn(
    pictures: Sequence[Picture],
    vectors: NDArray[np.float32],
    views: Sequence[NDArray[np.float32]],
    parts: Sequence[Split],
    before: Found,
) -> Learnt:
    """The best of what is let through; if nothing is, the best of all."""

    def fitted(places: Sequence[int], shrinkage: float) -> NDArray[np.float32]:
        products = [pictures[place].product for place in places for _ in views[place]]
        return fit_map(np.concatenate([views[place] for place in places]), products, shrinkage)

    candidates = {
        shrinkage: tried(
            pictures, vectors, parts, [fitted(part.learnt, shrinkage) for part in parts]
        )
        for shrinkage in track(SHRINKAGES, "tried")
    }
    best = max(
        candidates,
        key=lambda one: (refusal(before, candidates[one]) is None, candidates[one].mean_ap),
    )
    return Learnt(fitted(range(len(pictures)), best), candidates[best])


def _of(
    pictures: Sequence[Picture], vectors: NDArray[np.float32], places: Sequence[int]
) -> Embeddings:
    return Embeddings(
        vectors[list(places)],
        [pictures[place].product for place in places],
        [str(pictures[place].path) for place in places],
    )


def _moved(known: MatchThreshold, before: Found, after: Found) -> MatchThreshold:
    """The threshold by how far what strangers score has moved.

    A few kept-out products say badly what a twentieth of strangers reaches: 0.41 to 0.59 of the
    same photographs, by which of them it is. That it moves, all of them tell.
    """
    moved = rejecting(after.products) - rejecting(before.products)
    return MatchThreshold(round(min(known.highest + moved, 1.0), 3), known.growth)


def main(
    data: Annotated[Path, typer.Option(help="Photographs: a folder per product, or a CSV file.")],
    pack: Annotated[Path, typer.Option("--from", help="Folder of the pack that serves now.")],
    to: Annotated[Path, typer.Option(help="Folder of the pack to write; its name is the pack's.")],
    licence: Annotated[
        str | None, typer.Option(help="Of the new weights; by default that of the old ones.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Learn the products of a shop; writes a pack only if what is kept out is found better."""
    pictures = read_pictures(data)
    parts = splits(pictures, seed)
    source = Pack.load(pack)
    if to.exists():
        raise ModelError(f"{to} exists already: give a folder that does not")
    check_target(to)
    network = read_exported(source.folder / source.embedder.model)
    with closing(ServedPack(source, threads)) as served:
        vectors = served.embeddings(pictures).vectors
        views = changed_views(served, pictures, seed)
    before = tried(pictures, vectors, parts, [None] * len(parts))
    learnt = learn(pictures, vectors, views, parts, before)
    after = learnt.found
    console = Console(markup=False, highlight=False)
    console.print(_table(before, after))
    if (reason := refusal(before, after)) is not None:
        raise ModelError(f"No pack was written: {reason}. {source.name} stays the better one here")
    put_map(network, learnt.by)
    if source.embedder.match_growth:
        threshold = _moved(source.embedder.threshold, before, after)
    else:  # the same whatever the gallery, so that its size does not matter
        threshold = MatchThreshold(round(rejecting(after.products), 3))
    with replacing(to) as folder:
        written = install_embedder(
            network,
            source,
            folder,
            threshold=threshold,
            ambiguous_margin=source.embedder.ambiguous_margin,
            licence=licence or source.embedder.licence,
            origin=(
                f"{source.embedder.origin.strip()} Its last layer learnt {len(pictures)} "
                f"photographs of a gallery: recall@1 {_figures(before)} before, {_figures(after)} "
                "after, on images and products that were kept out of learning meanwhile."
            ),
            size=source.embedder.input_size,
            interpolation=source.embedder.interpolation,
            normalisation=Normalisation(
                source.embedder.scale, source.embedder.mean, source.embedder.std
            ),
        )
        _check(written, pictures[0], mapped(vectors[0], learnt.by), threads)
    console.print(
        f"{to}: embedder {Pack.load(to).embedder.fingerprint}, threshold {threshold.highest:.3f} "
        "(of products that are not enrolled about 5 % should reach it, fewer in a small gallery). "
        "A calibration by photographs that it has learnt promises too few misses.",
    )


def _check(pack: Pack, picture: Picture, wanted: NDArray[np.float32], threads: int) -> None:
    """The pack as written must answer what was measured."""
    with closing(ServedPack(pack, threads)) as served:
        found = served.vectors(served.views(picture))
    difference = float(np.abs(found - wanted).max())
    if difference > _EQUAL:
        raise ModelError(f"The exported embedder answers otherwise, by {difference:.1e}")


def _figures(found: Found) -> str:
    return " and ".join(f"{kind.recall_1:.3f}" for kind in found.kinds.values())


def _table(before: Found, after: Found) -> Table:
    table = Table("kept out", "queries", "recall@1", "recall@5", "mAP")
    for kind, old in before.kinds.items():
        new = after.kinds[kind]
        table.add_row(
            kind,
            str(old.queries),
            f"{old.recall_1:.3f} → {new.recall_1:.3f}",
            f"{old.recall_5:.3f} → {new.recall_5:.3f}",
            f"{old.mean_ap:.3f} → {new.mean_ap:.3f}",
        )
    return table


if __name__ == "__main__":
    start(main)
