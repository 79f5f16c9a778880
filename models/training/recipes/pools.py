"""What the embedded detector is trained on, in memory, and one endless row of samples from it."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detection.augmentation import crop, distort_colours, flip, resize
from models.training.detection.coco import Sample
from models.training.open_data import beverage
from models.training.recipes.composed import block, compose
from models.training.recipes.grounds import (
    Part,
    landscapes,
    surfaces,
    surroundings,
    wallpapers,
    window,
)
from models.training.recipes.pictures import Cutout, Image, read, read_cutout, stamps
from models.training.recipes.rooms import LITTERED, littered, room
from models.training.recipes.split import kept_out

Item = TypeVar("Item")

PHOTO_SIDE = 400  # pixels, square; of photographs in memory
BLOCKS = 300
WINDOW = 0.35  # of a ground's shorter side, at least
# How many of a hundred samples are of which kind; the rest is composed.
DRINKS, GROCERIES, RENDERED, ROOMS = 0.26, 0.08, 0.06, 0.34
EMPTY = 0.2  # of the composed ones and of the rooms
# How many of a hundred pasted bodies are of which kind; the rest are photographed.
THINGS, BLOCKED, RENDERED_BODIES = 0.33, 0.12, 0.15
CROPPED = 0.6  # of the photographs
STAMPED = 0.5  # of the things; the others are views of 3D models
THINGS_IN_ROOMS = 0.75  # the rest are bodies of any kind
GROUNDS = (0.35, 0.25, 0.4)  # of the rooms: landscapes, surroundings of drinks, others
CROWD = 7  # things in a room, at most


@dataclass(frozen=True, slots=True)
class Pools:
    """Samples with boxes, cut-outs and grounds of one part of the data."""

    drinks: list[Sample]
    groceries: list[Sample]
    rendered: list[Sample]
    bodies: list[Cutout]
    rendered_bodies: list[Cutout]
    models: list[Cutout]
    stamps: list[Cutout]
    blocks: list[Cutout]
    grounds: list[Image]
    landscapes: list[Image]
    surroundings: list[Image]


def load_pools(data: Path, work: Path, debian: Path, part: Part) -> Pools:
    """Everything of a part.

    Args:
        data: the open data.
        work: what `bodies`, `rendered` and `modelled` wrote.
        debian: root under which the packages gnome-backgrounds, mate-backgrounds, ukui-wallpapers
            and, for training, plasma-workspace-wallpapers, tuxpaint-data and
            tuxpaint-stamps-default are unpacked ("/" where they are installed).
        part: what is trained on, or what is kept out.
    """
    training = part == "train"
    drinks = load_drinks(data, part)
    return Pools(
        drinks=drinks,
        groceries=list(_pseudo_labelled(data, work / "pseudo.csv", part)),
        rendered=list(_scenes(work / "scenes", part)),
        bodies=[read_cutout(path) for path in sorted((work / "cutouts" / part).glob("*.png"))],
        rendered_bodies=[
            read_cutout(path)
            for path in sorted((work / "cutouts" / "rendered").glob("*.png"))
            if _scene_part(path) == part
        ],
        models=[read_cutout(path) for path in sorted((work / "models").glob("*.png")) if training],
        stamps=list(stamps(debian)) if training else [],
        blocks=[block(np.random.default_rng([n, len(part)])) for n in range(BLOCKS)],
        grounds=[*surfaces(part), *wallpapers(debian, part)],
        landscapes=list(landscapes(debian)) if training else [],
        surroundings=list(surroundings(drinks)) if training else [],
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
    if kind < DRINKS + GROCERIES + RENDERED + ROOMS:
        return draw_room(pools, side, rng)
    return draw_composed(pools, side, rng)


def draw_room(pools: Pools, side: int, rng: np.random.Generator) -> Sample:
    """Things of all sizes amid clutter, at times none."""
    kind = int(rng.choice(3, p=GROUNDS))
    grounds = (pools.landscapes, pools.surroundings, pools.grounds)[kind]
    ground = _ground(grounds, side, rng)
    if rng.random() < LITTERED:
        ground = littered(ground, window(one_of(pools.grounds, rng), WINDOW, side, rng), rng)
    many = int(rng.integers(2, CROWD + 1)) if rng.random() < 0.6 else 1
    count = 0 if rng.random() < EMPTY else many
    bodies = [
        _thing(pools, rng) if rng.random() < THINGS_IN_ROOMS else _body(pools, rng)
        for _ in range(count)
    ]
    return distort_colours(room(bodies, ground, side, rng), rng)


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
    if kind < THINGS and pools.models:
        return _thing(pools, rng)
    if kind < THINGS + BLOCKED:
        return one_of(pools.blocks, rng)
    if kind < THINGS + BLOCKED + RENDERED_BODIES and pools.rendered_bodies:
        return one_of(pools.rendered_bodies, rng)
    return one_of(pools.bodies, rng)


def _thing(pools: Pools, rng: np.random.Generator) -> Cutout:
    return one_of(pools.stamps if rng.random() < STAMPED else pools.models, rng)


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
    ground = window(one_of(grounds, rng), WINDOW, side, rng)
    if rng.random() < 0.3:
        edge = int(side * rng.uniform(0.15, 0.75))
        ground[edge:] = window(one_of(grounds, rng), WINDOW, side, rng)[edge:]
    return ground


def one_of(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """Any of them."""
    return items[int(rng.integers(len(items)))]


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
