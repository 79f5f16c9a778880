"""Bodies in the open photographs, found once by U²-Net-P: pseudo-boxes, and cut-outs to paste."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from rich.progress import track

from models.training.detection.boxes import iou
from models.training.normalisation import IMAGENET
from models.training.open_data import Corners, Photo, beverage, grocery
from models.training.recipes.split import kept_out

PHOTOS_A_PRODUCT = 6  # of groceries: more of one product teach little about bodies

MASK_SIDE = 320
CUTOUT_SIDE = 288  # pixels, the longer side at most
BODY = 0.5  # salience
MIN_AREA, MAX_AREA = 0.04, 0.8  # of the photograph
DOMINANT = 0.85  # share of all salient pixels in the largest region
AGREES = 0.85  # IoU of the mask's box and the labelled one

Mask = NDArray[np.uint8]


class Salience:
    """U²-Net-P, as published: an ONNX file.

    Source: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
    Pattern Recognition 2020; the small variant.
    """

    def __init__(self, onnx: Path, threads: int) -> None:
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._run = openvino.Core().compile_model(str(onnx), "CPU", settings)

    def __call__(self, image: NDArray[np.uint8]) -> Mask:
        """Salience uint8 0..255 of an RGB image, in its size."""
        small = cv2.resize(image, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        pixels = IMAGENET.apply(np.asarray(small[None], np.uint8))
        # The side maps of training are answered, too, behind the one that fuses them.
        mask = np.squeeze(self._run(pixels)[0]) * 255
        size = (image.shape[1], image.shape[0])
        return np.asarray(cv2.resize(mask.round().astype(np.uint8), size), np.uint8)


def dominant_body(mask: Mask) -> Corners | None:
    """The box of the one salient region; nothing where there are several or it fills the image."""
    salient = (mask >= 255 * BODY).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(salient)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = int(areas.argmax())
    share = areas[largest] / mask.size
    if areas[largest] < DOMINANT * areas.sum() or not MIN_AREA <= share <= MAX_AREA:
        return None
    x, y, width, height = (int(value) for value in stats[1 + largest, :4])
    return (x, y, x + width, y + height)


def cut_out(image: NDArray[np.uint8], mask: Mask, box: Corners) -> NDArray[np.uint8]:
    """RGBA [H, W, 4] of what lies in a box, its longer side at most CUTOUT_SIDE."""
    x1, y1, x2, y2 = (round(side) for side in box)
    # Half-salient outlines carry the old background: opacity rises from .4 to .8.
    alpha = ((mask[y1:y2, x1:x2].astype(np.float32) / 255 - 0.4) / 0.4).clip(0, 1) * 255
    body = np.dstack([image[y1:y2, x1:x2], alpha.astype(np.uint8)])
    scale = min(1.0, CUTOUT_SIDE / max(body.shape[:2]))
    size = (max(1, round(body.shape[1] * scale)), max(1, round(body.shape[0] * scale)))
    return np.asarray(cv2.resize(body, size, interpolation=cv2.INTER_AREA), np.uint8)


def few_of_each(photos: Sequence[Photo]) -> Iterator[Photo]:
    """At most PHOTOS_A_PRODUCT photographs of each product, in the given order."""
    seen: defaultdict[str, int] = defaultdict(int)
    for photo in photos:
        seen[photo.identity] += 1
        if seen[photo.identity] <= PHOTOS_A_PRODUCT:
            yield photo


def write_bodies(data: Path, onnx: Path, folder: Path) -> None:
    """Fill `folder`: cutouts/{train,kept}/*.png, and pseudo-boxes of groceries in pseudo.csv.

    A line of pseudo.csv is part, path, x1, y1, x2, y2. What is there already is kept.
    """
    if (folder / "pseudo.csv").exists():
        return
    salience = Salience(onnx, threads=2)
    lines = []
    for part in ("train", "kept"):
        (folder / "cutouts" / part).mkdir(parents=True, exist_ok=True)
    drinks = [photo for photo in beverage(data) if photo.is_original]
    for photo in track([*drinks, *few_of_each(grocery(data))], "bodies"):
        image = photo.load()
        mask = salience(image)
        found = dominant_body(mask)
        part = "kept" if kept_out(photo) else "train"
        if found is None or (photo.boxes and iou([found], photo.boxes[:1]).item() < AGREES):
            continue
        if not photo.boxes:
            lines.append(
                ",".join([part, str(photo.path.relative_to(data)), *(str(side) for side in found)])
            )
        name = f"{photo.identity}-{photo.path.stem}.png"
        body = cv2.cvtColor(cut_out(image, mask, found), cv2.COLOR_RGBA2BGRA)
        cv2.imwrite(str(folder / "cutouts" / part / name), body)
    (folder / "pseudo.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
