"""What the embedded detector is trained on, in memory, and one endless row of samples from it."""

import csv
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.training.detection.augmentation import crop, distort_colours, flip, resize
from models.training.detection.coco import Sample
from models.training.open_data import beverage
from models.training.recipes.composed import Cutout, Image, block, compose
from models.training.recipes.split import kept_out
from models.training.render.surfaces import TABLES, WALLS, surface

Item = TypeVar("Item")
Part = Literal["train", "kept"]

PHOTO_SIDE = 400  # pixels, square; of photographs in memory
GROUND_SIDE = 640  # pixels, the shorter side
SURFACES = 6  # of each kind
BLOCKS = 300
# How many of a hundred samples are of which kind; the rest is composed.
DRINKS, GROCERIES, RENDERED = 0.28, 0.10, 0.12
EMPTY = 0.12  # of the composed ones
# How many of a hundred pasted bodies are of which kind; the rest are photographed.
THINGS, BLOCKED, RENDERED_BODIES = 0.33, 0.12, 0.15
CROPPED = 0.6  # of the photographs


@dataclass(frozen=True, slots=True)
class Pools:
    """Samples with boxes, cut-outs and grounds of one part of the data."""

    drinks: list[Sample]
    groceries: list[Sample]
    rendered: list[Sample]
    bodies: list[Cutout]
    rendered_bodies: list[Cutout]
    things: list[Cutout]
    blocks: list[Cutout]
    grounds: list[Image]


def load_pools(data: Path, work: Path, debian: Path, part: Part) -> Pools:
    """Everything of a part.

    Args:
        data: the open data.
        work: what `bodies` and `rendered` wrote.
        debian: root under which the packages gnome-backgrounds, mate-backgrounds, ukui-wallpapers
            and sweethome3d-furniture are unpacked ("/" where they are installed).
        part: what is trained on, or what is kept out.
    """
    return Pools(
        drinks=load_drinks(data, part),
        groceries=list(_pseudo_labelled(data, work / "pseudo.csv", part)),
        rendered=list(_scenes(work / "scenes", part)),
        bodies=[_cutout(path) for path in sorted((work / "cutouts" / part).glob("*.png"))],
        rendered_bodies=[
            _cutout(path)
            for path in sorted((work / "cutouts" / "rendered").glob("*.png"))
            if _scene_part(path) == part
        ],
        things=things(debian) if part == "train" else [],
        blocks=[block(np.random.default_rng([n, len(part)])) for n in range(BLOCKS)],
        grounds=[*surfaces(part), *wallpapers(debian, part)],
    )


def load_drinks(data: Path, part: Part) -> list[Sample]:
    """The beverage photographs of a part, with their labelled boxes."""
    photos = [photo for photo in beverage(data) if kept_out(photo) == (part == "kept")]
    return [_squared(read(p.path), np.asarray(p.boxes, np.float32)) for p in photos]


def draw(pools: Pools, side: int, rng: np.random.Generator) -> Sample:
    """One training sample of `side` pixels square."""
    kind = rng.random()
    if kind < DRINKS:
        return _photograph(pools.drinks, side, rng)
    if kind < DRINKS + GROCERIES and pools.groceries:
        return _photograph(pools.groceries, side, rng)
    if kind < DRINKS + GROCERIES + RENDERED and pools.rendered:
        return _photograph(pools.rendered, side, rng)
    return draw_composed(pools, side, rng)


def draw_composed(
    pools: Pools, side: int, rng: np.random.Generator, count: int | None = None
) -> Sample:
    """A composed scene of `count` bodies; of 0 to 12 if it is not given."""
    ground = _ground(pools.grounds, side, rng)
    if count is None:
        many = int(rng.integers(2, 13)) if rng.random() < 0.65 else 1
        count = 0 if rng.random() < EMPTY else many
    share = rng.uniform(0.2, 0.85) if count < 2 else rng.uniform(0.46, 0.84) / count**0.45
    sample = compose([_body(pools, rng) for _ in range(count)], ground, share, rng)
    return distort_colours(sample, rng)


def _body(pools: Pools, rng: np.random.Generator) -> Cutout:
    kind = rng.random()
    if kind < THINGS and pools.things:
        return one_of(pools.things, rng)
    if kind < THINGS + BLOCKED:
        return one_of(pools.blocks, rng)
    if kind < THINGS + BLOCKED + RENDERED_BODIES and pools.rendered_bodies:
        return one_of(pools.rendered_bodies, rng)
    return one_of(pools.bodies, rng)


