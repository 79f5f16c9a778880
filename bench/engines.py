"""What each engine saves and what it costs, on the pack's own weights.

    python -m bench.engines [--pack FOLDER] [--int8 FOLDER] [--data ../shared/data] [--every 4]

Forward passes of all engines run in turn, so that they see the same machine. Recall@1 is that
of photographs among the others of their kind, whole images: every `--every`-th of the groceries and
all drinks, on which boxes are compared as well. `--int8` is the same pack after
`tillsight train int8`.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bench.report import circumstances, parser_of, publish, table
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.session import Engine
from models.training.detection.boxes import iou
from models.training.embedding.retrieval import Embeddings, ask, summary
from models.training.open_data import Corners, Photo, beverage, grocery

ENGINES: tuple[Engine, ...] = get_args(Engine)
REFERENCE: Engine = "paddle-fp32"
CROPS = (1, 5, 16)
ROUNDS = 30
WARM = 3
SAME_BOX = 0.9


class Networks:
    """A pack's two on one engine."""

    def __init__(self, pack: Pack, threads: int, engine: Engine) -> None:
        self.detector = Detector(pack, threads, engine)
        self.embedder = Embedder(pack, threads, engine)

    def vectors(self, photos: Sequence[Photo]) -> NDArray[np.float32]:
        rows = [self.embedder.embed([photo.load()])[0] for photo in track(photos, "vectors")]
        return np.concatenate(rows)

    def boxes(self, photo: Photo) -> list[Corners]:
        found, _ = self.detector.detect(photo.load())
        return [(d.box.x1, d.box.y1, d.box.x2, d.box.y2) for d in found]

    def close(self) -> None:
        self.detector.close()
        self.embedder.close()


def recall(vectors: NDArray[np.float32], photos: Sequence[Photo]) -> float:
    """Share of photographs whose nearest is of their product; copies of one are not its nearest."""
    identities, sources = zip(*((photo.identity, photo.source) for photo in photos), strict=True)
    shown = Embeddings(vectors[:, None], identities, sources)
    return summary(ask(shown, shown)).recall_1


def same_boxes(networks: dict[str, Networks], photos: Sequence[Photo]) -> dict[str, float]:
    """Share of the reference's boxes that an engine gives too, with IoU of 0.9 or more."""
    kept: dict[str, list[float]] = {name: [] for name in networks}
    for photo in track(photos, "boxes"):
        truth = networks[REFERENCE].boxes(photo)
        for name, these in networks.items():
            best = iou(these.boxes(photo), truth).max(axis=0, initial=0)
            kept[name] += (best >= SAME_BOX).tolist()
    return {name: float(np.mean(shares)) for name, shares in kept.items()}


def speeds(networks: dict[str, Networks], image: NDArray[np.uint8]) -> list[list[str]]:
    """Rows of the forward passes: milliseconds, and of processor time, by engine."""
    cases = {"detector": 0} | {f"embedder, {n} at once": n for n in CROPS}
    rows = []
    for case, crops in cases.items():
        wall: dict[str, list[float]] = {name: [] for name in networks}
        busy: dict[str, list[float]] = {name: [] for name in networks}
        for turn in range(ROUNDS + WARM):
            for name, these in networks.items():
                start = process_time()
                times = (
                    these.embedder.embed([image] * crops) if crops else these.detector.detect(image)
                )[1]
                if turn >= WARM:
                    wall[name].append(times.forward)
                    busy[name].append((process_time() - start) * 1000)
        shown = [f"{median(wall[name]):.1f} ({median(busy[name]):.1f})" for name in networks]
        rows.append([f"{case}, ms (of processor time)", *shown])
    return rows


def effects(networks: dict[str, Networks], data: Path, every: int) -> list[list[str]]:
    """Rows of what engines change: recall, vectors and boxes."""
    drinks = [photo for photo in beverage(data) if photo.is_original]
    groceries = grocery(data)[::every]
    rows = []
    for kind, chosen in (("grocery", groceries), ("drinks", drinks)):
        vectors = {name: these.vectors(chosen) for name, these in networks.items()}
        recalls = [recall(found, chosen) for found in vectors.values()]
        cosines = [(found * vectors[REFERENCE]).sum(axis=1).min() for found in vectors.values()]
        rows.append([f"recall@1, {kind} ({len(chosen)})", *(f"{r:.3f}" for r in recalls)])
        rows.append([f"cosine to {REFERENCE}, {kind}, least", *(f"{c:.4f}" for c in cosines)])
    kept = same_boxes(networks, drinks)
    rows.append([f"boxes of {REFERENCE} kept, drinks", *(f"{kept[name]:.3f}" for name in networks)])
    return rows


def main() -> None:
    parser = parser_of(__doc__, "data", "pack", "threads")
    parser.add_argument("--int8", type=Path, help="folder of the pack in int8")
    parser.add_argument("--every", type=int, default=4)
    options = parser.parse_args()
    pack = Pack.load(options.pack)
    networks: dict[str, Networks] = {
        engine: Networks(pack, options.threads, engine) for engine in ENGINES
    }
    if options.int8:
        quantised = Pack.load(options.int8)
        networks["int8, openvino-fp32"] = Networks(quantised, options.threads, "openvino-fp32")
    side = max(pack.detector.input_size)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    rows = speeds(networks, noise) + effects(networks, options.data, options.every)
    for these in networks.values():
        these.close()
    int8 = " --int8 FOLDER" if options.int8 else ""
    text = (
        f"## Engines\n\n`python -m bench.engines{int8} --every {options.every}`: "
        f"pack `{pack.name}`, {options.threads} threads. {circumstances()}\n\n"
        f"{table(('', *networks), rows)}"
    )
    publish(options.write, "engines", text)


if __name__ == "__main__":
    main()
