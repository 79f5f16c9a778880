"""Packages: the meshes and materials of each kind, centimetres, standing on z = 0."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.render import labels, meshes
from models.training.render.meshes import Mesh
from models.training.render.motifs import Colour, blend
from models.training.render.products import ProductSpec
from models.training.render.sheet import luminance
from models.training.render.wording import FLAVOURS

# Label texture resolution, pixels per centimetre of package, and the largest side.
_DENSITY, _LARGEST = 48.0, 1400
_STEEL: Colour = (196, 196, 200)


@dataclass(frozen=True, slots=True)
class Material:
    """What a part is made of: an sRGB colour or picture, and how it shines (all 0..1)."""

    colour: Colour | NDArray[np.uint8]
    roughness: float = 0.4
    metallic: float = 0.0
    coat: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """One mesh of one material."""

    mesh: Mesh
    material: Material


def build(spec: ProductSpec) -> list[Part]:
    """The parts of the product; the same spec gives the same parts."""
    rng = np.random.default_rng([spec.shape_seed, 21])
    parts = _BUILDERS[spec.kind](spec, rng)
    return [
        Part(
            Mesh(
                part.mesh.vertices * np.float32(spec.scale),
                part.mesh.normals,
                part.mesh.uvs,
                part.mesh.faces,
            ),
            part.material,
        )
        for part in parts
    ]


def _pixels(width: float, height: float) -> tuple[int, int]:
    density = min(_DENSITY, _LARGEST / max(width, height))
    return max(int(width * density), 24), max(int(height * density), 24)


def _array(picture: Image.Image) -> NDArray[np.uint8]:
    return np.array(picture.convert("RGB"))


def _wrapped(spec: ProductSpec, radius: float, height: float, fronts: int) -> NDArray[np.uint8]:
    size = _pixels(2 * np.pi * radius, height)
    return _array(labels.wrap(spec.design, *size, fronts=fronts))


def _panels(
    spec: ProductSpec, faces: dict[str, Mesh], size: tuple[float, float, float], shine: Material
) -> list[Part]:
    """The six sides of a carton with their label art; shine gives all but the colour."""
    width, depth, height = size
    design = spec.design
    art = {
        "front": labels.front(design, *_pixels(width, height)),
        "back": labels.back(design, *_pixels(width, height)),
        "left": labels.side(design, *_pixels(depth, height)),
        "right": labels.side(design, *_pixels(depth, height)),
        "top": labels.top(design, *_pixels(width, depth)),
    }
    parts = []
    for name, mesh in faces.items():
        colour = _array(art[name]) if name in art else design.ground
        parts.append(Part(mesh, Material(colour, shine.roughness, shine.metallic, shine.coat)))
    return parts


def _box(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    if spec.design.category == "tea":
        size = (rng.uniform(12, 15), rng.uniform(6, 8), rng.uniform(7, 11))
    elif spec.design.category == "biscuits":
        size = (rng.uniform(12, 20), rng.uniform(4, 7), rng.uniform(9, 14))
    else:
        size = (rng.uniform(13, 18), rng.uniform(5, 7.5), rng.uniform(19, 27))
    faces = meshes.rounded_box(*size, radius=0.18)
    return _panels(spec, faces, size, Material(_STEEL, rng.uniform(0.25, 0.5), 0.0, 0.25))


def _screw_cap(
    radius: float, height: float, colour: Colour, at: tuple[float, float, float], lean: float
) -> Part:
    """A ribbed cap of its own, leaning back by lean radians, at a place on the package."""
    around = 48
    rim = 0.12
    profile = [(0.0, 0.0), (radius, 0.0), (radius, height - rim)]
    profile += [(radius - rim, height), (0.0, height)]
    mesh = meshes.revolve(profile, around)
    turn = np.array(
        [
            [1, 0, 0],
            [0, np.cos(lean), -np.sin(lean)],
            [0, np.sin(lean), np.cos(lean)],
        ],
        dtype=np.float32,
    )
    moved = Mesh(
        mesh.vertices @ turn.T + np.array(at, dtype=np.float32),
        mesh.normals @ turn.T,
        mesh.uvs,
        mesh.faces,
    )
    return Part(moved, Material(colour, 0.35, 0.0, 0.2))


def _brick(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    size = (rng.uniform(6, 8), rng.uniform(4.5, 6), rng.uniform(11, 18))
    faces = meshes.rounded_box(*size, radius=0.12)
    parts = _panels(spec, faces, size, Material(_STEEL, 0.22, 0.0, 0.5))
    if size[2] > 13:
        cap = _screw_cap(1.25, 1.4, _cap_colour(spec), (0, -size[1] / 2 + 1.6, size[2] - 0.05), 0)
        parts.append(cap)
    return parts


def _cap_colour(spec: ProductSpec) -> Colour:
    """White on dark and coloured labels, the accent colour on light ones."""
    light = luminance(spec.design.ground) > 0.6
    return spec.design.accent if light else (240, 240, 238)


def _gable(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    side = rng.uniform(6.8, 7.4)
    height, roof = rng.uniform(15, 19), rng.uniform(3.4, 4.2)
    faces = meshes.gable_top(side, side, height, roof)
    parts = _panels(spec, faces, (side, side, height), Material(_STEEL, 0.25, 0.0, 0.4))
    lean = float(np.arctan2(roof, side / 2))
    place = (0.0, -side * 0.27, height + roof * 0.46 - 0.05)
    parts.append(_screw_cap(1.3, 1.3, (240, 240, 238), place, lean))
    return parts


def _can(spec: ProductSpec, _: np.random.Generator) -> list[Part]:
    radius, height = (2.65, 14.6) if spec.kind == "slim_can" else (3.3, 11.6)
    low = [(0.0, 0.5), (radius * 0.66, 0.25), (radius * 0.76, 0.0), (radius * 0.82, 0.08)]
    low.append((radius, 1.0))
    neck = (radius * 0.82, height - 0.35)
    printed = [(radius, 1.0), (radius, height - 1.7)]
    printed += meshes.arc(printed[-1], (radius, height - 0.9), neck, 6)[1:]
    rim = [neck, (radius * 0.855, height - 0.12), (radius * 0.84, height)]
    rim += [(radius * 0.79, height - 0.02), (radius * 0.77, height - 0.45), (0.0, height - 0.45)]
    label = _wrapped(spec, radius, height - 1.4, 2)
    tab = meshes.rounded_box(1.1, 2.0, 0.16, 0.07)
    shift = np.array([0, -0.5, height - 0.44], dtype=np.float32)
    metal = Material(_STEEL, 0.25, 1.0)
    parts = [
        Part(meshes.revolve(low), metal),
        Part(meshes.revolve(printed), Material(label, 0.28, 0.45, 0.6)),
        Part(meshes.revolve(rim), metal),
    ]
    pull = meshes.join(list(tab.values()))
    parts.append(Part(Mesh(pull.vertices + shift, pull.normals, pull.uvs, pull.faces), metal))
    return parts


def _tin(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    radius, height = rng.uniform(3.6, 4.3), rng.uniform(9.5, 12.5)
    low = [(0.0, 0.25), (radius - 0.25, 0.25), (radius - 0.15, 0.0), (radius + 0.08, 0.05)]
    low += [(radius + 0.08, 0.3), (radius, 0.45)]
    high = [(radius, height - 0.45), (radius + 0.08, height - 0.3), (radius + 0.08, height - 0.05)]
    high += [(radius - 0.1, height), (radius - 0.2, height - 0.35)]
    high += [(radius * 0.7, height - 0.35), (radius * 0.66, height - 0.28), (0.0, height - 0.28)]
    label = _wrapped(spec, radius, height - 0.9, 1)
    metal = Material(_STEEL, 0.28, 1.0)
    return [
        Part(meshes.revolve(low), metal),
        Part(meshes.revolve([low[-1], high[0]]), Material(label, rng.uniform(0.25, 0.5), 0.0, 0.3)),
        Part(meshes.revolve(high), metal),
    ]


_CONTENTS: dict[str, Colour] = {
    "milk drink": (240, 232, 214),
    "iced tea": (150, 70, 22),
    "sauce": (168, 40, 18),
    "coffee": (48, 28, 18),
    "spread": (92, 54, 30),
}


def _content(spec: ProductSpec) -> Colour:
    """The colour of what is inside, seen through the glass."""
    flavour = FLAVOURS[spec.design.flavour][1]
    fixed = _CONTENTS.get(spec.design.category)
    return blend(flavour, (60, 20, 10), 0.25) if fixed is None else blend(fixed, flavour, 0.25)


def _bottle(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    radius, height = rng.uniform(3.0, 3.9), rng.uniform(19, 25)
    neck = rng.uniform(1.2, 1.5)
    shoulder = height * rng.uniform(0.55, 0.66)
    throat = height - rng.uniform(3.2, 5.0)
    waist = rng.uniform(0.0, 0.3)
    foot, belly = 2.2, shoulder - 0.8
    low = [(0.0, 0.5), (radius * 0.6, 0.3), (radius * 0.85, 0.0)]
    low += meshes.arc(low[-1], (radius, 0.0), (radius, 0.9), 5)[1:]
    low += meshes.arc((radius, 0.9), (radius - waist, 1.6), (radius - 0.06, foot), 4)[1:]
    label_part = [low[-1], (radius - 0.06, belly)]
    high = meshes.arc(label_part[-1], (radius + 0.06, belly + 0.4), (radius, shoulder), 4)
    rise = (shoulder + throat) / 2
    middle = ((radius + neck) / 2, rise)
    high += meshes.arc((radius, shoulder), (radius, shoulder + 1.6), middle, 8)[1:]
    high += meshes.arc(middle, (neck, throat - 1.0), (neck, throat), 8)[1:]
    high += [(neck, height - 1.9), (neck + 0.22, height - 1.85), (neck + 0.22, height - 1.6)]
    cap_low = high[-1]
    cap = [cap_low, (neck + 0.2, height - 0.12), (neck + 0.08, height), (0.0, height)]
    label = _wrapped(spec, radius, belly - foot, 1)
    glass = Material(_content(spec), 0.06, 0.0, 1.0)
    return [
        Part(meshes.revolve(low), glass),
        Part(meshes.revolve(label_part), Material(label, rng.uniform(0.3, 0.5), 0.0, 0.15)),
        Part(meshes.revolve(high), glass),
        Part(meshes.revolve(cap), Material(spec.design.accent, 0.4, 0.0, 0.2)),
    ]


def _jar(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    radius, height = rng.uniform(3.4, 4.2), rng.uniform(8.5, 12)
    mouth = radius - rng.uniform(0.3, 0.6)
    low = [(0.0, 0.3), (radius * 0.7, 0.25), (radius * 0.86, 0.0)]
    low += meshes.arc(low[-1], (radius, 0.0), (radius, 0.9), 5)[1:]
    low.append((radius, 1.5))
    top = height - 3.0
    high = [(radius, top), (radius, top + 0.3)]
    high += meshes.arc(high[-1], (radius, top + 1.1), (mouth, top + 1.3), 6)[1:]
    lid = [high[-1], (mouth + 0.22, top + 1.4), (mouth + 0.22, height - 0.2)]
    lid += [(mouth + 0.05, height), (mouth - 0.3, height - 0.1), (0.0, height - 0.12)]
    label = _wrapped(spec, radius, top - 1.5, 1)
    glass = Material(_content(spec), 0.05, 0.0, 1.0)
    metal = rng.random() < 0.5
    cap = Material((200, 170, 90) if metal else spec.design.accent, 0.3, 0.9 if metal else 0.2, 0.3)
    return [
        Part(meshes.revolve(low), glass),
        Part(meshes.revolve([low[-1], high[0]]), Material(label, 0.45, 0.0, 0.1)),
        Part(meshes.revolve(high), glass),
        Part(meshes.revolve(lid), cap),
    ]


def _cup(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    foot, rim, height = rng.uniform(2.4, 2.8), rng.uniform(3.4, 3.9), rng.uniform(7, 10)
    low = [(0.0, 0.15), (foot - 0.2, 0.15), (foot, 0.0), (foot + 0.06, 0.35)]
    wall = [low[-1], (rim - 0.25, height - 0.6)]
    lid = [wall[-1], (rim - 0.2, height - 0.3), (rim + 0.1, height - 0.2)]
    lid += [(rim + 0.12, height - 0.08), (rim - 0.2, height), (0.0, height - 0.1)]
    label = _wrapped(spec, (foot + rim) / 2, height - 1.0, 1)
    return [
        Part(meshes.revolve(low), Material((236, 234, 228), 0.4)),
        Part(meshes.revolve(wall), Material(label, 0.3, 0.0, 0.3)),
        Part(meshes.revolve(lid), Material(blend(spec.design.accent, _STEEL, 0.4), 0.3, 0.7)),
    ]


def _pouch(spec: ProductSpec, rng: np.random.Generator) -> list[Part]:
    width, height = rng.uniform(12, 16), rng.uniform(17, 23)
    mesh = meshes.pouch(width, rng.uniform(5, 7.5), height, rng.uniform(0.08, 0.2), rng)
    label = _array(labels.wrap(spec.design, *_pixels(width * 2, height), fronts=2))
    return [Part(mesh, Material(label, rng.uniform(0.2, 0.4), rng.choice([0.0, 0.3]), 0.4))]


_BUILDERS: dict[str, Callable[[ProductSpec, np.random.Generator], list[Part]]] = {
    "box": _box,
    "brick": _brick,
    "gable": _gable,
    "can": _can,
    "slim_can": _can,
    "tin": _tin,
    "bottle": _bottle,
    "jar": _jar,
    "cup": _cup,
    "pouch": _pouch,
}
