"""Learn one shop's products: a pack whose embedder tells them apart better, or no pack at all.

    python -m models.training.embedding.shop --data DATA --from PACK --to PACK

What is learnt is a linear map of the pack's own vectors, from many changed views of each photograph
(`models.training.embedding.adaptation`): it takes minutes, needs a few photographs of each product,
and unlike steps of gradient descent it helps products that come later, too (docs/training.md).

A fifth of the products and one photograph of each other one are kept out, and are asked before and
after as the service would: if recall@1 fell on either, or nothing rose, nothing is written.
"""

import sys
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

VIEWS = 6  # changed ones, of the whole photograph and of its body each
LEAST_PRODUCTS = 10  # with two photographs or more: fewer cannot show what was gained
KEPT_OUT = 5  # every so many products
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


def split(pictures: Sequence[Picture], seed: int) -> Split:
    """Keep out a fifth of the products, and one photograph of each other one that has three.

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
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(repeated))[: -(-len(repeated) // KEPT_OUT)]
    strangers = {repeated[number] for number in chosen}
    images, products, learnt = [], [], []
    for product, own in places.items():
        if product in strangers:
            products += own
        elif len(own) > 2:
            out = own[rng.integers(len(own))]
            images.append(out)
            learnt += [place for place in own if place != out]
        else:
            learnt += own
    return Split(learnt, images, products)


def tried(pictures: Sequence[Picture], vectors: NDArray[np.float32], parts: Split) -> Found:
    """Ask with what is kept out; vectors are [N, V, D], of all photographs."""

    def of(places: Sequence[int]) -> Embeddings:
        return Embeddings(
            vectors[list(places)],
            [pictures[place].product for place in places],
            [str(pictures[place].path) for place in places],
        )

    gallery = of([*parts.learnt, *parts.products])
    return Found(ask(of(parts.images), gallery), ask(of(parts.products), gallery))


def refusal(before: Found, after: Found) -> str | None:
    """Why the new embedder must not be served, if it must not."""
    rose = False
    for name in ("images", "products"):
        if not getattr(before, name):
            continue
        old, new = summary(getattr(before, name)), summary(getattr(after, name))
        if new.recall_1 < old.recall_1:
            return f"recall@1 on kept-out {name} fell from {old.recall_1:.3f} to {new.recall_1:.3f}"
        rose = rose or new.recall_1 > old.recall_1 or new.mean_ap > old.mean_ap
    return None if rose else "nothing that was kept out is found better than before"


def learn(served: ServedPack, pictures: Sequence[Picture], seed: int) -> NDArray[np.float32]:
    """The map from changed views of these photographs."""
    side = max(served.pack.embedder.input_size)
    rows, products = [], []
    for place, picture in enumerate(track(pictures, "changed views")):
        rng = np.random.default_rng([seed, place])
        views = served.views(picture)
        images = [*views, *(training_view(v, side, rng) for v in views for _ in range(VIEWS))]
        rows.append(served.vectors(images))
        products += [picture.product] * len(images)
    return fit_map(np.concatenate(rows), products)


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
    parts = split(pictures, seed)
    source = Pack.load(pack)
    if to.exists():
        raise ModelError(f"{to} exists already: give a folder that does not")
    check_target(to)
    network = read_exported(source.folder / source.embedder.model)
    with closing(ServedPack(source, threads)) as served:
        vectors = served.embeddings(pictures).vectors
        map_ = learn(served, [pictures[place] for place in parts.learnt], seed)
    moved = mapped(vectors, map_)
    before, after = tried(pictures, vectors, parts), tried(pictures, moved, parts)
    console = Console(markup=False, highlight=False)
    console.print(_table(before, after))
    if (reason := refusal(before, after)) is not None:
        raise ModelError(f"No pack was written: {reason}. {source.name} stays the better one here")
    put_map(network, map_)
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
                f"{source.embedder.origin.strip()} Its last layer learnt {len(parts.learnt)} "
                f"photographs of a gallery: recall@1 {_figures(before)} before, {_figures(after)} "
                "after, on kept-out images and kept-out products."
            ),
            size=source.embedder.input_size,
            interpolation=source.embedder.interpolation,
            normalisation=Normalisation(
                source.embedder.scale, source.embedder.mean, source.embedder.std
            ),
        )
        _check(written, pictures[0], moved[0], threads)
    console.print(
        f"{to}: embedder {Pack.load(to).embedder.fingerprint}, threshold {threshold.highest:.3f} "
        "(of products that are not enrolled about 5 % should reach it, fewer in a small gallery; "
        "`tillsight gallery calibration` tells it for yours)",
    )


def _check(pack: Pack, picture: Picture, wanted: NDArray[np.float32], threads: int) -> None:
    """The pack as written must answer what was measured."""
    with closing(ServedPack(pack, threads)) as served:
        found = served.vectors(served.views(picture))
    difference = float(np.abs(found - wanted).max())
    if difference > _EQUAL:
        raise ModelError(f"The exported embedder answers otherwise, by {difference:.1e}")


def _figures(found: Found) -> str:
    recalls = [summary(answers).recall_1 for answers in (found.images, found.products) if answers]
    return " and ".join(f"{recall:.3f}" for recall in recalls)


def _table(before: Found, after: Found) -> Table:
    table = Table("kept out", "queries", "recall@1", "recall@5", "mAP")
    for name in ("images", "products"):
        if not getattr(before, name):
            continue
        old: Retrieval = summary(getattr(before, name))
        new: Retrieval = summary(getattr(after, name))
        table.add_row(
            name,
            str(old.queries),
            *(
                f"{a:.3f} → {b:.3f}"
                for a, b in (
                    (old.recall_1, new.recall_1),
                    (old.recall_5, new.recall_5),
                    (old.mean_ap, new.mean_ap),
                )
            ),
        )
    return table


if __name__ == "__main__":
    try:
        typer.run(main)
    except (ModelError, OSError) as error:
        sys.exit(f"Error: {error}")
