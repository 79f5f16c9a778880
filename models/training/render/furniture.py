"""Views of the models in Sweet Home 3D's furniture libraries, each alone on nothing: RGBA."""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.render.surfaces import room_light
from models.training.render.tracing import mitsuba
from models.training.render.wavefront import Patch, Surface, read_patches, read_surfaces

FURNITURE = Path("usr/share/sweethome3d/furniture")
TEXTURE_SIDE = 512  # pixels at most
BOUNCES = 3
SAMPLES = 8  # light paths a pixel
GLASS = 0.35  # least opacity: clear panes would leave holes in a body
OPAQUE = 128


@dataclass(frozen=True, slots=True)
class Model:
    """A piece of furniture: its patches, and its pictures by name, RGB uint8."""

    patches: list[Patch]
    pictures: dict[str, NDArray[np.uint8]]


def catalogue(debian: Path) -> Iterator[tuple[Path, str]]:
    """Archives with the path of each model inside, in the order of the catalogues.

    Args:
        debian: root under which sweethome3d-furniture is unpacked ("/" where it is installed).
    """
    for path in sorted((debian / FURNITURE).glob("*.sh3f")):
        with zipfile.ZipFile(path) as archive:
            entries = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
        for line in entries.splitlines():
            if line.startswith("model#") and line.strip().endswith(".obj"):
                yield path, line.partition("=")[2].strip().lstrip("/")


def read_model(archive: zipfile.ZipFile, member: str) -> Model:
    """A model with the materials and pictures that it names, where they are there.

    Raises:
        ModelError: it is broken.
    """
    text = archive.read(member).decode("latin-1")
    folder, members = posixpath.dirname(member), set(archive.namelist())
    surfaces: dict[str, Surface] = {}
    for line in text.splitlines():
        if line.startswith("mtllib "):
            named = posixpath.join(folder, line.partition(" ")[2].strip())
            if named in members:
                surfaces |= read_surfaces(archive.read(named).decode("latin-1"))
    patches = read_patches(text, surfaces)
    pictures = {}
    for name in {patch.surface.picture for patch in patches if patch.surface.picture}:
        stored = posixpath.join(folder, name)
        if stored in members:
            picture = Image.open(io.BytesIO(archive.read(stored))).convert("RGB")
            picture.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
            pictures[name] = np.array(picture, np.uint8)
    return Model(patches, pictures)


class Studio:
    """One model, seen from anywhere (needs Mitsuba)."""

    def __init__(self, model: Model) -> None:
        self._mi = mitsuba()
        self._shapes = [self._shape(patch, model) for patch in model.patches]
        points = np.concatenate([patch.corners.reshape(-1, 3) for patch in model.patches])
        self._middle = (points.min(axis=0) + points.max(axis=0)) / 2
        self._radius = float(np.linalg.norm(points - self._middle, axis=1).max())

    def view(self, seed: int, side: int) -> NDArray[np.uint8]:
        """RGBA [H, W, 4] from a random side in a random light, at most `side` pixels, trimmed."""
        mi, rng = self._mi, np.random.default_rng([seed, 71])
        contents = {f"shape{place}": shape for place, shape in enumerate(self._shapes)}
        light = {"type": "envmap", "bitmap": mi.Bitmap(room_light(seed, rng.uniform(0, 0.6)))}
        scene = mi.load_dict({"type": "scene", "sky": light, **contents})
        seen = mi.render(
            scene,
            sensor=self._sensor(rng, side),
            integrator=mi.load_dict({"type": "path", "max_depth": BOUNCES, "hide_emitters": True}),
            seed=seed,
        )
        return trimmed(developed(np.asarray(seen, np.float32), rng.uniform(-0.5, 0.5)))

    def _sensor(self, rng: np.random.Generator, side: int) -> Any:
        mi = self._mi
        around, above = rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.9)
        flat = np.cos(above)
        towards = np.array([np.cos(around) * flat, np.sin(above), np.sin(around) * flat])
        distance = self._radius * rng.uniform(2.2, 6)
        origin = self._middle + distance * towards
        return mi.load_dict(
            {
                "type": "perspective",
                "fov": float(2 * np.rad2deg(np.arcsin(self._radius / distance))),
                "near_clip": 0.05 * self._radius,
                "far_clip": 20 * self._radius,
                "to_world": mi.ScalarTransform4f().look_at(
                    origin=origin.tolist(), target=self._middle.tolist(), up=[0, 1, 0]
                ),
                "film": {
                    "type": "hdrfilm",
                    "width": side,
                    "height": side,
                    "pixel_format": "rgba",
                    "component_format": "float32",
                    "rfilter": {"type": "box"},
                },
                "sampler": {"type": "multijitter", "sample_count": SAMPLES},
            }
        )

    def _shape(self, patch: Patch, model: Model) -> Any:
        mi, count = self._mi, 3 * len(patch.corners)
        look = patch.surface
        colour = {"type": "rgb", "value": np.clip(look.colour, 0.02, 0.95).tolist()}
        if look.picture in model.pictures:
            picture = mi.Bitmap(model.pictures[look.picture])
            colour = {"type": "bitmap", "bitmap": picture, "wrap_mode": "repeat"}
        body = {"type": "principled", "base_color": colour, "roughness": 0.5, "specular": 0.4}
        bsdf: dict[str, Any] = {"type": "twosided", "body": body}
        if look.opacity < 1:
            bsdf = {"type": "mask", "opacity": max(GLASS, look.opacity), "nested": bsdf}
        properties = mi.Properties()
        properties["bsdf"] = mi.load_dict(bsdf)
        shape = mi.Mesh("patch", count, count // 3, props=properties, has_vertex_texcoords=True)
        fields = mi.traverse(shape)
        fields["vertex_positions"] = patch.corners.ravel()
        # Mitsuba's rows run downwards.
        fields["vertex_texcoords"] = (patch.uvs * [1, -1] + [0, 1]).astype(np.float32).ravel()
        fields["faces"] = np.arange(count, dtype=np.uint32)
        fields.update()
        return shape


def developed(light: NDArray[np.float32], stops: float) -> NDArray[np.uint8]:
    """Linear RGBA, colours times opacity, to sRGB that is not; metered on the body alone."""
    opacity = light[..., 3:].clip(0, 1)
    colours = light[..., :3] / np.maximum(opacity, 1e-3)
    body = colours[opacity[..., 0] > 0.5].mean(axis=1)
    if len(body):
        gain = min(0.9 / max(np.percentile(body, 97), 1e-6), 0.4 / max(body.mean(), 1e-6))
        colours = (colours * gain * 2**stops).clip(0, 1)
    curved = np.where(
        colours <= 0.0031308,
        12.92 * colours,
        1.055 * np.maximum(colours, 1e-6) ** (1 / 2.4) - 0.055,
    )
    return np.asarray(np.rint(np.dstack([curved.clip(0, 1), opacity]) * 255), np.uint8)


def trimmed(body: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA without the rows and columns around what is opaque; empty if nothing is."""
    rows, columns = np.nonzero(body[..., 3] >= OPAQUE)
    if not len(rows):
        return body[:0]
    return body[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
