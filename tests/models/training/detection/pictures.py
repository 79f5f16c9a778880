"""Plain pictures with bright rectangles for bodies, and COCO files of them."""

import json

import cv2
import numpy as np

from models.training.detection.coco import Sample

DARK, BRIGHT = 20, 220


def picture(height, width, boxes):
    """Dark, with a bright rectangle in each box (integers)."""
    image = np.full((height, width, 3), DARK, np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = BRIGHT
    return Sample(image, np.asarray(boxes, np.float32).reshape(-1, 4))


def bright_box(image):
    """Around all bright pixels (x1, y1, x2, y2)."""
    rows, columns = np.nonzero(image.mean(axis=2) > (DARK + BRIGHT) / 2)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def write_coco(folder, count, *, side=64, seed=0):
    """`count` pictures with one body each, and their annotations; the annotation file."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        width, height = rng.integers(side // 4, side // 2, 2).tolist()
        x, y = (int(rng.integers(side - extent)) for extent in (width, height))
        name = f"{number:03}.png"
        pixels = picture(side, side, [[x, y, x + width, y + height]]).image
        cv2.imwrite(str(folder / name), pixels)
        images.append({"id": number, "file_name": name, "height": side, "width": side})
        annotations.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1 + number % 3,
                "bbox": [x, y, width, height],
                "iscrowd": 0,
            }
        )
    path = folder / "annotations.json"
    categories = [{"id": i, "name": f"thing {i}"} for i in (1, 2, 3)]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path
