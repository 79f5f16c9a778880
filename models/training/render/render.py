"""Pictures and exact boxes of a Scene (needs the `render` extra)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.render.denoise import denoise
from models.training.render.develop import develop
from models.training.render.scene import Placement, Scene
from models.training.render.tracing import Passes

_FINER = 4


@dataclass(frozen=True, slots=True)
class RenderedObject:
    """One product in a picture.

    box is x1, y1, x2, y2 in pixels around what is visible of it; visible_fraction compares its
    visible area with the whole of its outline, parts beyond the picture's edge included.
    """

    product_id: str
    box: tuple[float, float, float, float]
    visible_fraction: float


@dataclass(frozen=True, slots=True)
class Rendered:
    """image uint8 [H,W,3] RGB; ids int32 [H,W]: the placement's index of each pixel, -1 none.

    objects has an entry for each product with a visible pixel, in the order of the placements.
    """

    image: NDArray[np.uint8]
    ids: NDArray[np.int32]
    objects: list[RenderedObject]


def render(scene: Scene, width: int, height: int, *, samples: int = 2) -> Rendered:
    """Takes the picture: width x height pixels, samples light paths a pixel before denoising.

    Equal arguments give equal pixels on one machine. Raises ModuleNotFoundError without Mitsuba.
    """
    passes = Passes(scene, width, height, samples)
    light = denoise(passes.light(), passes.albedo(), passes.normals())
    ids = passes.ids()
    return Rendered(develop(light, scene.develop, scene.seed), ids, _objects(scene, ids))


def outline_area(scene: Scene, placement: Placement, width: int, height: int) -> int:
    """Pixels of the product's whole outline, were nothing in front and the picture larger."""
    camera = scene.camera
    forward = np.array(camera.target) - np.array(camera.origin)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    focal = max(width, height) / 2 / np.tan(np.deg2rad(camera.field / 2))
    outlines = []
    for part in placement.parts:
        rays = part.mesh.vertices - np.array(camera.origin, dtype=np.float32)
        flat = np.stack([rays @ right, rays @ down], 1) / (rays @ forward)[:, None] * focal
        outlines.append(flat[part.mesh.faces])
    triangles = np.concatenate(outlines)
    corner = triangles.min(axis=(0, 1))
    # OpenCV fills every pixel that a triangle touches: four times finer, the excess is small.
    triangles = (triangles - corner) * _FINER
    size = np.ceil(triangles.max(axis=(0, 1))).astype(int) + 2
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    fixed = np.rint(triangles * 16).astype(np.int32)
    for triangle in fixed:
        cv2.fillConvexPoly(mask, triangle, 1, lineType=cv2.LINE_8, shift=4)
    return round(int(mask.sum()) / _FINER**2)


def _objects(scene: Scene, ids: NDArray[np.int32]) -> list[RenderedObject]:
    found = []
    for index, placement in enumerate(scene.placements):
        rows, columns = np.nonzero(ids == index)
        if not len(rows):
            continue
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        whole = outline_area(scene, placement, ids.shape[1], ids.shape[0])
        found.append(
            RenderedObject(
                placement.product.id,
                (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                min(len(rows) / max(whole, 1), 1.0),
            )
        )
    return found
