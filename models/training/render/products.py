"""Product identities: a package kind, its proportions and its design, all from a seed."""

import colorsys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.training.render.design import Design
from models.training.render.layouts import LAYOUTS
from models.training.render.motifs import Colour
from models.training.render.typefaces import random_typeface
from models.training.render.wording import CATEGORIES, LANGUAGES, brand

Detail = Literal["flavour", "colour", "size", "language"]
KINDS = (
    "box",
    "brick",
    "gable",
    "can",
    "slim_can",
    "tin",
    "bottle",
    "jar",
    "cup",
    "pouch",
)

# Pairs of ground and accent that packaging uses; hues are turned a little for each product.
_PALETTES: tuple[tuple[Colour, Colour], ...] = (
    ((248, 244, 230), (178, 32, 44)),
    ((250, 248, 244), (22, 84, 148)),
    ((244, 200, 48), (172, 30, 46)),
    ((246, 238, 210), (36, 98, 66)),
    ((26, 66, 120), (244, 190, 50)),
    ((170, 26, 40), (250, 236, 200)),
    ((28, 26, 30), (206, 164, 84)),
    ((232, 120, 40), (56, 36, 90)),
    ((150, 200, 190), (200, 60, 70)),
    ((60, 120, 70), (250, 226, 120)),
    ((240, 180, 190), (110, 40, 90)),
    ((90, 170, 215), (252, 250, 244)),
    ((84, 52, 36), (238, 206, 150)),
    ((110, 60, 140), (250, 220, 90)),
)


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """One product. Equal specs give equal meshes and label art.

    scale stretches the whole package; shape_seed decides its proportions.
    """

    id: str
    kind: str
    design: Design
    shape_seed: int
    scale: float

    @classmethod
    def from_seed(cls, seed: int, kind: str | None = None) -> "ProductSpec":
        """The product of a seed; the kind of package too unless it is given."""
        rng = np.random.default_rng([seed, 11])
        chosen = kind or str(rng.choice(KINDS))
        fitting = [name for name, entry in CATEGORIES.items() if chosen in entry.kinds]
        category = str(rng.choice(fitting))
        entry = CATEGORIES[category]
        ground, accent = _palette(rng)
        size = int(rng.integers(len(entry.sizes)))
        design = Design(
            brand=brand(rng),
            category=category,
            flavour=str(rng.choice(entry.flavours)),
            size=entry.sizes[size],
            language=str(rng.choice(LANGUAGES)),
            ground=ground,
            accent=accent,
            layout=str(rng.choice(list(LAYOUTS))),
            brand_face=random_typeface(rng),
            name_face=random_typeface(rng),
            seed=seed,
        )
        return cls(f"p{seed:06d}", chosen, design, seed, _scale(size))

    def family(self, detail: Detail, count: int) -> "list[ProductSpec]":
        """This product and up to count - 1 look-alikes that differ from it in the detail alone.

        "size" changes the printed amount and the scale of the package, "colour" the accent colour;
        there are as many members as the detail has values.
        """
        entry, design = CATEGORIES[self.design.category], self.design
        members = [self]
        rng = np.random.default_rng([self.shape_seed, 12])
        if detail == "flavour":
            others = [f for f in entry.flavours if f != design.flavour]
            designs = [replace(design, flavour=f) for f in others]
            members += [replace(self, design=d) for d in designs]
        elif detail == "language":
            words = {design.name}
            for index, language in enumerate(LANGUAGES):
                if entry.names[index] not in words:
                    words.add(entry.names[index])
                    members.append(replace(self, design=replace(design, language=language)))
        elif detail == "size":
            for index, size in enumerate(entry.sizes):
                if size != design.size:
                    sized = replace(design, size=size)
                    members.append(replace(self, design=sized, scale=_scale(index)))
        else:
            start = rng.uniform()
            for step in range(1, count):
                accent = _turned(design.accent, start * 0.1 + step / count)
                members.append(replace(self, design=replace(design, accent=accent)))
        return [
            replace(member, id=f"{self.id}-{detail}-{index}") if index else member
            for index, member in enumerate(members[:count])
        ]


def _scale(size_index: int) -> float:
    return 0.9 * 1.14**size_index


def _turned(colour: Colour, turn: float) -> Colour:
    """The colour with its hue turned (1 is once around); greys gain enough colour to differ."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in colour))
    lightness = min(max(lightness, 0.28), 0.6)
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, lightness, max(saturation, 0.5))
    return round(red * 255), round(green * 255), round(blue * 255)


def _palette(rng: np.random.Generator) -> tuple[Colour, Colour]:
    ground, accent = _PALETTES[int(rng.integers(len(_PALETTES)))]
    turn = float(rng.uniform(-0.04, 0.04))
    jittered = []
    for colour in (ground, accent):
        hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in colour))
        red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, lightness, saturation)
        jittered.append((round(red * 255), round(green * 255), round(blue * 255)))
    return jittered[0], jittered[1]
