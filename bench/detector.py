"""A pack's detector on what the embedded one was never trained on, through the class that serves.

    python -m bench.accuracy --detector WORK [--pack models/packs/embedded] [--debian /]
                             [--sheet FILE] [--write docs/benchmarks.md]

WORK and `--debian` are those of `models.training.recipes.embedded_detector`, which makes cut-outs
and rendered scenes there and keeps a fifth of them out. Recall, boxes an image and best IoU are
with at most 5 boxes at the pack's own threshold, which in crowded photographs cannot find all:
"reachable" is what five perfect boxes would, "by the best 5" what the five best do whatever they
score. AP is with all the boxes there are.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench import trays
from bench.detection import figures
from bench.report import circumstances, table
from models.detector import Detector
from models.pack import Pack
from models.training.detection.coco import Sample
from models.training.detection.evaluation import coco_metrics
from models.training.open_data import Corners, beverage, coco_photos
from models.training.recipes.pools import Pools, draw_composed, load_pools
from models.training.recipes.split import kept_out

MAX_BOXES = 5
SMALL_SCENE = 5
SIDE = 480  # pixels of composed scenes
SCENES = 80  # of each composed kind
EMPTY_SCENES = 240  # one more with a box is 0.4 %
SHEET = 40

_WHITE, _GREEN = (255, 255, 255), (0, 255, 0)

Rows = NDArray[np.float32]


def found_in(detector: Detector, image: NDArray[np.uint8]) -> tuple[Rows, float]:
    """Rows (score, x1, y1, x2, y2), and milliseconds of the forward pass."""
    detections, times = detector.detect(image, max_results=100, min_score=0.0)
    rows = [(d.score, d.box.x1, d.box.y1, d.box.x2, d.box.y2) for d in detections]
    return np.asarray(rows, np.float32).reshape(-1, 5), times.forward


def served(rows: Rows, threshold: float) -> list[Corners]:
    """What the pack itself would answer."""
    best = rows[rows[:, 0] >= threshold][:MAX_BOXES]
    return [(float(a), float(b), float(c), float(d)) for _, a, b, c, d in best]


def open_sets(data: Path) -> dict[str, list[Sample]]:
    """Photographs with boxes that were never trained on."""
    drinks = [photo for photo in beverage(data) if kept_out(photo)]
    scenes = coco_photos(data / "coco128")
    few = [p for p in scenes if 0 < len(p.boxes) <= SMALL_SCENE]
    return {
        name: [Sample(p.load(), np.asarray(p.boxes, np.float32)) for p in photos]
        for name, photos in (
            ("beverage, sources kept out", drinks),
            (f"… at most {SMALL_SCENE} bodies", [p for p in drinks if len(p.boxes) <= SMALL_SCENE]),
            (f"coco128, at most {SMALL_SCENE} objects", few),
        )
    }


def made_sets(pools: Pools) -> dict[str, list[Sample]]:
    """Scenes of unseen bodies on unseen grounds; the same for every pack."""
    rng = np.random.default_rng(11)
    alone = [sample for sample in pools.rendered if len(sample.boxes) == 1]
    return {
        "composed, one body": [draw_composed(pools, SIDE, rng, 1) for _ in range(SCENES)],
        "composed, 2 to 8 bodies": [
            draw_composed(pools, SIDE, rng, 2 + n % 7) for n in range(SCENES)
        ],
        "rendered, one product": alone,
        "rendered, several": [s for s in pools.rendered if len(s.boxes) > 1],
        "empty": [draw_composed(pools, SIDE, rng, 0) for _ in range(EMPTY_SCENES)],
    }


def measure(
    pack: Pack, threads: int, sets: dict[str, list[Sample]], console: Console
) -> tuple[str, dict[str, list[Rows]]]:
    """The table, and what was found."""
    detector = Detector(pack, threads)
    threshold = pack.detector.score_threshold
    lines: list[tuple[str, ...]] = []
    times, everything = [], {}
    for name, samples in sets.items():
        rows = []
        for sample in track(samples, name, console=console):
            found, forward = found_in(detector, sample.image)
            rows.append(found)
            times.append(forward)
        everything[name] = rows
        answers = [served(found, threshold) for found in rows]
        truth = [[tuple(box) for box in sample.boxes.tolist()] for sample in samples]
        boxed = sum(bool(boxes) for boxes in answers) / max(1, len(samples))
        if not any(truth):
            lines.append((name, str(len(samples)), *[""] * 8, f"{boxed:.3f}"))
            continue
        reachable = sum(min(MAX_BOXES, len(boxes)) for boxes in truth) / sum(map(len, truth))
        f = figures(list(zip(answers, truth, strict=True)))
        best = figures([(served(r, 0.0), boxes) for r, boxes in zip(rows, truth, strict=True)])
        m = coco_metrics([sample.boxes for sample in samples], rows)
        recalls = (reachable, f.recall_50, f.recall_75, best.recall_50)
        shown = (*recalls, f.boxes_per_image, f.mean_best_iou, m.ap50, m.ap, boxed)
        lines.append((name, str(len(samples)), *(f"{value:.3f}" for value in shown)))
    detector.close()
    header = (
        "images",
        "number",
        "reachable",
        "recall, IoU .5",
        "IoU .75",
        f"IoU .5 by the best {MAX_BOXES}",
        "boxes an image",
        "mean best IoU",
        "AP at .5",
        "AP",
        "with any box",
    )
    size = sum((pack.folder / name).stat().st_size for name in pack.detector.sha256) / 1e6
    closing = f"Threshold {threshold}; {size:.1f} MB; forward {median(times):.1f} ms (median)."
    return f"{table(header, lines)}\n\n{closing}", everything


def contact_sheet(samples: Sequence[Sample], found: Sequence[Rows], threshold: float) -> Rows:
    """Photographs with the truth (white) and the answers (green), uint8 BGR."""
    tiles = []
    for sample, rows in list(zip(samples, found, strict=True))[:SHEET]:
        image = sample.image.copy()
        thick = max(2, len(image) // 160)
        answers = served(rows, threshold)
        for boxes, colour in ((sample.boxes.tolist(), _WHITE), (answers, _GREEN)):
            for x1, y1, x2, y2 in boxes:
                cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), colour, thick)
        tiles.append(cv2.resize(image, (240, 240)))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
    sheet = np.vstack([np.hstack(tiles[row : row + 8]) for row in range(0, len(tiles), 8)])
    return np.asarray(sheet[..., ::-1])


def run(data: Path, pack: Pack, threads: int, work: Path, debian: Path, sheet: Path | None) -> str:
    """The section as Markdown; a picture of drinks kept out where `sheet` says."""
    sets = open_sets(data) | made_sets(load_pools(data, work, debian, "kept"))
    shown, found = measure(pack, threads, sets, Console(stderr=True))
    if sheet:
        first = next(iter(sets))
        picture = contact_sheet(sets[first][::3], found[first][::3], pack.detector.score_threshold)
        cv2.imwrite(str(sheet), picture)
    title = "## Detector, on what it was not trained on"
    how = f"`python -m bench.accuracy --detector WORK`. {circumstances()}"
    trays_shown = trays.measure(pack, threads, work / "cutouts")
    return "\n\n".join((title, how, shown, trays_shown))
