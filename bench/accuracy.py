"""Accuracy of a pack on the open photographs, through the classes that serve.

    python -m bench.accuracy [--data ../shared/data] [--pack models/packs/embedded]
                             [--threads 2] [--write docs/benchmarks.md]
                             [--embedder WORK | --detector WORK [--debian /] [--sheet FILE]]

With --embedder or --detector it is judged on what it was never trained on: `bench.unseen`,
`bench.detector`. WORK is where its recipe under `models.training.recipes` worked.

Grocery: each `val` photograph is a query; the gallery is `train`, or the one iconic image of each
product. Beverage: each source (`NNN-0`; its altered copies are left out) of an SKU that has two or
more is a query, and all *other* sources are the gallery. "Detected" asks with the best box,
"true" with the largest labelled one, "recognise" with the whole image and every box together, as
`/recognize` does. References are enrolled whole, as their best detected body, or as both; "all with
all" compares whole images with each other, too (gallery.scenes). Detection counts at most 5 boxes
an image at the pack's threshold. The embedded pack was trained on these same products.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench import detector, unseen
from bench.detection import figures
from bench.report import circumstances, parser_of, publish, table
from bench.retrieval import Answer, Entry, Vectors, ask, recall
from models.detector import Box, Detector, crop
from models.embedder import Embedder
from models.pack import Pack
from models.preprocess import Pyramid
from models.training.open_data import Corners, Photo, beverage, coco_photos, grocery
from models.worker import StageTimes

MAX_BOXES = 5
SMALL_SCENE = 5  # labelled objects; busier scenes cannot be found with 5 boxes


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """One photograph as the models see it: a row of `vectors` a view, whole image first.

    Then follow the detected boxes, best first, and `true` is the labelled one's.
    """

    photo: Photo
    found: list[Corners]
    vectors: Vectors
    true: Vectors | None

    @property
    def whole(self) -> Vectors:
        return self.vectors[:1]

    @property
    def body(self) -> Vectors:
        """The best detected body, the whole image where there is none."""
        return self.vectors[1:2] if self.found else self.whole

    def entry(self, vectors: Vectors | None) -> Entry:
        if vectors is None:
            raise ValueError(f"{self.photo.path} has no labelled box")
        return Entry(self.photo.identity, self.photo.source, vectors)


class Bench:
    """A pack's models and the times they took, in milliseconds."""

    def __init__(self, pack: Pack, threads: int, console: Console) -> None:
        self.detector = Detector(pack, threads)
        self.embedder = Embedder(pack, threads)
        self.console = console
        self.detect_times: list[StageTimes] = []
        self.embed_times: list[StageTimes] = []

    def look(self, photos: Sequence[Photo], what: str, *, detect: bool) -> list[Looked]:
        """Detect (where asked) and embed every view of every photograph."""
        return [self._look(p, detect) for p in track(photos, what, console=self.console)]

    def boxes(self, image: NDArray[np.uint8]) -> list[Corners]:
        detections, times = self.detector.detect(image, max_results=MAX_BOXES)
        self.detect_times.append(times)
        return [(d.box.x1, d.box.y1, d.box.x2, d.box.y2) for d in detections]

    def close(self) -> None:
        self.detector.close()
        self.embedder.close()

    def _look(self, photo: Photo, detect: bool) -> Looked:
        image = photo.load()
        found = self.boxes(image) if detect else []
        whole, times = self.embedder.embed([image])
        self.embed_times.append(times)
        photograph = Pyramid(image)
        crops = [crop(photograph, Box(*box)) for box in [*found, *photo.boxes[:1]]]
        rest, _ = self.embedder.embed(crops)
        bodies, true = rest[: len(found)], rest[len(found) :]
        return Looked(photo, found, np.concatenate([whole, bodies]), true if len(true) else None)


