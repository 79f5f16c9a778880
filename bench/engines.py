"""What a lower precision saves and what it costs, on the pack's own weights.

    python -m bench.engines [--pack embedded] [--data ../shared/data] [--threads 2] [--every 4]

Forward passes of both precisions run in turn, so that both see the same machine. Recall@1 is that
of photographs among the others of their kind, whole images: every `--every`-th of the groceries and
all drinks, on which boxes are compared as well.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bench.detection import iou
from bench.report import circumstances, table, write_section
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.session import Precision
from models.training.open_data import Corners, Photo, beverage, grocery

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
CROPS = (1, 5, 16)
ROUNDS = 30
WARM = 3
SAME_BOX = 0.9


class Engine:
    """A pack's networks in one precision."""

    def __init__(self, pack: Pack, threads: int, precision: Precision) -> None:
        self.detector = Detector(pack, threads, precision)
        self.embedder = Embedder(pack, threads, precision)

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
    scores = vectors @ vectors.T
    sources = np.array([photo.source for photo in photos])
    identities = np.array([photo.identity for photo in photos])
    scores[sources[:, None] == sources[None, :]] = -2.0
    asked = np.array([(identities == identity).sum() > 1 for identity in identities])
    return float((identities[scores.argmax(axis=1)] == identities)[asked].mean())


def same_boxes(engines: dict[Precision, Engine], photos: Sequence[Photo]) -> dict[Precision, float]:
    """Share of the fp32 boxes that a precision gives too, with IoU of 0.9 or more."""
    kept: dict[Precision, list[float]] = {precision: [] for precision in engines}
    for photo in track(photos, "boxes"):
        truth = engines["fp32"].boxes(photo)
        for precision, engine in engines.items():
            found = engine.boxes(photo)
            best = iou(found, truth).max(axis=0) if found and truth else np.zeros(len(truth))
            kept[precision] += (best >= SAME_BOX).tolist()
    return {precision: float(np.mean(shares)) for precision, shares in kept.items()}


def speeds(engines: dict[Precision, Engine], image: NDArray[np.uint8]) -> list[list[str]]:
    """Rows of the forward passes: milliseconds, and of processor time, by precision."""
    cases = {"detector": 0} | {f"embedder, {n} at once": n for n in CROPS}
    rows = []
    for name, crops in cases.items():
        wall: dict[Precision, list[float]] = {precision: [] for precision in engines}
        busy: dict[Precision, list[float]] = {precision: [] for precision in engines}
        for turn in range(ROUNDS + WARM):
            for precision, engine in engines.items():
                start = process_time()
                times = (
                    engine.embedder.embed([image] * crops)
                    if crops
                    else engine.detector.detect(image)
                )[1]
                if turn >= WARM:
                    wall[precision].append(times.forward)
                    busy[precision].append((process_time() - start) * 1000)
        shown = [f"{median(wall[p]):.1f} ({median(busy[p]):.1f})" for p in engines]
        ratio = median(wall["fp32"]) / median(wall["bf16"])
        rows.append([f"{name}, ms (of processor time)", *shown, f"{ratio:.2f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", type=Path, default=Path("models/packs/embedded"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--report", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    pack = Pack.load(options.pack)
    engines = {p: Engine(pack, options.threads, p) for p in PRECISIONS}
    side = max(pack.detector.input_size)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    rows = speeds(engines, noise)
    drinks = [photo for photo in beverage(options.data) if photo.is_original]
    groceries = grocery(options.data)[:: options.every]
    for name, chosen in (("grocery", groceries), ("drinks", drinks)):
        vectors = {p: engine.vectors(chosen) for p, engine in engines.items()}
        shown = [recall(rows_, chosen) for rows_ in vectors.values()]
        cosines = (vectors["fp32"] * vectors["bf16"]).sum(axis=1)
        rows.append([f"recall@1, {name} ({len(chosen)})", *(f"{r:.3f}" for r in shown), ""])
        rows.append([f"cosine to fp32, {name}, least", "1", f"{cosines.min():.4f}", ""])
    kept = same_boxes(engines, drinks)
    rows.append(["boxes of fp32 kept, drinks", *(f"{kept[p]:.3f}" for p in PRECISIONS), ""])
    for engine in engines.values():
        engine.close()
    text = (
        f"## Precision\n\n`python -m bench.engines --every {options.every}`: pack `{pack.name}`, "
        f"{options.threads} threads, Paddle + oneDNN. {circumstances()}\n\n"
        f"{table(('', *PRECISIONS, 'ratio'), rows)}"
    )
    write_section(options.report, "precision", text)
    print(text)


if __name__ == "__main__":
    main()
