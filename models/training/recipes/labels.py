"""Made products: families whose members differ in one detail, drawn on boxes and cylinders."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.training.recipes.cylinders import ASPECT, cylinder
from models.training.recipes.views import Cutout, Image
from models.training.render.labels import front, wrap
from models.training.render.products import Detail, ProductSpec

DETAILS: tuple[Detail, ...] = ("flavour", "colour", "size", "language")
MEMBERS = 4
FIRST_SEED = 900_000  # of labels; far from those of the sample gallery
FLAT, WRAPPED = (224, 288), (480, 224)  # pixels of label art, width and height


@dataclass(frozen=True, slots=True)
class Label:
    """A made product: the kind of its package, and its front or, of a round one, its wrap."""

    package: str
    art: Image

    @property
    def cylindrical(self) -> bool:
        """Whether the package is round, as cans, bottles, jars and cups are."""
        return self.package in ASPECT

    def body(self, rng: np.random.Generator) -> Cutout:
        """It, seen from somewhere."""
        return cylinder(self.art, self.package, rng) if self.cylindrical else opaque(self.art)


def label_families(first: int, count: int, members: int = MEMBERS) -> Iterator[list[Label]]:
    """Families `first` to `first + count`: products and their look-alikes, at most `members`."""
    for seed in range(first, first + count):
        model = ProductSpec.from_seed(FIRST_SEED + seed)
        family = model.family(DETAILS[seed % len(DETAILS)], members)
        draw, size = (wrap, WRAPPED) if model.kind in ASPECT else (front, FLAT)
        yield [Label(model.kind, np.asarray(draw(member.design, *size))) for member in family]


def opaque(image: Image) -> Cutout:
    """RGBA [H, W, 4] of all of an image."""
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