def of_repeated(photos: Sequence[Looked]) -> list[Looked]:
    """Photographs whose product is in two or more."""
    counts = Counter(looked.photo.identity for looked in photos)
    return [looked for looked in photos if counts[looked.photo.identity] > 1]


def percent(share: float) -> str:
    return f"{share:.3f}"


def retrieval_tables(
    bench: Bench,
    pack: Pack,
    groceries: Sequence[Looked],
    icons: Sequence[Looked],
    drinks: Sequence[Looked],
) -> str:
    def recalled(references: list[Entry], queries: list[Entry]) -> str:
        return percent(recall(ask(bench.embedder, references, queries)))

    iconic = [i.entry(i.whole) for i in icons]
    val_whole = [g.entry(g.whole) for g in groceries if g.photo.split == "val"]
    train = [g.entry(g.whole) for g in groceries if g.photo.split == "train"]
    val = [g for g in groceries if g.photo.split == "val"]
    asked = of_repeated(drinks)
    sources = [d.entry(d.whole) for d in drinks]
    true_sources = [d.entry(d.true) for d in drinks]
    rows = [
        ("grocery: `val` in `train`", train, val_whole),
        (
            "grocery: `val` in iconic",
            iconic,
            val_whole,
        ),
        ("beverage: whole in whole", sources, [d.entry(d.whole) for d in asked]),
        (
            "beverage: detected in detected",
            [d.entry(d.body) for d in drinks],
            [d.entry(d.body) for d in asked],
        ),
        ("beverage: true in true", true_sources, [d.entry(d.true) for d in asked]),
    ]
    first = table(
        ("query in gallery", "references", "queries", "recall@1"),
        [(name, str(len(refs)), str(len(qs)), recalled(refs, qs)) for name, refs, qs in rows],
    )
    variants = []
    for name, gallery, queries in (
        ("grocery, iconic", icons, val),
        ("beverage", drinks, asked),
    ):
        asks = (
            [q.entry(q.whole) for q in queries],
            [q.entry(q.body) for q in queries],
            [q.entry(q.vectors) for q in queries],
        )
        together = [g.entry(np.concatenate([g.whole, g.body])) for g in gallery]
        for how, references in (
            ("whole", [g.entry(g.whole) for g in gallery]),
            ("best body", [g.entry(g.body) for g in gallery]),
            ("both", together),
        ):
            variants.append((f"{name}: {how}", *(recalled(references, each) for each in asks)))
        all_with_all = ask(bench.embedder, together, asks[-1], undivided=True)
        variants.append((f"{name}: both, all with all", "", "", percent(recall(all_with_all))))
    second = table(("references enrolled as", "query whole", "best body", "recognise"), variants)
    both = [d.entry(np.concatenate([d.whole, d.body])) for d in drinks]
    third = outcome_table(
        pack,
        [
            ("grocery: `val` in `train`, whole", ask(bench.embedder, train, val_whole)),
            (
                "beverage: recognise in both",
                ask(bench.embedder, both, [d.entry(d.vectors) for d in asked]),
            ),
        ],
    )
    return f"{first}\n\n{second}\n\n{third}"


def outcome_table(pack: Pack, sets: Sequence[tuple[str, list[Answer]]]) -> str:
    """What the pack's own threshold and margin make of the answers."""
    threshold, margin = pack.embedder.match_threshold, pack.embedder.ambiguous_margin

    def share(flags: Iterable[bool], answers: Sequence[Answer]) -> str:
        return percent(sum(flags) / len(answers))

    rows = []
    for name, answers in sets:
        named = [a for a in answers if a.score >= threshold and a.margin >= margin]
        close = [a for a in answers if a.score >= threshold and a.margin < margin]
        rows.append(
            (
                name,
                share((a.right for a in named), answers),
                share((not a.right for a in named), answers),
                f"{share((a.right for a in close), answers)} + "
                f"{share((not a.right for a in close), answers)}",
                share((a.impostor >= threshold for a in answers), answers),
            )
        )
    header = (
        "at the pack's threshold",
        "match, right",
        "match, wrong",
        "ambiguous, best right + wrong",
    )
    return table((*header, "accepted though not enrolled"), rows)


