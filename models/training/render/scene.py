"""What is in a picture: placed products, the camera, the light, the surfaces, the camera's faults.

A Scene is plain data and says everything; `render` turns it into pixels and boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.training.render.meshes import Mesh
from models.training.render.packages import Part, build
from models.training.render.products import ProductSpec
from models.training.render.surfaces import TABLES, WALLS

Style = Literal["reference", "query"]


@dataclass(frozen=True)
class Placement:
    """A product on the table: x, y in centimetres, yaw in degrees, lying on its back or not."""

    product: ProductSpec
    x: float
    y: float
    yaw: float
    lying: bool = False

    @cached_property
    def parts(self) -> list[Part]:
        """The product's parts in the scene's coordinates, the lowest point on the table."""
        angle = np.deg2rad(self.yaw)
        turn = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0],
                [np.sin(angle), np.cos(angle), 0],
                [0, 0, 1],
            ]
        )
        if self.lying:
            # The front, -y, comes to look up; the top points away from the camera.
            turn = turn @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        turn = turn.astype(np.float32)
        parts = build(self.product)
        lowest = min(float((part.mesh.vertices @ turn.T)[:, 2].min()) for part in parts)
        shift = np.array([self.x, self.y, -lowest], dtype=np.float32)
        return [
            Part(
                Mesh(
                    part.mesh.vertices @ turn.T + shift,
                    part.mesh.normals @ turn.T,
                    part.mesh.uvs,
                    part.mesh.faces,
                ),
                part.material,
            )
            for part in parts
        ]


@dataclass(frozen=True, slots=True)
class Camera:
    """A thin-lens camera; centimetres and degrees. field is the angle across the longer side."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    roll: float
    field: float
    aperture: float


@dataclass(frozen=True, slots=True)
class Develop:
    """What the camera makes of the light: stops, white balance gains of red and blue, faults.

    blur is the sigma in pixels, noise the standard deviation in grey levels of 255, vignette the
    share of light lost in the corners, quality JPEG's.
    """

    stops: float
    red: float
    blue: float
    blur: float
    noise: float
    vignette: float
    quality: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture to be taken. wall_at is the wall's distance behind the table's middle, cm."""

    seed: int
    placements: tuple[Placement, ...]
    camera: Camera
    develop: Develop
    table: str
    wall: str
    wall_at: float
    contrast: float


def compose(
    products: Sequence[ProductSpec],
    seed: int,
    *,
    style: Style = "query",
    yaws: Sequence[float] | None = None,
    elevation: float | None = None,
    spacing: float = 1.15,
    lying: float = 0.0,
    table: str | None = None,
) -> Scene:
    """A scene of the products, all else drawn from the seed.

    Args:
        products: what to place, one or more.
        seed: equal seeds give equal scenes.
        style: "reference" takes plain surfaces and one centred product; "query" anything.
        yaws: degrees each product is turned from the front; drawn within 50 degrees if absent.
        elevation: the camera's height angle in degrees; drawn if absent.
        spacing: least distance of neighbours in units of their half widths: below 1 they stand
            closer than their circles allow and hide one another more.
        lying: the probability that a product lies on its back.
        table: the table's surface; drawn if absent.
    """
    rng = np.random.default_rng([seed, 41])
    turns = list(yaws) if yaws is not None else rng.uniform(-50, 50, len(products)).tolist()
    placements = _place(products, turns, spacing, lying, rng)
    height = elevation if elevation is not None else float(rng.uniform(12, 42))
    camera = _camera(placements, height, style, rng)
    plain = style == "reference"
    develop = Develop(
        stops=float(rng.normal(0, 0.12 if plain else 0.25)),
        red=float(rng.uniform(0.95, 1.06)),
        blue=float(rng.uniform(0.94, 1.06)),
        blur=float(rng.uniform(0.2, 0.6)),
        noise=float(rng.uniform(0.8, 2.0 if plain else 4.0)),
        vignette=float(rng.uniform(0.0, 0.25)),
        quality=int(rng.integers(80, 94)),
    )
    tables = ("paint", "laminate", "concrete") if plain else TABLES
    return Scene(
        seed=seed,
        placements=placements,
        camera=camera,
        develop=develop,
        table=table or str(rng.choice(tables)),
        wall="paint" if plain else str(rng.choice(WALLS)),
        wall_at=float(rng.uniform(35, 110)),
        contrast=float(rng.uniform(0.1, 0.6) if plain else rng.uniform(0.1, 1.0)),
    )


def _vertices(placements: Sequence[Placement]) -> NDArray[np.float32]:
    return np.concatenate([part.mesh.vertices for place in placements for part in place.parts])


def _reach(placement: Placement) -> float:
    """Half the larger side of the product's footprint, centimetres."""
    return float(np.ptp(_vertices([placement])[:, :2], axis=0).max() / 2)


def _place(
    products: Sequence[ProductSpec],
    yaws: Sequence[float],
    spacing: float,
    lying: float,
    rng: np.random.Generator,
) -> tuple[Placement, ...]:
    """Puts products one by one near the middle, wherever they stand clear of the others."""
    placed: list[Placement] = []
    for product, yaw in zip(products, yaws, strict=True):
        flat = bool(rng.random() < lying)
        reach = _reach(Placement(product, 0, 0, yaw, flat))
        spread = 1.0
        while True:
            x, y = rng.normal(0, spread * 1.3), rng.normal(0, spread * 0.6)
            clear = all(
                np.hypot(x - other.x, y - other.y) > spacing * (reach + _reach(other))
                for other in placed
            )
            if clear or not placed:
                break
            spread += 0.25
        if not placed:
            x = y = 0.0
        placed.append(Placement(product, float(x), float(y), float(yaw), flat))
    return tuple(placed)


def _camera(
    placements: Sequence[Placement], elevation: float, style: Style, rng: np.random.Generator
) -> Camera:
    points = _vertices(placements)
    low, high = points.min(axis=0), points.max(axis=0)
    field = float(rng.uniform(26, 44))
    tilt, around = np.deg2rad(elevation), np.deg2rad(rng.uniform(-12, 12))
    back = np.array([np.sin(around) * np.cos(tilt), -np.cos(around) * np.cos(tilt), np.sin(tilt)])
    right = np.array([np.cos(around), np.sin(around), 0.0])
    wander = 0.02 if style == "reference" else 0.06
    target = (low + high) / 2 + rng.uniform(-wander, wander, 3) * np.linalg.norm(high - low)
    # As near as keeps every point in the wanted share of the frame; queries may be 4:3.
    share = rng.uniform(0.72, 0.86) if style == "reference" else rng.uniform(0.68, 0.88)
    wide = share * np.tan(np.deg2rad(field / 2))
    tall = wide * (1.0 if style == "reference" else 0.75)
    away = points - target
    span = np.maximum(np.abs(away @ right) / wide, np.abs(away @ np.cross(back, right)) / tall)
    distance = float((span + away @ back).max())
    origin = target + back * distance
    return Camera(
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        target=(float(target[0]), float(target[1]), float(target[2])),
        roll=float(rng.normal(0, 1.0 if style == "reference" else 2.5)),
        field=field,
        aperture=float(distance * rng.uniform(0.001, 0.005)),
    )
