"""Every package is a closed surface, looks outwards, and has its print the right way round."""

from collections import Counter

import numpy as np
import pytest

from models.training.render import meshes
from models.training.render.meshes import Mesh, join
from models.training.render.packages import Part, build
from models.training.render.products import KINDS, ProductSpec


def parts_of(kind: str) -> list[Part]:
    return build(ProductSpec.from_seed(5, kind))


def open_edges(mesh: Mesh) -> int:
    """Directed edges without a partner in the other direction, after welding equal places."""
    _, place = np.unique(np.round(mesh.vertices, 3), axis=0, return_inverse=True)
    corners = place.reshape(-1)[mesh.faces]
    edges = Counter[tuple[int, int]]()
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edges.update(map(tuple, corners[:, [a, b]].tolist()))
    return sum(
        abs(count - edges[(end, start)]) for (start, end), count in edges.items() if start != end
    )


def signed_volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("kind", KINDS)
def test_package_is_closed_and_faces_outwards(kind: str) -> None:
    whole = join([part.mesh for part in parts_of(kind)])
    assert open_edges(whole) == 0
    assert signed_volume(whole) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_normals_are_unit_and_agree_with_the_faces(kind: str) -> None:
    for part in parts_of(kind):
        mesh = part.mesh
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
        a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
        across = np.cross(b - a, c - a)
        area = np.linalg.norm(across, axis=1)
        solid = area > 1e-5
        mean = mesh.normals[mesh.faces].mean(axis=1)
        agreement = np.einsum("ij,ij->i", mean[solid], across[solid]) / area[solid]
        assert agreement.min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_uvs_are_inside_the_picture_and_packages_stand_on_the_table(kind: str) -> None:
    parts = parts_of(kind)
    for part in parts:
        assert part.mesh.uvs.min() >= 0
        assert part.mesh.uvs.max() <= 1
    assert min(part.mesh.vertices[:, 2].min() for part in parts) == pytest.approx(0, abs=1e-5)
    height = max(part.mesh.vertices[:, 2].max() for part in parts)
    assert 5 < height < 40


@pytest.mark.parametrize("kind", KINDS)
def test_print_is_not_mirrored_and_not_upside_down(kind: str) -> None:
    printed = max(
        (part for part in parts_of(kind) if not isinstance(part.material.colour, tuple)),
        key=lambda part: float(-part.mesh.vertices[:, 1].min()),
    )
    mesh = printed.mesh
    front = mesh.normals[:, 1] < -0.6
    x, z = mesh.vertices[front, 0], mesh.vertices[front, 2]
    u, v = mesh.uvs[front, 0], mesh.uvs[front, 1]
    # The front looks to -y: seen from there x runs to the right and z up.
    assert np.corrcoef(x, u)[0, 1] > 0.9
    assert np.corrcoef(z, v)[0, 1] < -0.9


def test_a_revolved_cylinder_has_its_volume_and_sharp_rims() -> None:
    mesh = meshes.revolve([(0, 0), (2, 0), (2, 5), (0, 5)], around=180)
    assert signed_volume(mesh) == pytest.approx(np.pi * 4 * 5, rel=1e-3)
    assert set(np.round(np.abs(mesh.normals[:, 2]), 3)) == {0.0, 1.0}


def test_a_rounded_box_has_its_size() -> None:
    mesh = join(list(meshes.rounded_box(6, 4, 10, 0.3).values()))
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([6, 4, 10], abs=1e-5)
    assert 6 * 4 * 10 * 0.97 < signed_volume(mesh) < 6 * 4 * 10
