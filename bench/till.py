"""Recognition where the camera stands still: every photograph has the same ground behind it.

    python -m bench.till [--pack models/packs/embedded] [--threads 2] [--write docs/benchmarks.md]

Made products that no training saw lie on one table, one a photograph, anywhere in it, in light
that changes. Half of them are enrolled, with REFERENCES photographs each, and all of them asked
for. Once everything is compared with everything, as PP-ShiTuV2 has it, and once as the service
does it: whole images that show bodies are not compared with each other (gallery.scenes).
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.recognizer import Recognizer
from bench.report import circumstances, parser_of, publish, table
from bench.served import Served
from bench.trays import lay
from gallery import Filter, Gallery, SearchResult
from models.pack import Pack
from models.training.recipes.labels import Label, label_families
from models.training.recipes.views import exposed
from models.training.render.surfaces import surface

PRODUCTS = 120
FIRST_FAMILY = 7_000  # training has those from 0
REFERENCES, QUERIES = 3, 2  # photographs of a product
WIDTH, HEIGHT = 960, 720  # pixels
SHARES = (0.3, 0.5, 0.8)  # of the photograph's height: a product's longer side, about
NOISE = 3.0  # grey levels
TABLE = "laminate"
FALSE_ACCEPTS = 0.05

Image = NDArray[np.uint8]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a photograph got: the best product's score and whether it is right, of all products.

    `over`: how many of the enrolled products it would be named as, each enrolled alone.
    """

    right: bool
    score: float
    over: int


class Till:
    """One camera over one table."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        ground = cv2.resize(surface(TABLE, seed), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        self._ground = np.asarray(ground, np.uint8)

    def photograph(self, product: Label, share: float) -> Image:
        """A product somewhere on the table."""
        body = product.body(self._rng)
        longer = share * HEIGHT * self._rng.uniform(0.85, 1.15)
        scale = longer / max(body.shape[:2])
        width, height = (max(2, int(side * scale)) for side in body.shape[1::-1])
        left, top = (int(self._rng.integers(0, w)) for w in (WIDTH - width, HEIGHT - height))
        seen = lay([body], self._ground, [(left, top, width, height)])
        light = exposed(seen, self._rng) + self._rng.normal(0, NOISE, seen.shape)
        return np.asarray(light.clip(0, 255), np.uint8)


class Undivided:
    """A gallery in which whole images are compared with whole images, too."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def search(
        self,
        vectors: Rows,
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,  # noqa: ARG002
    ) -> SearchResult:
        """Without regard to scenes."""
        return self._gallery.search(vectors, k, where)


def ask(
    recognizer: Recognizer, photographs: Sequence[tuple[str, Image]], alone: float
) -> list[Asked]:
    """What each photograph, of the product so named, gets.

    `alone`: from which score a gallery's only product is named.
    """
    answers = []
    for name, image in photographs:
        # All that is found, named or not: thresholds are applied to the scores.
        results = recognizer.recognize(image, top_k=PRODUCTS, threshold=-1.0).results
        best = results[0].candidates[0]
        over = {c.product_id for r in results for c in r.candidates if c.score >= alone}
        answers.append(Asked(best.product_id == name, best.score, len(over)))
    return answers


def row(known: Sequence[Asked], unknown: Sequence[Asked], threshold: float) -> list[str]:
    """Shares of the photographs; see `run`'s header."""
    limit = float(np.quantile([asked.score for asked in unknown], 1 - FALSE_ACCEPTS))
    shares = (
        [asked.right for asked in known],
        [asked.right and asked.score >= threshold for asked in known],
        [asked.score >= threshold for asked in unknown],
        [asked.over / (PRODUCTS // 2) for asked in unknown],
        [asked.right and asked.score > limit for asked in known],
    )
    return [f"{np.mean(share):.3f}" for share in shares]


def run(pack: Pack, threads: int) -> str:
    """The section as Markdown."""
    products = [family[0] for family in label_families(FIRST_FAMILY, PRODUCTS, 1)]
    names = [f"p{number}" for number in range(len(products))]
    enrolled = len(products) // 2
    threshold = pack.embedder.threshold.among(enrolled, enrolled * REFERENCES)
    alone = pack.embedder.threshold.among(1, REFERENCES)
    rows = []
    with closing(Served(pack, threads)) as served:
        for share in SHARES:
            till = Till(42)
            shown = {
                name: [till.photograph(product, share) for _ in range(REFERENCES + QUERIES)]
                for name, product in zip(names, products, strict=True)
            }
            with served.gallery({n: shown[n][:REFERENCES] for n in names[:enrolled]}) as gallery:
                for how, searched in (
                    ("all with all", Undivided(gallery)),
                    ("as the service", gallery),
                ):
                    recognizer = served.recognizer(searched)
                    known, unknown = (
                        ask(
                            recognizer,
                            [(name, image) for name in part for image in shown[name][REFERENCES:]],
                            alone,
                        )
                        for part in (names[:enrolled], names[enrolled:])
                    )
                    what = f"{share:.0%} of the height: {how}"
                    rows.append((what, *row(known, unknown, threshold)))
    header = (
        "products of",
        "the right one is best",
        "… and named",
        "not enrolled, named",
        "… where one product is enrolled",
        f"right and accepted at {FALSE_ACCEPTS:.0%} false accepts",
    )
    title = "## One camera"
    how = (
        f"`python -m bench.till`: {enrolled} of {len(products)} made products enrolled with "
        f"{REFERENCES} photographs each, {QUERIES} asked of each product, all on one table, "
        f"threshold {threshold:.3f}, of a product alone {alone:.3f}. {circumstances()}"
    )
    return f"{title}\n\n{how}\n\n{table(header, rows)}"


def main() -> None:
    options = parser_of(__doc__, "pack", "threads").parse_args()
    section = run(Pack.load(options.pack), options.threads)
    publish(options.write, "one camera", section)


if __name__ == "__main__":
    main()
