"""Makes the sample gallery: `python -m models.training.render.sample --out app/samples`.

A dozen products, four reference photographs of each, and query scenes with the truth beside them.
"""

import argparse
import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
from rich.progress import track

from models.training.render.motifs import Colour
from models.training.render.products import ProductSpec
from models.training.render.render import Rendered, render
from models.training.render.scene import Scene, compose
from models.training.render.wording import CATEGORIES

# Seed, package, category, flavour, size, layout, ground, accent.
_SHELF: tuple[tuple[int, str, str, str, int, str, Colour, Colour], ...] = (
    (1, "can", "lemonade", "orange", 1, "oval", (26, 96, 168), (246, 140, 24)),
    (2, "box", "muesli", "blueberry", 1, "diagonal", (250, 244, 228), (70, 58, 140)),
    (3, "jar", "jam", "strawberry", 1, "frame", (252, 246, 232), (150, 20, 40)),
    (4, "gable", "milk drink", "oat", 2, "minimal", (246, 240, 222), (112, 84, 48)),
    (5, "bottle", "iced tea", "lemon", 1, "band", (250, 230, 110), (22, 110, 70)),
    (6, "tin", "sauce", "tomato", 1, "stripes", (250, 240, 222), (196, 40, 34)),
    (7, "pouch", "crisps", "herbs", 2, "oval", (64, 140, 70), (250, 226, 90)),
    (8, "cup", "yoghurt", "cherry", 1, "pattern", (244, 196, 208), (170, 24, 70)),
    (9, "brick", "juice", "apple", 3, "diagonal", (236, 246, 214), (60, 140, 44)),
    (10, "box", "tea", "mint", 0, "frame", (20, 74, 76), (224, 184, 92)),
    (11, "pouch", "coffee", "coffee", 1, "minimal", (40, 30, 30), (216, 120, 44)),
    (12, "slim_can", "lemonade", "raspberry", 0, "stripes", (250, 246, 250), (120, 30, 130)),
)
_STRANGER = (19, "cup", "milk drink", "coffee", 1, "band", (70, 48, 36), (250, 230, 190))
# Degrees turned and camera height of the references, one view each.
_VIEWS = ((-6.0, 16.0), (38.0, 24.0), (-34.0, 32.0), (168.0, 20.0))
_REFERENCE, _SCENE = (480, 480), (960, 720)
# Positions on the shelf (-1: the product that is not enrolled), degrees turned, spacing, table.
_SCENES = (
    ((0,), (14.0,), 1.15, "wood", 103),
    ((2, 9), (-22.0, 26.0), 1.9, "stone", 207),
    ((4, 7, 5), (18.0, -28.0, 12.0), 1.3, "wood", 301),
    ((1, 11, 8, 2), (-16.0, 20.0, 30.0, -12.0), 1.0, "cloth", 404),
    ((6, -1), (-14.0, 24.0), 1.6, "laminate", 505),
)


def product(entry: tuple[int, str, str, str, int, str, Colour, Colour]) -> ProductSpec:
    """The product of a line of the shelf, its id made from its name."""
    seed, kind, category, flavour, size, layout, ground, accent = entry
    drawn = ProductSpec.from_seed(seed, kind)
    design = replace(
        drawn.design,
        category=category,
        flavour=flavour,
        size=CATEGORIES[category].sizes[size],
        language="en",
        layout=layout,
        ground=ground,
        accent=accent,
    )
    slug = re.sub(r"[^a-z0-9]+", "-", f"{design.brand} {flavour} {category}".lower())
    return replace(drawn, id=slug, design=design, scale=1.0)


def shelf() -> list[ProductSpec]:
    """The products of the sample gallery."""
    return [product(entry) for entry in _SHELF]


def title(spec: ProductSpec) -> str:
    """What a shop would call the product."""
    design = spec.design
    # Some sorts are named by their flavour alone: coffee coffee would read oddly.
    words = dict.fromkeys([design.brand.capitalize(), design.flavour_name, design.name])
    return " ".join([*words, design.size])


def reference_scenes(spec: ProductSpec) -> Iterator[Scene]:
    """One scene a reference view, each in another light."""
    for view, (yaw, elevation) in enumerate(_VIEWS):
        seed = 1000 * spec.shape_seed + view
        yield compose([spec], seed, style="reference", yaws=[yaw], elevation=elevation)


def query_scenes() -> Iterator[Scene]:
    """The query scenes, in the order of their numbers."""
    known = [*shelf(), product(_STRANGER)]
    for places, yaws, spacing, table, seed in _SCENES:
        specs = [known[place] for place in places]
        yield compose(specs, seed, yaws=yaws, spacing=spacing, table=table)


def _save(path: Path, rendered: Rendered, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.cvtColor(rendered.image, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def write(folder: Path, samples: int) -> None:
    """Renders everything into the folder."""
    specs = shelf()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "name", "metadata"])
        for spec in specs:
            design = spec.design
            metadata = {"brand": design.brand, "category": design.category, "size": design.size}
            table.writerow([spec.id, title(spec), json.dumps(metadata)])
    views = [(s, n, v) for s in specs for n, v in enumerate(reference_scenes(s), start=1)]
    for spec, number, scene in track(views, "references"):
        target = folder / "references" / spec.id / f"{number:02d}.jpg"
        _save(target, render(scene, *_REFERENCE, samples=samples), 84)
    images = []
    known = {spec.id for spec in specs}
    for number, scene in enumerate(track(list(query_scenes()), "scenes"), start=1):
        rendered = render(scene, *_SCENE, samples=samples)
        _save(folder / "scenes" / f"scene-{number}.jpg", rendered, 86)
        objects = [
            {
                "product_id": seen.product_id,
                "in_gallery": seen.product_id in known,
                "box": list(seen.box),
                "visible_fraction": round(seen.visible_fraction, 3),
            }
            for seen in rendered.objects
        ]
        size = {"width": _SCENE[0], "height": _SCENE[1]}
        images.append({"file": f"scene-{number}.jpg", **size, "objects": objects})
    truth = json.dumps({"images": images}, indent=1) + "\n"
    (folder / "scenes" / "annotations.json").write_text(truth, encoding="utf-8")


def main() -> None:
    """Reads the arguments and writes the gallery."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--samples", type=int, default=4, help="light paths a pixel")
    arguments = parser.parse_args()
    write(arguments.out, arguments.samples)


if __name__ == "__main__":
    main()
