"""Reads textured models in Wavefront's OBJ and MTL formats: what furniture catalogues hold."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

GREY = (0.6, 0.6, 0.6)  # of faces without a material

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Surface:
    """How a material looks: linear colour 0..1, the name of its picture, opacity 0..1."""

    colour: tuple[float, float, float] = GREY
    picture: str | None = None
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Patch:
    """The triangles of one material: corners [T, 3, 3] (x, y, z) and uvs [T, 3, 2], v upwards."""

    corners: Floats
    uvs: Floats
    surface: Surface


def read_surfaces(text: str) -> dict[str, Surface]:
    """The materials of an MTL file by name; what is not colour, picture or opacity is skipped."""
    found: dict[str, Surface] = {}
    name = ""
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if key == "newmtl":
            name = rest
            found[name] = Surface()
        elif name and key in ("Kd", "d", "map_Kd"):
            before = found[name]
            colour, picture, opacity = before.colour, before.picture, before.opacity
            if key == "Kd":
                red, green, blue = (float(value) for value in rest.split()[:3])
                colour = (red, green, blue)
            elif key == "d":
                opacity = float(rest.split()[-1])
            else:
                picture = rest
            found[name] = Surface(colour, picture, opacity)
    return found


def read_patches(text: str, surfaces: Mapping[str, Surface]) -> list[Patch]:
    """The faces of an OBJ file, cut into triangles, by material.

    Raises:
        ModelError: it has no faces, or a face names a vertex that is not there.
    """
    points: list[list[float]] = []
    pictured: list[list[float]] = []
    triangles: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)
    material = ""
    for line in text.splitlines():
        fields = line.split()
        if not fields:
            continue
        key = fields[0]
        if key == "v":
            points.append([float(value) for value in fields[1:4]])
        elif key == "vt":
            pictured.append([float(value) for value in fields[1:3]])
        elif key == "usemtl":
            material = line.strip().partition(" ")[2].strip()
        elif key == "f":
            fan = [_corner(field, len(points), len(pictured)) for field in fields[1:]]
            mine = triangles[material]
            for second, third in pairwise(fan[1:]):
                mine.append(fan[0] + second + third)
    if not triangles:
        raise ModelError("the model has no faces")
    vertices = np.asarray(points, np.float32)
    # The last one serves corners without texture coordinates, whose index is -1.
    places = np.asarray([*pictured, [0.0, 0.0]], np.float32)
    patches = []
    for name, rows in triangles.items():
        index = np.asarray(rows).reshape(-1, 3, 2)
        if index[..., 0].min() < 0 or index[..., 0].max() >= len(vertices):
            raise ModelError("a face names a vertex that is not there")
        surface = surfaces.get(name, Surface())
        patches.append(Patch(vertices[index[..., 0]], places[index[..., 1]], surface))
    return patches


def _corner(field: str, points: int, pictured: int) -> tuple[int, int]:
    """Indices of "vertex/texture/normal", which count from 1, or backwards from the last."""
    vertex, _, rest = field.partition("/")
    texture = rest.partition("/")[0]
    first = int(vertex)
    second = int(texture) if texture else 0
    return (
        first - 1 if first > 0 else points + first,
        second - 1 if second >= 0 else pictured + second,
    )
