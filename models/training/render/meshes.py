"""Closed triangle meshes of packages, in centimetres, z up, the front facing -y.

Texture coordinates follow the picture: u to the right as seen from outside, v downwards from the
label's top row. Parts of one package share their border rings, so the union of parts is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
# Neighbouring profile segments that bend by more than this stay sharp (cosine of 40 degrees).
_SHARP = 0.766


@dataclass(frozen=True, slots=True)
class Mesh:
    """vertices and unit normals float32 [N,3], uvs float32 [N,2] in 0..1, faces int32 [M,3]."""

    vertices: Floats
    normals: Floats
    uvs: Floats
    faces: Ints


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh with the faces of all."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uvs for mesh in meshes]),
        np.concatenate([mesh.faces + o for mesh, o in zip(meshes, offsets, strict=True)]).astype(
            np.int32
        ),
    )


def _grid_faces(rows: int, columns: int) -> Ints:
    """Two triangles a cell of a rows x columns vertex grid, counter-clockwise for (u right, up)."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def loft(
    rings: NDArray[np.float64], v: NDArray[np.float64], u: NDArray[np.float64] | None = None
) -> Mesh:
    """A smooth surface through rings [K,N,3], each counter-clockwise from the back, bottom to top.

    v [K] is each ring's texture row, u [N+1] each point's column (even steps if absent).
    The seam is at the back (u = 0 and 1); u = 0.5 is the front.
    Rings of one point (a pole) are allowed; their triangles without area are dropped.
    """
    count, around = rings.shape[:2]
    points = np.concatenate([rings, rings[:, :1]], axis=1)
    faces = _grid_faces(count, around + 1)
    flat = points.reshape(-1, 3)
    cross = np.cross(flat[faces[:, 1]] - flat[faces[:, 0]], flat[faces[:, 2]] - flat[faces[:, 0]])
    keep = np.linalg.norm(cross, axis=1) > 1e-9
    faces, cross = faces[keep], cross[keep]
    normals = np.zeros_like(flat)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], cross)
    normals = normals.reshape(points.shape)
    # The two sides of the seam are one place on the surface: they share a normal.
    seam = normals[:, 0] + normals[:, -1]
    normals[:, 0] = normals[:, -1] = seam
    pole = np.ptp(rings, axis=1).max(axis=1) < 1e-9
    normals[pole] = normals[pole].sum(axis=1, keepdims=True)
    across = np.linspace(0.0, 1.0, around + 1) if u is None else u
    columns = np.broadcast_to(across, points.shape[:2])
    uvs = np.stack([columns, np.broadcast_to(v[:, None], columns.shape)], axis=-1)
    return Mesh(
        flat.astype(np.float32),
        _unit(normals).reshape(-1, 3).astype(np.float32),
        uvs.reshape(-1, 2).astype(np.float32),
        faces.astype(np.int32),
    )


def circle(around: int) -> NDArray[np.float64]:
    """Unit directions [N,2] counter-clockwise from the back (+y), through the front (-y)."""
    angle = 2 * np.pi * np.arange(around) / around + np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def revolve(profile: Sequence[tuple[float, float]], around: int = 72) -> Mesh:
    """The surface of revolution of (radius, height) points from the bottom to the top.

    Sharp bends of the profile stay sharp. v runs from 1 at the first point to 0 at the last, in
    proportion to the length along the profile.
    """
    points = np.array(profile, dtype=np.float64)
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    v = 1 - np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
    directions = _unit(steps)
    bends = np.flatnonzero((directions[1:] * directions[:-1]).sum(axis=1) < _SHARP) + 1
    ends = [0, *bends.tolist(), len(points) - 1]
    ring = circle(around)
    rings = np.empty((len(points), around, 3))
    rings[..., :2] = points[:, None, :1] * ring
    rings[..., 2] = points[:, 1:]
    return join([loft(rings[start : end + 1], v[start : end + 1]) for start, end in pairwise(ends)])


def arc(
    start: tuple[float, float], corner: tuple[float, float], end: tuple[float, float], points: int
) -> list[tuple[float, float]]:
    """Profile points on the quadratic curve from start to end that leans towards corner."""
    t = np.linspace(0, 1, points)[:, None]
    a, b, c = np.array(start), np.array(corner), np.array(end)
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    return [(float(r), float(z)) for r, z in curve]


# The faces of a carton: name, outward axis, the direction of u, the direction of v upwards.
_BOX_FACES = {
    "front": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "right": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "back": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "left": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "top": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "bottom": ((0, 0, -1), (1, 0, 0), (0, -1, 0)),
}


def rounded_box(
    width: float, depth: float, height: float, radius: float, bend: int = 3
) -> dict[str, Mesh]:
    """The six faces of a box with rounded edges standing on z = 0; each face has uvs 0..1."""
    half = np.array([width, depth, height]) / 2
    inner = half - radius
    faces = {}
    for name, (axis, right, up) in _BOX_FACES.items():
        normal, across, along = (np.array(d, dtype=np.float64) for d in (axis, right, up))
        columns = _face_steps(float(np.abs(across) @ half), radius, bend)
        rows = _face_steps(float(np.abs(along) @ half), radius, bend)
        cube = normal * half + across * columns[None, :, None] + along * rows[:, None, None]
        core = np.clip(cube, -inner, inner)
        normals = _unit(cube - core)
        points = core + radius * normals + [0, 0, half[2]]
        u, v = np.meshgrid(
            (columns - columns[0]) / np.ptp(columns), 1 - (rows - rows[0]) / np.ptp(rows)
        )
        faces[name] = Mesh(
            points.reshape(-1, 3).astype(np.float32),
            normals.reshape(-1, 3).astype(np.float32),
            np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32),
            _grid_faces(len(rows), len(columns)),
        )
    return faces


