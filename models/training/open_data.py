"""The open photographs: groceries with a product each, drinks with boxes and the SKUs they show.

Sources: Klasson et al., "A Hierarchical Grocery Store Image Dataset with Visual and Semantic
Labels", WACV 2019 (MIT); Beverage3, Roboflow Universe, workspace qqdengws (CC BY 4.0).
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Pixels (x1, y1, x2, y2).
Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph: `identity` is its product, `boxes` its labelled bodies, largest first.

    Copies of one photograph (turned, noisy) share its `source`.
    """

    path: Path
    split: str
    identity: str
    source: str
    boxes: tuple[Corners, ...] = ()

    def load(self) -> NDArray[np.uint8]:
        """Upright RGB uint8 [H, W, 3]."""
        with Image.open(self.path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))

    @property
    def is_original(self) -> bool:
        """Not one of the altered copies that come with a source."""
        return self.split != "copy"


def grocery(data: Path) -> list[Photo]:
    """Splits `train`, `val` and `iconic` of the grocery photographs; no boxes."""
    folder = data / "grocery"
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [
            Photo(folder / row["path"], row["split"], row["product"], row["path"])
            for row in csv.DictReader(file)
        ]


def coco_photos(folder: Path, identities: dict[str, str] | None = None) -> list[Photo]:
    """Photographs of a folder with COCO annotations.

    Args:
        folder: holds `annotations.json` and the files it names.
        identities: source → product; a source without one is a product of its own.
    """
    content = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    boxes: dict[int, list[Corners]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        boxes[annotation["image_id"]].append((x, y, x + width, y + height))
    photos = []
    for image in content["images"]:
        stem = Path(image["file_name"]).stem
        source, _, copy = stem.partition("-")
        photos.append(
            Photo(
                path=folder / image["file_name"],
                split="copy" if copy not in ("", "0") else "original",
                identity=(identities or {}).get(source, source),
                source=source,
                boxes=tuple(sorted(boxes[image["id"]], key=_area, reverse=True)),
            )
        )
    return photos


def beverage(data: Path) -> list[Photo]:
    """Drinks: originals and their copies, each with the SKU it shows and its boxes."""
    folder = data / "beverage"
    skus = json.loads((folder / "skus.json").read_text(encoding="utf-8"))
    return coco_photos(
        folder, {Path(name).stem.partition("-")[0]: sku for name, sku in skus.items()}
    )


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
