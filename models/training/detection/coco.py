"""Images and boxes from a COCO annotation file; whatever the categories, every box is a body."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.pixels import to_rgb
from models.training.kept_out import kept_out
from models.training.photographs import check_present, opened

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]

_MIN_SIDE = 1.0  # pixels


@dataclass(frozen=True, slots=True)
class Sample:
    """An image uint8 [H, W, 3] (RGB) and its boxes float32 [B, 4] (x1, y1, x2, y2), in pixels."""

    image: Image
    boxes: Boxes


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a data set, on disk. Crowds are left out; boxes lie inside the image.

    `dropped`: how many do not, have no area or are no numbers, and are left out, too.
    """

    path: Path
    height: int
    width: int
    boxes: Boxes
    dropped: int = 0

    def load(self) -> Sample:
        """Read the image.

        Raises:
            ModelError: it cannot be decoded, or has another size than annotated.
        """
        # As stored: annotations know nothing of EXIF rotation.
        with opened(self.path) as image:
            pixels = to_rgb(image)
        if pixels.shape[:2] != (self.height, self.width):
            height, width = pixels.shape[:2]
            raise ModelError(
                f"{self.path} is {width} x {height}, annotated as {self.width} x {self.height}"
            )
        return Sample(pixels, self.boxes)


def read_coco(annotations: Path) -> list[Record]:
    """The images an annotation file names, looked for beside it, in its order.

    Raises:
        ModelError: the file is not COCO's, names no image or one that is not there, or gives two
            the same id.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        _check_ids([image["id"] for image in content["images"]], annotations)
        boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd"):
                boxes[annotation["image_id"]].append(annotation["bbox"])
        records = [
            _record(annotations.parent, image, boxes[image["id"]]) for image in content["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{annotations} is no COCO annotation file: {error!r}") from error
    if not records:
        raise ModelError(f"{annotations} names no image")
    check_present([record.path for record in records], annotations)
    return records


def split(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Train and validation by the files' names: a fifth of them is for validation."""
    out = kept_out(record.path.name for record in records)
    train = [record for record in records if record.path.name not in out]
    return train, [record for record in records if record.path.name in out]


def _check_ids(ids: Sequence[int], annotations: Path) -> None:
    # As in files that were merged by hand: whose boxes are whose cannot be told.
    if repeated := [name for name, count in Counter(ids).items() if count > 1]:
        raise ModelError(
            f"{annotations} gives several images the same id, such as {repeated[0]}: number the "
            "images anew, and their annotations with them"
        )


def _record(folder: Path, image: dict[str, Any], boxes: list[list[float]]) -> Record:
    height, width = image["height"], image["width"]
    corners = _corners(boxes, height, width)
    dropped = len(boxes) - len(corners)
    return Record(folder / image["file_name"], height, width, corners, dropped)


def _corners(boxes: list[list[float]], height: int, width: int) -> Boxes:
    """(x, y, width, height) → (x1, y1, x2, y2), clipped; what is left without area is dropped."""
    corners = np.asarray(boxes, np.float32).reshape(len(boxes), 4)
    corners[:, 2:] += corners[:, :2]
    return visible(corners, height, width)


def visible(boxes: Boxes, height: int, width: int) -> Boxes:
    """Boxes clipped to an image; those less than a pixel wide or high are dropped."""
    clipped: Boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    return clipped[(clipped[:, 2:] - clipped[:, :2] >= _MIN_SIDE).all(axis=1)]