def _face_steps(half: float, radius: float, bend: int) -> NDArray[np.float64]:
    """Grid lines across a face: fine over the two rounded edges, one step over the flat."""
    # Equal angles of the rounding: an even step on the cube would crowd them at its rim.
    fine = radius * np.tan(np.linspace(0, np.pi / 4, bend + 1))
    edge = half - radius + fine
    return np.concatenate([-edge[::-1], edge])


def flat(corners: Sequence[tuple[float, float, float]], uvs: Sequence[tuple[float, float]]) -> Mesh:
    """One flat polygon (a fan), corners counter-clockwise seen from outside."""
    points = np.array(corners, dtype=np.float64)
    normal = _unit(np.cross(points[1] - points[0], points[2] - points[0]))
    fan = [(0, i, i + 1) for i in range(1, len(points) - 1)]
    return Mesh(
        points.astype(np.float32),
        np.tile(normal, (len(points), 1)).astype(np.float32),
        np.array(uvs, dtype=np.float32),
        np.array(fan, dtype=np.int32),
    )


def pouch(
    width: float, depth: float, height: float, wrinkle: float, rng: np.random.Generator
) -> Mesh:
    """A stand-up bag: an oval foot, a flat seal at the top, wrinkles of about wrinkle cm."""
    around, levels = 96, 40
    t = np.linspace(0, 1, levels)
    # Fullness: widest a third of the way up, flat where the seal begins at 92 % of the height.
    belly = np.clip(1 - t / 0.92, 0, 1) ** 0.55 * (0.8 + 0.55 * np.sin(np.pi * t) * (1 - t))
    thickness = np.maximum(belly * depth / 2, 0.06)
    half_width = width / 2 * (0.94 + 0.06 * np.clip((t - 0.3) / 0.6, 0, 1))
    ring = circle(around)
    shape = np.sign(ring) * np.abs(ring) ** np.array([0.8, 0.9])
    rings = np.empty((levels, around, 3))
    rings[..., 0] = half_width[:, None] * shape[:, 0]
    rings[..., 1] = thickness[:, None] * shape[:, 1]
    rings[..., 2] = height * t[:, None]
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    waves = np.zeros((levels, around))
    for _ in range(7):
        turns, climbs = int(rng.integers(2, 9)), float(rng.uniform(2, 9))
        waves += np.sin(turns * angle + climbs * 2 * t[:, None] + rng.uniform(0, 6)) / turns
    dent = wrinkle * waves * (belly * np.clip(t * 6, 0, 1))[:, None]
    rings[..., 1] += dent * np.sign(shape[:, 1])
    foot = loft(np.stack([np.zeros((around, 3)), rings[0]]), np.array([1.0, 1.0]))
    lid = loft(
        np.stack([rings[-1], np.tile(rings[-1].mean(axis=0), (around, 1))]), np.array([0.0, 0.0])
    )
    # A flat bag is printed by its length around, not by the angle.
    outline = np.concatenate([rings[levels // 3], rings[levels // 3, :1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    return join([foot, loft(rings, 1 - t, along / along[-1]), lid])


def gable_top(width: float, depth: float, height: float, roof: float) -> dict[str, Mesh]:
    """A milk carton: four walls, a roof folded to a ridge with a fin, the sides tucked in."""
    x, y, top, peak = width / 2, depth / 2, height, height + roof
    full = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    walls = {
        "front": [(-x, -y, 0.0), (x, -y, 0.0), (x, -y, top), (-x, -y, top)],
        "right": [(x, -y, 0.0), (x, y, 0.0), (x, y, top), (x, -y, top)],
        "back": [(x, y, 0.0), (-x, y, 0.0), (-x, y, top), (x, y, top)],
        "left": [(-x, y, 0.0), (-x, -y, 0.0), (-x, -y, top), (-x, y, top)],
    }
    faces = {name: flat(corners, full) for name, corners in walls.items()}
    rise, fin, thin = peak, peak + roof * 0.42, 0.12
    slopes = [
        flat([(-x, -y, top), (x, -y, top), (x, -thin, rise), (-x, -thin, rise)], full),
        flat([(x, y, top), (-x, y, top), (-x, thin, rise), (x, thin, rise)], full),
    ]
    slopes += [
        flat([(-x, -thin, rise), (x, -thin, rise), (x, -thin, fin), (-x, -thin, fin)], full),
        flat([(x, thin, rise), (-x, thin, rise), (-x, thin, fin), (x, thin, fin)], full),
        flat([(-x, -thin, fin), (x, -thin, fin), (x, thin, fin), (-x, thin, fin)], full),
    ]
    blank = (0.5, 0.5)
    for side in (1, -1):
        tuck = (side * (x - depth * 0.32), 0.0, top + roof * 0.55)
        near, far = (side * x, -side * y, top), (side * x, side * y, top)
        near_ridge, far_ridge = (side * x, -side * thin, rise), (side * x, side * thin, rise)
        near_fin, far_fin = (side * x, -side * thin, fin), (side * x, side * thin, fin)
        slopes += [
            flat([near, far, tuck], [blank] * 3),
            flat([far, far_ridge, tuck], [blank] * 3),
            flat([far_ridge, near_ridge, tuck], [blank] * 3),
            flat([near_ridge, near, tuck], [blank] * 3),
            flat([near_ridge, far_ridge, far_fin, near_fin], [blank] * 4),
        ]
    faces["top"] = join(slopes)
    faces["bottom"] = flat([(-x, y, 0.0), (x, y, 0.0), (x, -y, 0.0), (-x, -y, 0.0)], full)
    return faces
