"""Scenes of the project's renderer as training images, and the products in them as cut-outs."""

import json
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from models.training.render.products import ProductSpec
from models.training.render.render import Rendered, render
from models.training.render.scene import compose

SIDE = 288  # pixels
SAMPLES = 4  # light paths a pixel
PRODUCTS = (1, 4, 2, 6, 1, 3)  # in the scenes, in turn
FIRST_SEED = 50_000  # far from the sample gallery's products and scenes
LEAST_VISIBLE = 0.3  # of a product; less is no body to find
WHOLE = 0.95  # visible, to be cut out


def render_scene(number: int) -> Rendered:
    """Scene `number` of an endless row."""
    seed = FIRST_SEED + 10 * number
    rng = np.random.default_rng(seed)
    count = PRODUCTS[number % len(PRODUCTS)]
    products = [ProductSpec.from_seed(seed + place) for place in range(count)]
    scene = compose(products, seed, spacing=rng.uniform(0.8, 1.5), lying=0.15)
    return render(scene, SIDE, SIDE, samples=SAMPLES)


def write_scenes(folder: Path, count: int) -> None:
    """Fill `folder`: scenes/*.png with *.json (boxes), cutouts/rendered/*.png.

    Scenes that are there already are kept.
    """
    scenes, cutouts = folder / "scenes", folder / "cutouts" / "rendered"
    for made in (scenes, cutouts):
        made.mkdir(parents=True, exist_ok=True)
    for number in track(range(count), "scenes"):
        if (scenes / f"{number:04d}.json").exists():
            continue
        rendered = render_scene(number)
        picture = cv2.cvtColor(rendered.image, cv2.COLOR_RGB2BGR)
        boxes = []
        for place, seen in enumerate(rendered.objects):
            if seen.visible_fraction < LEAST_VISIBLE:
                continue
            boxes.append(seen.box)
            if seen.visible_fraction >= WHOLE:
                x1, y1, x2, y2 = (int(side) for side in seen.box)
                mine = (rendered.ids == _placement(rendered, place)).astype(np.uint8) * 255
                body = np.dstack([picture, cv2.blur(mine, (2, 2))])[y1:y2, x1:x2]
                cv2.imwrite(str(cutouts / f"{number:04d}-{place}.png"), body)
        cv2.imwrite(str(scenes / f"{number:04d}.png"), picture)
        # Last: it tells that the scene is complete.
        (scenes / f"{number:04d}.json").write_text(json.dumps(boxes), encoding="utf-8")


def _placement(rendered: Rendered, place: int) -> int:
    """The index in `ids` of an entry of `objects`: both in the order of the placements."""
    return int(np.unique(rendered.ids[rendered.ids >= 0])[place])
