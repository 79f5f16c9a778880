"""What a pack's own threshold does in galleries of every size, on products never trained on.

    python -m bench.thresholds WORK [--data ../shared/data] [--vectors FOLDER]
                               [--write docs/benchmarks.md]

WORK is where `models.training.recipes.embedded_embedder` trained the embedder, once without each
fifth of the products. Galleries are drawn at random from a fifth's products, at most half of them,
and from those of the other fifths where more are wanted. What the fifth has else asks: photographs
of enrolled products that are no references, and of products that are not enrolled, with all their
regions, as `/recognize` does. Made products are as in `bench.made`, which no training saw.

Each row is over all draws. `--vectors` keeps the vectors, so that a run that was stopped goes on.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench.folded import folded_pack
from bench.halves import look, regions
from bench.made import FIRST_FAMILY, plain_view
from bench.report import circumstances, parser_of, publish, table
from gallery.leaning import leaned_references
from gallery.scenes import scenes_of, scores
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.thresholds import USUAL_RATE, MatchThreshold
from models.training.open_data import Photo, beverage, grocery
from models.training.recipes.grounds import surfaces
from models.training.recipes.labels import label_families
from models.training.recipes.pack_files import PACK
from models.training.recipes.split import PARTS, folds

DRAWS = 20
MADE, MADE_PHOTOGRAPHS = 600, 4
# Products, and photographs of each; by what there is.
FEW, MANY = 3, 10
SIZES = {
    "groceries": [*((count, FEW) for count in (2, 4, 8, 16, 30, 50)), (8, MANY), (30, MANY)],
    "drinks": [(count, FEW) for count in (2, 4, 8, 16, 30, 60, 140)],
    "groceries and drinks": [(count, FEW) for count in (2, 4, 8, 16, 30, 60, 140)],
    "made products": [(count, FEW) for count in (2, 4, 8, 16, 30, 60, 140)],
}
FIXED = 0.66  # of pack 1.6.0, whatever the gallery

Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """N photographs of products: [N] each, and the vectors [V, D] of their regions.

    `kept_out`: of training. `refers`, `asks`: they may be references, they may ask.
    """

    name: str
    identity: NDArray[np.str_]
    kept_out: Flags
    refers: Flags
    asks: Flags
    vectors: list[Vectors]

    def only(self, name: str, kept: Flags) -> "Pool":
        return Pool(
            name,
            self.identity[kept],
            self.kept_out[kept],
            self.refers[kept],
            self.asks[kept],
            [self.vectors[place] for place in np.flatnonzero(kept)],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a gallery answered.

    `own` and `other` [K]: scores of photographs of enrolled products by their product and by the
    best other one. `strangers` [U]: of photographs of products that are not enrolled.
    """

    products: int
    images: int
    own: Vectors
    other: Vectors
    strangers: Vectors


def compare(asking: Sequence[Vectors], products: Sequence[Sequence[Vectors]]) -> Vectors:
    """Scores [A, P] of photographs by products, as the gallery compares them.

    A photograph asks with all its regions [V, D]; of a reference the whole and the best body count,
    as app.enrolment.enroller keeps them.
    """
    leaned = [np.concatenate(leaned_references([r[:2] for r in product])) for product in products]
    scenes = np.concatenate([scenes_of(len(r[:2])) for product in products for r in product])
    queries = np.concatenate(asking)
    of_queries = np.concatenate([scenes_of(len(rows)) for rows in asking])
    found = scores(queries, of_queries, np.concatenate(leaned), scenes)
    for axis, parts in ((1, leaned), (0, asking)):
        starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        found = np.maximum.reduceat(found, starts, axis=axis)
    return found


def photographed(photos: Sequence[Photo], vectors: Sequence[Vectors], fold: int) -> Iterator[Pool]:
    """The open photographs by the embedder of a fold: groceries, drinks, and both together."""
    of = folds(photo.identity for photo in photos)
    split = np.asarray([photo.split for photo in photos])
    pool = Pool(
        "groceries and drinks",
        np.asarray([photo.identity for photo in photos]),
        np.asarray([of[photo.identity] == fold for photo in photos]),
        refers=split != "val",
        asks=split != "train",
        vectors=list(vectors),
    )
    drinks = np.asarray([bool(photo.boxes) for photo in photos])
    yield pool.only("groceries", ~drinks)
    yield pool.only("drinks", drinks)
    yield pool


