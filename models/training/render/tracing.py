"""The passes over a Scene, by Mitsuba 3 (Jakob et al. 2022): light, colour, normals, identity.

The variant is `scalar_rgb`, which runs everywhere: `llvm_ad_rgb` is faster, but an LLVM older than
17 aborts the process.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.render.meshes import Mesh, flat, join
from models.training.render.packages import Material, Part
from models.training.render.scene import Scene
from models.training.render.surfaces import room_light, surface

Picture = NDArray[np.float32]
_BOUNCES = 4
# The denoiser smooths light, never print: colour and normals take at least so many samples.
_PRINT_SAMPLES = 4
_HALF_ROOM = 260.0
_NORMAL = "vertex_normal"


@lru_cache(maxsize=1)
def mitsuba() -> Any:
    """Mitsuba with its variant set; imported late, since most of the project runs without it."""
    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    return mi


def linear(colour: tuple[int, int, int]) -> list[float]:
    """An sRGB colour 0..255 as linear light 0..1 (IEC 61966-2-1)."""
    shares = [c / 255 for c in colour]
    return [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]


class Passes:
    """A scene made ready: each pass is [H,W,...] of width x height pixels."""

    def __init__(self, scene: Scene, width: int, height: int, samples: int) -> None:
        self._mi = mitsuba()
        self._scene, self._size, self._samples = scene, (width, height), samples
        self._parts = _room(scene) + [p for place in scene.placements for p in place.parts]
        self._lit = self._load([(p.mesh, "bsdf", self._bsdf(p.material)) for p in self._parts])

    def light(self) -> Picture:
        """Path-traced radiance, linear RGB float32."""
        path = {"type": "path", "max_depth": _BOUNCES}
        return self._take(self._lit, path, self._sensor(self._samples))

    def albedo(self) -> Picture:
        """Surface colour, linear RGB float32."""
        return self._glow([self._texture(part.material.colour) for part in self._parts])

    def normals(self) -> Picture:
        """World-space shading normals float32 [H,W,3], halved and raised to 0..1.

        As glowing colours too: Mitsuba's own integrator for them costs three times as much.
        """
        return self._glow([{"type": "mesh_attribute", "name": _NORMAL}] * len(self._parts))

    def ids(self) -> NDArray[np.int32]:
        """Which placement each pixel shows, seen through a pinhole: int32 [H,W], -1 for none.

        The products alone, each glowing with its number: Mitsuba's own shape numbers mean
        different things in different variants. Table and wall hide nothing of a product.
        """
        numbered = []
        for index, placement in enumerate(self._scene.placements):
            value = {"type": "rgb", "value": float(index + 1)}
            whole = join([part.mesh for part in placement.parts])
            numbered.append((whole, "emitter", {"type": "area", "radiance": value}))
        direct = {"type": "path", "max_depth": 1}
        seen = self._take(self._load(numbered), direct, self._sensor(1, lens=False))
        return np.rint(seen[..., 0]).astype(np.int32) - 1

    def _glow(self, colours: Sequence[dict[str, Any]]) -> Picture:
        """The parts as lamps of these colours, seen directly."""
        lamps = [
            (part.mesh, "emitter", {"type": "area", "radiance": colour})
            for part, colour in zip(self._parts, colours, strict=True)
        ]
        sensor = self._sensor(max(self._samples, _PRINT_SAMPLES))
        return self._take(self._load(lamps), {"type": "path", "max_depth": 1}, sensor)

    def _take(self, built: Any, integrator: dict[str, Any], sensor: Any) -> Picture:
        mi = self._mi
        loaded = mi.load_dict(integrator)
        seen = mi.render(built, sensor=sensor, integrator=loaded, seed=self._scene.seed)
        return np.array(seen, dtype=np.float32)[..., :3]

    def _load(self, shapes: Sequence[tuple[Mesh, str, dict[str, Any]]]) -> Any:
        mi = self._mi
        contents: dict[str, Any] = {"type": "scene"}
        for mesh, role, plugin in shapes:
            properties = mi.Properties()
            properties[role] = mi.load_dict(plugin)
            contents[f"part{len(contents)}"] = self._mesh(mesh, properties)
        if shapes[0][1] == "bsdf":
            contents["sky"] = {
                "type": "envmap",
                "bitmap": mi.Bitmap(room_light(self._scene.seed, self._scene.contrast)),
                "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),
            }
        return mi.load_dict(contents)

    def _mesh(self, mesh: Mesh, properties: Any) -> Any:
        mi = self._mi
        made = mi.Mesh(
            "part",
            len(mesh.vertices),
            len(mesh.faces),
            props=properties,
            has_vertex_normals=True,
            has_vertex_texcoords=True,
        )
        fields = mi.traverse(made)
        fields["vertex_positions"] = mesh.vertices.ravel()
        fields["vertex_normals"] = mesh.normals.ravel()
        fields["vertex_texcoords"] = mesh.uvs.ravel()
        fields["faces"] = mesh.faces.ravel().astype(np.uint32)
        fields.update()
        # A hair inside 0..1: rounding below zero would be reported as an invalid colour.
        made.add_attribute(_NORMAL, 3, (mesh.normals * 0.499 + 0.5).ravel())
        return made

    def _texture(self, colour: tuple[int, int, int] | NDArray[np.uint8]) -> dict[str, Any]:
        if isinstance(colour, tuple):
            return {"type": "rgb", "value": linear(colour)}
        picture = self._mi.Bitmap(np.ascontiguousarray(colour))
        return {"type": "bitmap", "bitmap": picture, "wrap_mode": "mirror"}

    def _bsdf(self, material: Material) -> dict[str, Any]:
        body = {
            "type": "principled",
            "base_color": self._texture(material.colour),
            "roughness": material.roughness,
            "metallic": material.metallic,
            "clearcoat": material.coat,
            "clearcoat_gloss": 0.97,
            "specular": 0.5,
        }
        return {"type": "twosided", "body": body}

    def _sensor(self, samples: int, *, lens: bool = True) -> Any:
        mi, camera = self._mi, self._scene.camera
        distance = float(np.linalg.norm(np.subtract(camera.target, camera.origin)))
        # The nearest side of the products is what a camera focuses on.
        optics = {"aperture_radius": camera.aperture, "focus_distance": distance * 0.97}
        look = mi.ScalarTransform4f().look_at(
            origin=camera.origin, target=camera.target, up=[0, 0, 1]
        )
        return mi.load_dict(
            {
                "type": "thinlens" if lens else "perspective",
                **(optics if lens else {}),
                "fov": camera.field,
                "fov_axis": "larger",
                "near_clip": 0.5,
                "far_clip": 3000.0,
                "to_world": look.rotate([0, 0, 1], camera.roll),
                "film": {
                    "type": "hdrfilm",
                    "width": self._size[0],
                    "height": self._size[1],
                    "rfilter": {"type": "tent" if lens else "box"},
                    "component_format": "float32",
                    "pixel_format": "rgb",
                },
                "sampler": {
                    "type": "multijitter" if lens else "independent",
                    "sample_count": samples,
                },
            }
        )


def _room(scene: Scene) -> list[Part]:
    """The table and the wall behind it."""
    rng = np.random.default_rng([scene.seed, 51])
    yaw = float(np.deg2rad(rng.uniform(-25, 25)))
    table = _plane(yaw, 0.0, 2 * _HALF_ROOM / rng.uniform(35, 60), upright=False)
    shine = float(rng.uniform(0.25, 0.7))
    repeats = 2 * _HALF_ROOM / rng.uniform(90, 160)
    wall = _plane(0.4 * yaw, scene.wall_at, repeats, upright=True)
    return [
        Part(table, Material(surface(scene.table, scene.seed), shine)),
        Part(wall, Material(surface(scene.wall, scene.seed + 1), 0.8)),
    ]


def _plane(yaw: float, away: float, repeats: float, *, upright: bool) -> Mesh:
    """A square of the room's size, turned; the texture repeats so many times along a side."""
    half = _HALF_ROOM
    square = [(-half, -half), (half, -half), (half, half), (-half, half)]
    corners = []
    for a, b in square:
        x, y, z = (a, away, b) if upright else (a, b, 0.0)
        turned_x = x * np.cos(yaw) - y * np.sin(yaw)
        turned_y = x * np.sin(yaw) + y * np.cos(yaw)
        corners.append((float(turned_x), float(turned_y), z))
    uvs = [(0.0, repeats), (repeats, repeats), (repeats, 0.0), (0.0, 0.0)]
    return flat(corners, uvs)
