"""Rendered boxes are exact, occlusion shrinks them, seeds repeat pictures."""

from dataclasses import replace

import numpy as np
import pytest

from models.training.render.products import ProductSpec
from models.training.render.render import Rendered, render
from models.training.render.scene import Placement, Scene, compose
from models.training.render.tracing import Passes

WIDTH, HEIGHT = 96, 80


def can(seed: int = 1) -> ProductSpec:
    return ProductSpec.from_seed(seed, "can")


@pytest.fixture(scope="module")
def alone() -> tuple[Scene, Rendered]:
    scene = compose([can()], 3, yaws=[10], elevation=20)
    return scene, render(scene, WIDTH, HEIGHT, samples=1)


def test_image_and_objects_have_their_shapes(alone: tuple[Scene, Rendered]) -> None:
    _, rendered = alone
    assert rendered.image.shape == (HEIGHT, WIDTH, 3)
    assert rendered.image.dtype == np.uint8
    assert rendered.ids.shape == (HEIGHT, WIDTH)
    assert [seen.product_id for seen in rendered.objects] == [can().id]
    assert rendered.objects[0].visible_fraction > 0.93
    # Exposed like a photograph: neither black nor burnt out.
    assert 60 < rendered.image.mean() < 200
    assert rendered.image.std() > 15


def test_box_is_where_the_colours_change(alone: tuple[Scene, Rendered]) -> None:
    scene, rendered = alone
    sharp = replace(scene, camera=replace(scene.camera, aperture=1e-6))
    empty = replace(sharp, placements=())
    with_product = Passes(sharp, WIDTH, HEIGHT, 4).albedo()
    without = Passes(empty, WIDTH, HEIGHT, 4).albedo()
    rows, columns = np.nonzero(np.abs(with_product - without).max(axis=2) > 0.02)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert rendered.objects[0].box == pytest.approx(found, abs=2)


def test_what_stands_behind_is_seen_less() -> None:
    front, back = can(1), ProductSpec.from_seed(2, "box")
    base = compose([back], 5, yaws=[0], elevation=12)
    behind = base.placements[0]
    hidden = replace(base, placements=(behind, Placement(front, 2.0, -9.0, 0.0)))
    free = render(base, WIDTH, HEIGHT, samples=1).objects[0]
    covered, cover = render(hidden, WIDTH, HEIGHT, samples=1).objects
    assert (covered.product_id, cover.product_id) == (back.id, front.id)
    assert covered.visible_fraction < free.visible_fraction - 0.1
    assert cover.visible_fraction > 0.93
    assert covered.box[0] >= free.box[0]
    assert covered.box[3] <= free.box[3]


def test_wholly_hidden_products_are_not_listed() -> None:
    small, large = ProductSpec.from_seed(4, "cup"), ProductSpec.from_seed(2, "box")
    scene = compose([large], 6, yaws=[0], elevation=3)
    behind = Placement(small, 0.0, 12.0, 0.0)
    scene = replace(scene, placements=(*scene.placements, behind))
    scene = replace(scene, camera=replace(scene.camera, origin=(0.0, -70.0, 9.0)))
    seen = render(scene, WIDTH, HEIGHT, samples=1).objects
    assert [entry.product_id for entry in seen] == [large.id]


def test_same_seed_same_scene_and_same_pixels(alone: tuple[Scene, Rendered]) -> None:
    scene, rendered = alone
    again = compose([can()], 3, yaws=[10], elevation=20)
    assert again == scene
    repeated = render(again, WIDTH, HEIGHT, samples=1)
    assert np.array_equal(repeated.ids, rendered.ids)
    assert np.array_equal(repeated.image, rendered.image)
    assert compose([can()], 4, yaws=[10], elevation=20) != scene


def test_neighbours_keep_their_distance() -> None:
    specs = [ProductSpec.from_seed(seed) for seed in range(6)]
    scene = compose(specs, 9, spacing=1.5, lying=0.5)
    footprints = []
    for placement in scene.placements:
        points = np.concatenate([part.mesh.vertices for part in placement.parts])
        assert points[:, 2].min() == pytest.approx(0, abs=1e-4)
        reach = np.ptp(points[:, :2], axis=0).max() / 2
        footprints.append((placement.x, placement.y, reach))
    for index, (x, y, reach) in enumerate(footprints):
        for other_x, other_y, other_reach in footprints[:index]:
            assert np.hypot(x - other_x, y - other_y) > reach + other_reach