def made(pack: Pack, threads: int) -> Pool:
    """Rendered products, no two of them alike by intent."""
    rng = np.random.default_rng(FIRST_FAMILY)
    grounds = list(surfaces("kept"))
    identity, vectors = [], []
    with closing(Detector(pack, threads)) as detector, closing(Embedder(pack, threads)) as embedder:
        families = label_families(FIRST_FAMILY, MADE, 1)
        for number, (product,) in enumerate(
            track(families, "made products", MADE, console=Console(stderr=True))
        ):
            for _ in range(MADE_PHOTOGRAPHS):
                view = plain_view(product.body(rng), grounds, rng)
                vectors.append(regions(view, detector, embedder))
                identity.append(str(number))
    all_of_them = np.ones(len(identity), dtype=np.bool_)
    flags = (all_of_them, all_of_them, all_of_them)
    return Pool("made products", np.asarray(identity), *flags, vectors)


def draw(pool: Pool, products: int, photographs: int, rng: np.random.Generator) -> Drawn:
    """A gallery of so many of the pool's products, or as many as it has, and what it answers."""
    kept_out = rng.permutation(np.unique(pool.identity[pool.kept_out & pool.refers]))
    others = rng.permutation(np.unique(pool.identity[~pool.kept_out & pool.refers]))
    own = kept_out[: min(products, len(kept_out) // 2)]
    enrolled = np.concatenate([own, others[: products - len(own)]])
    references = [
        rng.permutation(np.flatnonzero(pool.refers & (pool.identity == product)))[:photographs]
        for product in enrolled
    ]
    asking = pool.asks & pool.kept_out
    asking[np.concatenate(references)] = False
    places = np.flatnonzero(asking)
    found = compare(
        [pool.vectors[place] for place in places],
        [[pool.vectors[place] for place in of_product] for of_product in references],
    )
    of_own = pool.identity[places][:, None] == enrolled[None]
    by_other = np.where(of_own, -1, found).max(axis=1)
    known = of_own.any(axis=1)
    by_own = np.where(of_own, found, -1).max(axis=1)
    return Drawn(
        len(enrolled),
        sum(map(len, references)),
        by_own[known],
        by_other[known],
        by_other[~known],
    )


def row(name: str, drawn: Sequence[Drawn], threshold: MatchThreshold) -> list[str]:
    """Over galleries of one size: thresholds, and what comes of them."""
    own, other, strangers = (
        np.concatenate([getattr(one, part) for one in drawn])
        for part in ("own", "other", "strangers")
    )
    products = np.mean([one.products for one in drawn])
    images = np.mean([one.images for one in drawn])
    limit = threshold.among(round(float(products)), round(float(images)))
    told = float(np.quantile(strangers, 1 - USUAL_RATE))
    right = own > other
    figures = [f"{products:.0f}", f"{images:.0f}", f"{len(own)} / {len(strangers)}"]
    figures += [f"{np.mean(right):.3f}", f"{limit:.3f}"]
    figures += [
        f"{share:.3f}"
        for level in (limit, FIXED, told)
        for share in (np.mean(right & (own >= level)), np.mean(strangers >= level))
    ]
    return [name, *figures[:-2], f"{told:.3f}", figures[-2]]


HEADER = (
    "products",
    "enrolled",
    "photographs",
    "asked: enrolled / unknown",
    "recall@1",
    "the pack's threshold",
    "named right",
    "unknown products named",
    f"named right at {FIXED}",
    "unknown products named",
    f"reached by {USUAL_RATE:.0%} of unknown ones",
    "named right there",
)


def run(data: Path, work: Path, kept: Path, threads: int) -> str:
    """The section as Markdown."""
    pack = Pack.load(PACK)
    photos = [*grocery(data), *(photo for photo in beverage(data) if photo.is_original)]
    photos = [photo for photo in photos if photo.split != "iconic"]
    pools: dict[str, list[Pool]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(PARTS):
            folded = folded_pack(work, fold, Path(folder) / str(fold))
            for pool in photographed(photos, look(photos, folded, kept, threads), fold):
                pools.setdefault(pool.name, []).append(pool)
    pools["made products"] = [made(pack, threads)]
    rng = np.random.default_rng(0)
    rows = []
    for name, several in pools.items():
        for products, photographs in SIZES[name]:
            drawn = [draw(p, products, photographs, rng) for p in several for _ in range(DRAWS)]
            rows.append(row(name, drawn, pack.embedder.threshold))
    how = (
        f"Pack `{pack.name}` {pack.version}, `python -m bench.thresholds WORK`: products that were "
        f"kept out of training, {DRAWS} random galleries of each size"
        f"{f' and of each of {PARTS} folds'}. {circumstances()}"
    )
    return "\n\n".join(("## Thresholds by the size of the gallery", how, table(HEADER, rows)))


def main() -> None:
    parser = parser_of(__doc__, "data", "threads")
    parser.add_argument("work", type=Path, help="where the embedder's recipe worked")
    parser.add_argument("--vectors", type=Path, default=Path(tempfile.gettempdir()) / "thresholds")
    options = parser.parse_args()
    section = run(options.data, options.work, options.vectors, options.threads)
    publish(options.write, "thresholds", section)


if __name__ == "__main__":
    main()
