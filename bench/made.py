"""Made products that no training saw, two photographs enrolled, through the classes that serve.

    python -m bench.made [--pack models/packs/embedded] [--threads 2] [--write docs/benchmarks.md]

Each photograph shows a product on another ground. Round packages (cans, bottles, jars, cups) stand
turned, so a photograph may show a side of the label that no reference does; flat ones show their
front. "Whole images" are the same photographs asked without the detector, "vectors alone" without
comparing what is printed (app.reranker).
"""

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.report import circumstances, parser_of, publish, table
from bench.served import Served
from models.pack import Pack
from models.training.recipes.grounds import surfaces
from models.training.recipes.labels import MEMBERS, label_families
from models.training.recipes.views import Cutout, Image, disturbed, exposed, pasted

ALONE = 1_000
FAMILIES = 280  # about a thousand products, too
FIRST_FAMILY = 5_000  # training has those from 0
REFERENCES, MORE_REFERENCES = 2, 4
SIDE = 224  # pixels of a photograph

COLUMNS = (
    "the product",
    "flat ones",
    "round ones",
    "its family",
    "the product, whole images",
    "the product, vectors alone",
)

View = Callable[[Cutout, Sequence[Image], np.random.Generator], Image]


def plain_view(body: Cutout, grounds: Sequence[Image], rng: np.random.Generator) -> Image:
    """Upright, on any ground, near or far, a little aslant, in any light: as at a till."""
    ground = grounds[int(rng.integers(len(grounds)))]
    view = exposed(pasted(body, ground, SIDE, rng, upright=True), rng)
    return np.asarray(view.clip(0, 255), np.uint8)


def hard_view(body: Cutout, grounds: Sequence[Image], rng: np.random.Generator) -> Image:
    """Also turned any way, half hidden, under glare, blurred and compressed, each at times."""
    ground, stranger = (grounds[place] for place in rng.integers(len(grounds), size=2))
    return disturbed(pasted(body, ground, SIDE, rng), [stranger], rng)


def measure(served: Served, families: int, members: int, view: View, references: int) -> list[str]:
    """How many products, and the shares of COLUMNS."""
    rng = np.random.default_rng(FIRST_FAMILY)
    grounds = list(surfaces("kept"))
    shown: dict[str, list[Image]] = {}
    cylindrical = []
    for number, family in enumerate(label_families(FIRST_FAMILY, families, members)):
        for place, product in enumerate(family):
            views = [view(product.body(rng), grounds, rng) for _ in range(references + 1)]
            shown[f"{number}.{place}"] = views
            cylindrical.append(product.cylindrical)
    enrolled: dict[str, Sequence[Image]] = {n: v[:references] for n, v in shown.items()}
    right, kin, whole, plain = [], [], [], []
    with served.gallery(enrolled) as gallery:
        serving, by_vectors = served.recognizer(gallery, gallery), served.recognizer(gallery)
        for name, views in track(shown.items(), "asked", console=Console(stderr=True)):
            found, alone, unprinted = (
                # All that is found, named or not.
                recognizer.recognize(views[-1], top_k=1, threshold=-1.0, detect=detect)
                .results[0]
                .candidates[0]
                .product_id
                for recognizer, detect in ((serving, True), (serving, False), (by_vectors, True))
            )
            right.append(found == name)
            kin.append(found.split(".")[0] == name.split(".")[0])
            whole.append(alone == name)
            plain.append(unprinted == name)
    named, turned = np.asarray(right), np.asarray(cylindrical)
    columns = (named, named[~turned], named[turned], kin, whole, plain)
    return [str(len(shown)), *(f"{np.mean(column):.3f}" for column in columns)]


def run(pack: Pack, threads: int) -> str:
    """The section as Markdown."""
    alike = f"families of at most {MEMBERS} look-alikes; likewise"
    more = f"… {MORE_REFERENCES} enrolled"
    sets = (
        ("no two alike; upright, in other light", ALONE, 1, plain_view, REFERENCES),
        (more, ALONE, 1, plain_view, MORE_REFERENCES),
        (alike, FAMILIES, MEMBERS, plain_view, REFERENCES),
        (more, FAMILIES, MEMBERS, plain_view, MORE_REFERENCES),
        ("no two alike; turned, covered, blurred, compressed", ALONE, 1, hard_view, REFERENCES),
    )
    with closing(Served(pack, threads)) as served:
        rows = [
            (name, *measure(served, families, members, view, references))
            for name, families, members, view, references in sets
        ]
    title = "## Made products"
    how = (
        f"Pack `{pack.name}` {pack.version}, `python -m bench.made`: {REFERENCES} photographs "
        "enrolled where no other number is told, one asks, each on another ground. "
        f"{circumstances()}"
    )
    return f"{title}\n\n{how}\n\n{table(('recall@1', 'products', *COLUMNS), rows)}"


def main() -> None:
    options = parser_of(__doc__, "pack", "threads").parse_args()
    section = run(Pack.load(options.pack), options.threads)
    publish(options.write, "made products", section)


if __name__ == "__main__":
    main()
