from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.embedder import Embedder
from models.errors import ClosedError, ModelError, PackError
from models.pack import Pack
from tests.models.tiny_packs import LEGACY, write_pack


def crops(count, seed=0):
    """Crops of different sizes and of four colours each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        height, width = rng.integers(2, 300, 2)
        quarters = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        made.append(quarters.repeat(height, axis=0).repeat(width, axis=1))
    return made


@pytest.fixture
def embedder(pack_folder):
    embedder = Embedder(Pack.load(pack_folder), threads=2)
    yield embedder
    embedder.close()


def test_vectors_have_unit_length_and_the_packs_dimension(embedder, pack_folder):
    vectors, times = embedder.embed(crops(3))
    assert vectors.shape == (3, embedder.dimension) == (3, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert times.preprocess > 0
    assert times.forward > 0
    assert times.queue >= 0
    assert embedder.fingerprint == Pack.load(pack_folder).embedder.fingerprint


def test_both_formats_give_the_same_vectors(embedder, tmp_path):
    legacy = Embedder(Pack.load(write_pack(tmp_path / "legacy", LEGACY)), threads=2)
    np.testing.assert_allclose(legacy.embed(crops(4))[0], embedder.embed(crops(4))[0], atol=1e-6)
    legacy.close()


def test_more_crops_than_a_batch_give_each_its_own_vector(embedder):
    many = crops(37)
    together, _ = embedder.embed(many)
    alone = np.concatenate([embedder.embed([crop])[0] for crop in many])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(together @ together.T - np.eye(37)).max() < 0.999


def test_no_crops_give_no_vectors(embedder):
    vectors, _ = embedder.embed([])
    assert vectors.shape == (0, 512)


def test_a_single_pixel_is_a_crop(embedder):
    vectors, _ = embedder.embed([np.full((1, 1, 3), 200, np.uint8)])
    np.testing.assert_allclose(np.linalg.norm(vectors), 1, atol=1e-6)


def test_sixteen_callers_get_their_own_answers(embedder):
    requests = [crops(1 + n % 5, seed=n) for n in range(16)]
    alone = [embedder.embed(request)[0] for request in requests]
    with ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            answers = [vectors for vectors, _ in pool.map(embedder.embed, requests)]
            for answer, expected in zip(answers, alone, strict=True):
                np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_a_zero_vector_is_an_error_and_the_next_call_goes_on(tmp_path, exported):
    fields = {"mean": [0.0] * 3, "std": [1.0] * 3}  # so that black is 0, and so is its vector
    folder = write_pack(tmp_path / "zero", exported, embedder_fields=fields)
    embedder = Embedder(Pack.load(folder), threads=1)
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    with pytest.raises(ModelError, match="without direction"):
        embedder.embed([white, black])
    assert embedder.embed([white])[0].shape == (1, 512)
    embedder.close()


def test_numbers_that_are_not_finite_are_an_error(tmp_path, exported):
    embedder = Embedder(
        Pack.load(write_pack(tmp_path / "nan", exported, embedder="nan_embedder")), threads=1
    )
    with pytest.raises(ModelError, match="without direction"):
        embedder.embed(crops(1))
    embedder.close()


@pytest.mark.parametrize(
    ("stem", "fields", "said"),
    [
        ("short_embedder", {}, r"gives \[1, 512\]; this one gives \[1, 64\]"),
        ("detector", {"input_size": [640, 640]}, "takes one image batch"),
    ],
)
def test_a_network_of_another_role_is_refused(tmp_path, exported, stem, fields, said):
    folder = write_pack(tmp_path / "odd", exported, embedder=stem, embedder_fields=fields)
    with pytest.raises(PackError, match=said):
        Embedder(Pack.load(folder), threads=1)


def test_a_closed_embedder_says_so(embedder):
    embedder.close()
    with pytest.raises(ClosedError):
        embedder.embed(crops(1))
