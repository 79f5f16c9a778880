"""What bodies stand before: made surfaces, patterns, photographs that show no body."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from models.training.detection.coco import Sample
from models.training.recipes.pictures import Image, read
from models.training.render.surfaces import TABLES, WALLS, surface

Part = Literal["train", "kept"]

GROUND_SIDE = 640  # pixels, the shorter side
SURFACES = 6  # of each kind
SURROUNDING = 0.3  # of a photograph's side, at least
# Pictures with animals, flowers, vessels, buildings: bodies without a box are no empty ground.
SHOW_BODIES = frozenset(
    (
        *("firstgeneration", "goldfish", "the-mouse", "calla", "LadyBird", "FreshFlower"),
        *("Garden", "YellowFlower", "TwoWings", "jellyfish", "lighthouse", "sheep"),
        *("wool_mill_machine", "ColorfulCups", "EveningGlow", "Kite", "SafeLanding"),
        *("Autumn", "Honeywave", "Flow", "OneStandsOut", "FallenLeaf"),
    )
)


def surfaces(part: Part) -> Iterator[Image]:
    """Made tables, walls and plain grounds."""
    first = 0 if part == "train" else 1000
    for kind in sorted({*TABLES, *WALLS}):
        for seed in range(first, first + SURFACES):
            yield surface(kind, seed)
    rng = np.random.default_rng(first)
    for _ in range(2 * SURFACES):  # plain, with a gradient
        ends = rng.uniform(0, 255, (2, 3))
        ramp = np.linspace(0, 1, GROUND_SIDE)[:, None, None]
        column = ends[0] + 0.3 * (ends[1] - ends[0]) * ramp
        yield np.repeat(column, GROUND_SIDE, axis=1).clip(0, 255).astype(np.uint8)


def wallpapers(debian: Path, part: Part) -> Iterator[Image]:
    """Patterns and pictures of desktops, one each of five kept out."""
    paths = [
        path
        for path in sorted((debian / "usr/share/backgrounds").rglob("*"))
        if path.suffix in (".jpg", ".png", ".webp")
    ]
    for number, path in enumerate(paths):
        if (number % 5 == 4) == (part == "kept") and path.stem not in SHOW_BODIES:
            yield _ground_sized(read(path))


def landscapes(debian: Path) -> Iterator[Image]:
    """Photographs of skies, woods, water, stones: one of each wallpaper and template."""
    share = debian / "usr/share"
    paths = sorted((share / "tuxpaint/templates").glob("*.jpg"))
    for folder in sorted((share / "wallpapers").glob("*/contents/images")):
        found = sorted(folder.glob("*.jpg"), key=lambda path: path.stat().st_size)
        paths += found[-1:]
    for path in paths:
        name = path.parents[2].name if path.parent.name == "images" else path.stem
        if name not in SHOW_BODIES:
            yield _ground_sized(read(path))


def surroundings(drinks: Sequence[Sample]) -> Iterator[Image]:
    """What lies left, right, above and below of all bodies of a photograph, where it is wide."""
    for sample in drinks:
        side = len(sample.image)
        first, last = sample.boxes[:, :2].min(axis=0), sample.boxes[:, 2:].max(axis=0)
        left, top = (max(0, int(edge)) for edge in first)
        right, bottom = (int(np.ceil(edge)) for edge in last)
        image = sample.image
        for beside in (image[:, :left], image[:, right:], image[:top], image[bottom:]):
            if min(beside.shape[:2]) >= SURROUNDING * side:
                yield beside


def window(ground: Image, least: float, side: int, rng: np.random.Generator) -> Image:
    """A square part [side, side, 3]: of the ground's shorter side that share at least."""
    height, width = ground.shape[:2]
    seen = int(min(height, width) * rng.uniform(least, 1))
    top, left = int(rng.integers(height - seen + 1)), int(rng.integers(width - seen + 1))
    part = ground[top : top + seen, left : left + seen]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _ground_sized(picture: Image) -> Image:
    scale = GROUND_SIDE / min(picture.shape[:2])
    smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
