"""What the embedded embedder learns to tell apart: identities, and endless views of each.

Of four kinds: groceries (photographs of a product), drinks (a body cut out of each source), labels
(made families whose members differ in one detail, on boxes and cylinders) and things (catalogue
pictures). The first two and the last come in other hues too, each hue a product of its own: real
photographs whose only difference is colour.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from models.training.open_data import Corners, Photo, beverage, grocery
from models.training.recipes.bodies import Salience, cut_out
from models.training.recipes.grounds import surfaces, wallpapers
from models.training.recipes.labels import Label, label_families, opaque
from models.training.recipes.pictures import things
from models.training.recipes.pools import one_of
from models.training.recipes.views import (
    LOOSE,
    Cutout,
    Image,
    Matrix,
    disturbed,
    hue_turn,
    pasted,
    photographed,
    recoloured,
)

Kind = Literal["grocery", "drink", "label", "thing"]

FAMILIES = 600
HUES = {"grocery": 3, "drink": 3, "label": 1, "thing": 2}
PHOTO_SIDE = 352  # pixels, the shorter side of a photograph in memory
GROUND_SIDE = 384
MARGIN = 0.12  # of a body's box, round it, where its outline is looked for
CLEAR = 0.5  # share of its box that a body fills, or its outline was not found
CUT_OUT = 0.8  # of the views of a drink; the others show its photograph
FROM_ICONIC = 0.15  # of the views of a grocery
TIGHT = (0.85, 1.1)  # a body's longer side, in sides of the view, as a detector's box shows it


class Key(NamedTuple):
    """An identity: `number` of its kind, and its hue or its place in a family."""

    kind: Kind
    number: int
    variant: int


@dataclass(frozen=True, slots=True)
class Shot:
    """A photograph in memory, with its bodies' boxes in its own pixels."""

    image: Image
    boxes: Sequence[Corners]
    iconic: bool


@dataclass(frozen=True, slots=True)
class Pictures:
    """Everything views are made of; a kind's names are in the order of its numbers."""

    names: dict[Kind, list[str]]
    shots: dict[Kind, list[list[Shot]]]
    bodies: list[list[Cutout]]  # of each drink, one of each source
    labels: list[list[Label]]  # families
    catalogue: list[Cutout]
    grounds: list[Image]

    def identities(self) -> Iterator[Key]:
        """Every identity."""
        for kind in ("grocery", "drink", "thing"):
            count = len(self.catalogue) if kind == "thing" else len(self.names[kind])
            for number in range(count):
                for variant in range(HUES[kind]):
                    yield Key(kind, number, variant)
        for number, members in enumerate(self.labels):
            for variant in range(len(members)):
                yield Key("label", number, variant)

    def view(self, key: Key, side: int, rng: np.random.Generator) -> Image:
        """One picture of an identity, `side` pixels square."""
        hues = _hues(key)
        if key.kind == "grocery":
            return self._photographed(key, side, rng, hues)
        if key.kind == "drink":
            if not self.bodies[key.number] or rng.random() >= CUT_OUT:
                return self._photographed(key, side, rng, hues)
            body = one_of(self.bodies[key.number], rng)
        elif key.kind == "label":
            body = self.labels[key.number][key.variant].body(rng)
        else:
            body = self.catalogue[key.number]
        if hues is not None:
            body = recoloured(body, hues)
        ground = self._stranger(rng) if rng.random() < 0.4 else one_of(self.grounds, rng)
        seen = TIGHT if rng.random() < 0.5 else LOOSE
        return disturbed(pasted(body, ground, side, rng, shares=seen), [self._stranger(rng)], rng)

    def _photographed(
        self, key: Key, side: int, rng: np.random.Generator, hues: Matrix | None
    ) -> Image:
        shots = self.shots[key.kind][key.number]
        iconic = [shot for shot in shots if shot.iconic]
        shot = one_of(iconic if iconic and rng.random() < FROM_ICONIC else shots, rng)
        view = photographed(shot.image, shot.boxes, side, rng)
        return disturbed(view, [self._stranger(rng)], rng, hues)

    def _stranger(self, rng: np.random.Generator) -> Image:
        """A photograph of any product, as ground or in front."""
        kind: Kind = "grocery" if rng.random() < 0.5 else "drink"
        return one_of(one_of(self.shots[kind], rng), rng).image


def load_pictures(data: Path, onnx: Path, debian: Path) -> Pictures:
    """Everything, made or read; about six minutes on one core.

    Args:
        data: the open data; holds `grocery` and `beverage`.
        onnx: U²-Net-P, which cuts the drinks out.
        debian: root under which the packages that `pools` names are unpacked.
    """
    salience = Salience(onnx, threads=1)
    photos: dict[Kind, list[list[Photo]]] = {
        "grocery": _by_identity(grocery(data)),
        "drink": _by_identity(beverage(data)),
    }
    return Pictures(
        names={kind: [of[0].identity for of in groups] for kind, groups in photos.items()},
        shots={
            kind: [[_shot(photo) for photo in of] for of in track(groups, kind)]
            for kind, groups in photos.items()
        },
        bodies=[
            [_body(photo, salience) for photo in of if photo.is_original and photo.boxes]
            for of in track(photos["drink"], "bodies")
        ],
        labels=list(track(label_families(0, FAMILIES), "labels", FAMILIES)),
        catalogue=[_smaller(thing, 200 / max(thing.shape[:2])) for thing in things(debian)],
        grounds=[
            _smaller(ground, GROUND_SIDE / min(ground.shape[:2]))
            for ground in (*surfaces("train"), *wallpapers(debian, "train"))
        ],
    )


def _hues(key: Key) -> Matrix | None:
    """A third of the circle apart, give or take; variant 0 is as photographed."""
    if key.kind == "label" or key.variant == 0:
        return None
    rng = np.random.default_rng([zlib.crc32(key.kind.encode()), key.number, key.variant])
    return hue_turn(2 * np.pi * key.variant / 3 + rng.uniform(-0.5, 0.5))


def _by_identity(photos: Sequence[Photo]) -> list[list[Photo]]:
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.identity].append(photo)
    return [groups[name] for name in sorted(groups)]


def _shot(photo: Photo) -> Shot:
    image = photo.load()
    scale = min(1.0, PHOTO_SIDE / min(image.shape[:2]))
    boxes = [(x1 * scale, y1 * scale, x2 * scale, y2 * scale) for x1, y1, x2, y2 in photo.boxes]
    return Shot(_smaller(image, scale), boxes, photo.split == "iconic")


def _body(photo: Photo, salience: Salience) -> Cutout:
    """The main body: as its outline if that is clear, else as its box."""
    image = photo.load()
    height, width = image.shape[:2]
    x1, y1, x2, y2 = photo.boxes[0]
    across, down = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left, top = int(max(0, x1 - across)), int(max(0, y1 - down))
    near = image[top : int(min(height, y2 + down)), left : int(min(width, x2 + across))]
    box = (x1 - left, y1 - top, x2 - left, y2 - top)
    body = cut_out(near, salience(near), box)
    return body if body[..., 3].mean() >= 255 * CLEAR else opaque(body[..., :3])


def _smaller(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return image
    smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