def _photograph(samples: Sequence[Sample], side: int, rng: np.random.Generator) -> Sample:
    sample = one_of(samples, rng)
    if rng.random() < CROPPED:
        sample = crop(sample, rng)
    sample = resize(sample, side, side, cv2.INTER_AREA)
    if rng.random() < 0.5:
        sample = flip(sample)
    return distort_colours(sample, rng)


def _ground(grounds: Sequence[Image], side: int, rng: np.random.Generator) -> Image:
    """A window of a ground; at times a table before a wall."""
    ground = _window(one_of(grounds, rng), side, rng)
    if rng.random() < 0.3:
        edge = int(side * rng.uniform(0.15, 0.75))
        ground[edge:] = _window(one_of(grounds, rng), side, rng)[edge:]
    return ground


def _window(picture: Image, side: int, rng: np.random.Generator) -> Image:
    height, width = picture.shape[:2]
    seen = int(min(height, width) * rng.uniform(0.35, 1))
    top, left = int(rng.integers(height - seen + 1)), int(rng.integers(width - seen + 1))
    window = picture[top : top + seen, left : left + seen]
    return np.asarray(cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def one_of(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """Any of them."""
    return items[int(rng.integers(len(items)))]


def decode(packed: bytes, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Pixels in OpenCV's order of channels.

    Raises:
        ModelError: OpenCV cannot read it.
    """
    pixels = cv2.imdecode(np.frombuffer(packed, np.uint8), flags)
    if pixels is None:
        raise ModelError("an image of the training data cannot be decoded")
    return np.asarray(pixels, np.uint8)


def read(path: Path) -> Image:
    """An image file, RGB."""
    return np.asarray(cv2.cvtColor(decode(path.read_bytes()), cv2.COLOR_BGR2RGB), np.uint8)


def _squared(image: Image, boxes: NDArray[np.float32]) -> Sample:
    sample = Sample(image, boxes.reshape(-1, 4))
    return resize(sample, PHOTO_SIDE, PHOTO_SIDE, cv2.INTER_AREA)


def _pseudo_labelled(data: Path, table: Path, part: Part) -> Iterator[Sample]:
    with table.open(encoding="utf-8", newline="") as file:
        for of, path, *box in csv.reader(file):
            if of == part:
                yield _squared(read(data / path), np.asarray(box, np.float32))


def _scene_part(path: Path) -> Part:
    """A fifth of the rendered scenes is kept out; their products are in no other."""
    return "kept" if int(path.name[:4]) % 5 == 4 else "train"


def _scenes(folder: Path, part: Part) -> Iterator[Sample]:
    for truth in sorted(folder.glob("*.json")):
        if _scene_part(truth) == part:
            boxes = np.asarray(json.loads(truth.read_text(encoding="utf-8")), np.float32)
            yield Sample(read(truth.with_suffix(".png")), boxes.reshape(-1, 4))


def _cutout(path: Path) -> Cutout:
    pixels = decode(path.read_bytes(), cv2.IMREAD_UNCHANGED)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8)


def things(debian: Path) -> list[Cutout]:
    """The catalogue pictures of 3D models: furniture, tools, vehicles, people and animals."""
    found = []
    for path in sorted((debian / "usr/share/sweethome3d/furniture").glob("*.sh3f")):
        with zipfile.ZipFile(path) as archive:
            catalogue = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
            for line in catalogue.splitlines():
                if line.startswith("icon#"):
                    packed = archive.read(line.partition("=")[2].strip().lstrip("/"))
                    pixels = decode(packed, cv2.IMREAD_UNCHANGED)
                    if pixels.ndim == 3 and pixels.shape[2] == 4:
                        found.append(_trimmed(pixels))
    return found


def _trimmed(pixels: NDArray[np.uint8]) -> Cutout:
    rows, columns = np.nonzero(pixels[..., 3] >= 128)
    body = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(cv2.cvtColor(body, cv2.COLOR_BGRA2RGBA), np.uint8)


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
    """Photographs and patterns of desktops, one each of five kept out."""
    paths = [
        path
        for path in sorted((debian / "usr/share/backgrounds").rglob("*"))
        if path.suffix in (".jpg", ".png", ".webp")
    ]
    for number, path in enumerate(paths):
        if (number % 5 == 4) != (part == "kept"):
            continue
        picture = read(path)
        scale = GROUND_SIDE / min(picture.shape[:2])
        smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield np.asarray(smaller, np.uint8)
