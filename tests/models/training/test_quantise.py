import os
import shutil
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from app.sample import references
from gallery import Gallery, NewImage
from models.detector import Detector
from models.embedder import Embedder
from models.errors import ModelError
from models.pack import Pack
from models.training.quantise import FEWEST, MOST, compare, load_pictures, quantise
from models.verify import verify_pack


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, path in enumerate(references()[: FEWEST + 2]):
        shutil.copy(path, folder / f"{number}.jpg")
    return folder


def test_a_quantised_pack_answers_nearly_as_before_on_openvino_alone(
    pack_folder, pictures, tmp_path
):
    pack = Pack.load(pack_folder)
    images = load_pictures(pictures)
    assert FEWEST <= len(images) <= MOST

    quantised = quantise(pack, images[:-4], tmp_path / "tiny-int8")

    assert quantised.name == "tiny-int8"
    # Vectors of both cannot be searched together.
    assert quantised.embedder.fingerprint != pack.embedder.fingerprint
    assert quantised.embedder.match_threshold == pack.embedder.match_threshold
    cosine, kept = compare(pack, quantised, images[-4:])
    assert cosine > 0.98
    assert kept > 0.8
    with closing(Embedder(quantised, 1, "openvino-fp32")) as embedder:
        vectors, _ = embedder.embed(images[:3])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    with pytest.raises(ModelError, match="choose engine openvino-fp32"):
        Detector(quantised, 1)
    assert not verify_pack(quantised.folder).checks[1].passed
    assert verify_pack(quantised.folder, engine="openvino-fp32").checks[1].passed


def test_a_gallery_is_embedded_again_by_a_quantised_pack(pack_folder, pictures, tmp_path):
    packs = tmp_path / "data" / "packs"
    quantise(Pack.load(pack_folder), load_pictures(pictures), packs / "tiny-int8")
    folder = tmp_path / "data" / "gallery"
    with closing(Gallery.open(folder, dimension=64, fingerprint="another")) as gallery:
        gallery.put_product("tea", "Tea", {})
        thumbnail = references()[0].read_bytes()
        vectors = np.eye(1, 64, dtype=np.float32)
        gallery.add_images("tea", [NewImage("0" * 64, 320, 320, thumbnail, vectors)])
    environment = {
        "TILLSIGHT_DATA_DIR": str(tmp_path / "data"),
        "TILLSIGHT_PACK": "tiny-int8",
        "TILLSIGHT_ENGINE": "openvino-fp32",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "gallery", "reembed"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1 image embedded with the pack tiny-int8" in done.stdout


def test_too_few_pictures_and_what_is_none_are_told(pictures, tmp_path):
    with pytest.raises(ModelError, match="holds 0 pictures; at least 30 are needed"):
        load_pictures(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(pictures, broken)
    (broken / "0.jpg").write_bytes(b"no image")
    with pytest.raises(ModelError, match=r"0\.jpg cannot be read as an image"):
        load_pictures(broken)


def test_a_pack_is_replaced_whole_or_stays_as_it_was(pack_folder, pictures, tmp_path, monkeypatch):
    pack = Pack.load(pack_folder)
    images = load_pictures(pictures)
    mine = tmp_path / "mine"
    shutil.copytree(pack_folder, mine)
    (mine / "note.txt").write_text("of the shop")
    before = {path.name: path.read_bytes() for path in mine.iterdir()}

    def unreadable(*_: object) -> None:
        raise ModelError("cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr("models.openvino_engine.read", unreadable)
        with pytest.raises(ModelError, match="cannot be read"):
            quantise(pack, images, mine)
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before

    quantise(Pack.load(mine), images, mine)
    assert {path.name for path in mine.iterdir()} == {
        *("pack.toml", "note.txt", "detector.xml", "detector.bin", "embedder.xml", "embedder.bin")
    }


def test_a_shipped_packs_name_is_refused_before_any_work(pictures, tmp_path):
    command = [sys.executable, "-m", "app.cli", "train", "int8", str(pictures)]
    told = subprocess.run(
        [*command, "--from", "embedded", "--to", str(tmp_path / "embedded")],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert "'embedded' is a pack that comes with TillSight" in told.stderr
