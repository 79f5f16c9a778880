import zipfile

import cv2
import numpy as np
import pytest

from models.errors import ModelError
from models.training.recipes.modelled import write_models
from models.training.render.furniture import FURNITURE, Studio, catalogue, developed, read_model
from models.training.render.wavefront import GREY, Surface, read_patches, read_surfaces

MTL = """
# a red that is half clear, and a picture
newmtl red paint
Ns 10
Kd 1 0 0
d 0.5

newmtl printed
map_Kd print.png
"""
# A cube of one unit: four walls of quadrangles, two lids cut by hand; one corner counted backwards.
CUBE = """
mtllib cube.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl red paint
f 1 2 3 4
f 5//1 6//1 7//1 -1//1
f 1 2 6 5
f 4 3 7 8
usemtl printed
f 1/1 4/2 8/3
f 1/1 8/3 5/4
f 2/1 3/2 7/3 6/4
"""
CATALOGUE = "id#1=cube\nmodel#1=/cubes/cube.obj\nicon#1=/cubes/cube.png\nmodel#2=/cubes/other.dae\n"


@pytest.fixture
def debian(tmp_path):
    folder = tmp_path / FURNITURE
    folder.mkdir(parents=True)
    green = np.zeros((8, 8, 3), np.uint8)
    green[..., 1] = 255
    with zipfile.ZipFile(folder / "Cubes.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        archive.writestr("cubes/cube.obj", CUBE)
        archive.writestr("cubes/cube.mtl", MTL)
        archive.writestr("cubes/print.png", cv2.imencode(".png", green)[1].tobytes())
    return tmp_path


def model_of(debian):
    [(path, member)] = catalogue(debian)
    with zipfile.ZipFile(path) as archive:
        return read_model(archive, member)


def test_materials():
    assert read_surfaces(MTL) == {
        "red paint": Surface((1, 0, 0), None, 0.5),
        "printed": Surface(GREY, "print.png", 1.0),
    }


def test_faces_become_triangles_by_material():
    red, printed = read_patches(CUBE, read_surfaces(MTL))
    assert red.corners.shape == (8, 3, 3)
    assert printed.corners.shape == (4, 3, 3)
    areas = [
        np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1).sum() / 2
        for p in (red.corners, printed.corners)
    ]
    assert areas == pytest.approx([4, 2])
    assert printed.uvs[0].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert not red.uvs.any()


@pytest.mark.parametrize("text", ["v 0 0 0\n", "v 0 0 0\nf 1 2 3\n"])
def test_a_broken_model_is_refused(text):
    with pytest.raises(ModelError):
        read_patches(text, {})


def test_only_readable_models_are_named(debian):
    [(path, member)] = catalogue(debian)
    assert (path.name, member) == ("Cubes.sh3f", "cubes/cube.obj")
    assert model_of(debian).pictures["print.png"].shape == (8, 8, 3)


def test_a_view_is_trimmed_and_shows_both_materials(debian):
    studio = Studio(model_of(debian))
    red, green = 0, 0
    for seed in range(6):
        view = studio.view(seed, 48)
        opaque = view[..., 3] >= 128
        assert opaque.any(axis=0)[[0, -1]].all()
        assert opaque.any(axis=1)[[0, -1]].all()
        assert 12 <= max(view.shape[:2]) <= 48
        solid = view[opaque].astype(int)
        red += int((solid[:, 0] > solid[:, 1] + 40).sum())
        green += int((solid[:, 1] > solid[:, 0] + 40).sum())
    assert red > 100
    assert green > 100


def test_the_seed_decides(debian):
    studio = Studio(model_of(debian))
    assert np.array_equal(studio.view(1, 32), studio.view(1, 32))
    assert not np.array_equal(studio.view(1, 32), studio.view(2, 32))


def test_what_is_dark_is_exposed_longer():
    light = np.full((4, 4, 4), 0.01, np.float32)
    light[..., 3] = 1
    picture = developed(light, 0.0)
    assert picture.dtype == np.uint8
    assert 150 < picture[0, 0, 0] < 180  # 0.4 of linear light
    assert (picture[..., 3] == 255).all()


def test_cut_outs_are_written_once(debian, tmp_path):
    work = tmp_path / "work"
    write_models(debian, work)
    [made] = (work / "models").glob("*.png")
    assert cv2.imread(str(made), cv2.IMREAD_UNCHANGED).shape[2] == 4
    made.unlink()
    write_models(debian, work)
    assert not made.exists()
