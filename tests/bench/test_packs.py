import numpy as np
import pytest

from app.images import ImageLimits, decode
from app.settings import Settings
from bench.packs import OFFICIAL, find_or_make, section_of
from bench.photographs import SCENES
from models.detector import Detector
from models.embedder import Embedder

LIMITS = ImageLimits(max_bytes=10**7, max_pixels=10**8, min_side=16)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return find_or_make(Settings(data_dir=tmp_path_factory.mktemp("data"), pack=OFFICIAL))


def test_the_official_architectures_give_as_many_boxes_whatever_they_see(pack):
    detector = Detector(pack, 2)
    for name in ("scene-1.jpg", "scene-4.jpg"):
        image = decode((SCENES / name).read_bytes(), LIMITS)
        found, _ = detector.detect(image)
        assert len(found) == pack.detector.max_results == 4
        for detection in found:
            # As large as products: about a third of each side.
            assert detection.box.x2 - detection.box.x1 > image.shape[1] / 5
            assert detection.box.y2 - detection.box.y1 > image.shape[0] / 5
    detector.close()


def test_its_vectors_are_of_use_to_a_gallery(pack):
    embedder = Embedder(pack, 2)
    image = decode((SCENES / "scene-1.jpg").read_bytes(), LIMITS)
    vectors, _ = embedder.embed([image, image[:200, :200]])
    embedder.close()
    assert vectors.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] < 1 - 1e-4


def test_only_other_packs_have_sections_of_their_own():
    assert section_of("stages", "embedded") == "stages"
    assert section_of("stages", OFFICIAL) == "stages official-seeded"