def detection_table(
    sets: Sequence[tuple[str, Sequence[tuple[list[Corners], Sequence[Corners]]]]],
) -> str:
    rows = []
    for name, images in sets:
        f = figures([pair for pair in images if pair[1]])
        rows.append(
            (
                name,
                str(f.images),
                percent(f.recall_50),
                percent(f.recall_75),
                f"{f.boxes_per_image:.2f}",
                percent(f.mean_best_iou),
            )
        )
    header = (
        "photographs",
        "images",
        "recall, IoU .5",
        "IoU .75",
        "boxes an image",
        "mean best IoU",
    )
    return table(header, rows)


def time_table(bench: Bench) -> str:
    rows = [
        (
            name,
            *(
                f"{median(getattr(t, stage) for t in times):.1f}"
                for stage in ("preprocess", "forward")
            ),
        )
        for name, times in (
            ("detector, one image", bench.detect_times),
            ("embedder, one whole image", bench.embed_times),
        )
    ]
    return table(("median, ms", "pre-processing", "forward"), rows)


def run(data: Path, pack: Pack, threads: int, console: Console) -> str:
    """The whole section as Markdown."""
    bench = Bench(pack, threads, console)
    try:
        photos = grocery(data)
        train = bench.look([p for p in photos if p.split == "train"], "grocery train", detect=False)
        val = bench.look([p for p in photos if p.split == "val"], "grocery val", detect=True)
        icons = bench.look([p for p in photos if p.split == "iconic"], "iconic", detect=True)
        sources = [p for p in beverage(data) if p.is_original]
        drinks = bench.look(sources, "beverage", detect=True)
        scenes = [
            (bench.boxes(photo.load()), photo.boxes)
            for photo in track(coco_photos(data / "coco128"), "coco128", console=console)
        ]
        parts = [
            "## Accuracy",
            f"Pack `{pack.name}` {pack.version}, `python -m bench.accuracy`, {threads} threads. "
            + circumstances(),
            "The embedded pack was trained on these products, `val` included; `--embedder` and "
            "`--detector` measure it on others.",
            retrieval_tables(bench, pack, [*train, *val], icons, drinks),
            detection_table(
                [
                    ("beverage", [(d.found, d.photo.boxes) for d in drinks]),
                    ("coco128", scenes),
                    (
                        f"coco128, at most {SMALL_SCENE} objects",
                        [scene for scene in scenes if len(scene[1]) <= SMALL_SCENE],
                    ),
                ]
            ),
            time_table(bench),
        ]
        return "\n\n".join(parts)
    finally:
        bench.close()


def main() -> None:
    parser = parser_of(__doc__, "data", "pack", "threads")
    unseen_by = parser.add_mutually_exclusive_group()
    unseen_by.add_argument("--embedder", type=Path, metavar="WORK", help="on products kept out")
    unseen_by.add_argument("--detector", type=Path, metavar="WORK", help="on scenes kept out")
    parser.add_argument("--debian", type=Path, default=Path("/"), help="as the recipe's")
    parser.add_argument("--sheet", type=Path, help="picture of drinks kept out, to write")
    options = parser.parse_args()
    if options.embedder:
        name, section = "unseen products", unseen.run(options.data, options.embedder)
    elif options.detector:
        pack = Pack.load(options.pack)
        kept_out = (options.detector, options.debian, options.sheet)
        section = detector.run(options.data, pack, options.threads, *kept_out)
        name = "detector"
    else:
        pack = Pack.load(options.pack)
        section = run(options.data, pack, options.threads, Console(stderr=True))
        name = "accuracy"
    publish(options.write, name, section)


if __name__ == "__main__":
    main()
