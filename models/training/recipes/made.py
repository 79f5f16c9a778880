"""Made products on changing grounds, in changing light: what a projection shall overlook.

Of most photographed drinks there is one picture, and of no product many on different grounds: the
photographs alone do not tell that the ground behind a package says nothing about it. They are seen
as the service sees products, by the detector's box.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.training.recipes.grounds import surfaces, wallpapers
from models.training.recipes.labels import Label, label_families
from models.training.recipes.pools import one_of
from models.training.recipes.views import Image, disturbed, pasted

FAMILIES = 150  # of look-alikes: about 500 products
VIEWS = 3  # of each
SEED = 5


def best_bodies(detector: Detector, pictures: Iterable[Image]) -> list[Image]:
    """The best body in each picture, the whole of it where none is seen."""
    bodies = [(picture, detector.best_body(picture)) for picture in pictures]
    return [picture if body is None else body for picture, body in bodies]


def made_products(debian: Path, side: int) -> dict[str, list[Image]]:
    """VIEWS pictures of each product, `side` pixels square, by its name; a minute on one core."""
    rng = np.random.default_rng(SEED)
    grounds = [*surfaces("train"), *wallpapers(debian, "train")]

    def view(label: Label) -> Image:
        on_ground = pasted(label.body(rng), one_of(grounds, rng), side, rng)
        return disturbed(on_ground, [one_of(grounds, rng)], rng)

    views = {}
    for number, family in enumerate(label_families(0, FAMILIES)):
        for variant, label in enumerate(family):
            views[f"made {number}.{variant}"] = [view(label) for _ in range(VIEWS)]
    return views
