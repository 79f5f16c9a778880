from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.calibration import Calibration, GalleryTooSmall, calibrate
from app.calibrator import Calibrator
from gallery import Gallery
from tests.gallery.samples import new_image, opened

DIMENSION = 64


def views(centre: NDArray[np.float32], count: int, rng: np.random.Generator) -> list[NDArray]:
    """Photographs of a product: two vectors each, about its own direction."""
    return [centre + 0.9 * rng.standard_normal((2, DIMENSION)) / 8 for _ in range(count)]


def filled(folder: Path, products: int, photographs: int, *, seed: int = 1) -> Gallery:
    rng = np.random.default_rng(seed)
    gallery = opened(folder, dimension=DIMENSION)
    for number in range(products):
        name = f"p{number:03}"
        gallery.put_product(name, name, {})
        centre = rng.standard_normal(DIMENSION) / 8
        gallery.add_images(
            name, [new_image((name, i), v) for i, v in enumerate(views(centre, photographs, rng))]
        )
    return gallery


def test_unknown_products_are_accepted_as_often_as_asked(tmp_path: Path) -> None:
    with filled(tmp_path, products=60, photographs=4) as gallery:
        found = calibrate(gallery)
        strangers = np.random.default_rng(2).standard_normal((400, DIMENSION)) / 8
        rng = np.random.default_rng(3)
        queries = np.concatenate([views(centre, 1, rng)[0] for centre in strangers])
        answers = gallery.search(queries.astype(np.float32), 1).candidates
        scores = np.array([row[0].score for row in answers]).reshape(-1, 2).max(axis=1)
    assert (len(found.impostor), found.genuine_count) == (240, 240)
    for rate in (0.05, 0.1, 0.3):
        threshold = found.threshold(rate)
        low, high = found.interval(threshold)
        observed = float(np.mean(scores >= threshold))
        assert low <= rate <= high
        assert low <= observed <= high
    assert found.threshold(0.01) > found.threshold(0.1) > found.threshold(0.5)
    assert found.miss_rate(-1.0) < found.miss_rate(found.threshold(0.01)) <= 1


def test_a_reference_is_asked_with_all_its_vectors_and_never_finds_itself(tmp_path: Path) -> None:
    # On axes of their own but for what is said: every score is known beforehand.
    axes = np.eye(DIMENSION, dtype=np.float32)
    with opened(tmp_path, dimension=DIMENSION) as gallery:
        for number in range(12):
            name, own = f"p{number:02}", axes[4 * number : 4 * number + 4]
            gallery.put_product(name, name, {})
            # The second vectors of a product's two references have the cosine 0.6.
            pairs = [(own[0], own[1]), (own[2], 0.6 * own[1] + 0.8 * own[3])]
            gallery.add_images(name, [new_image((name, i), pair) for i, pair in enumerate(pairs)])
        found = calibrate(gallery)
    np.testing.assert_allclose(found.genuine, 0.6, atol=1e-3)
    np.testing.assert_allclose(found.impostor, 0, atol=1e-6)
    assert found.miss_rate(0.59) == 0
    assert found.miss_rate(0.61) == 1


def test_the_same_picture_again_proves_nothing(tmp_path: Path) -> None:
    with filled(tmp_path, products=20, photographs=2) as gallery:
        before = calibrate(gallery)
        rng = np.random.default_rng(9)
        picture = rng.standard_normal((1, DIMENSION))
        for product in ("p000", "p001"):
            copies = [new_image((product, copy), picture) for copy in range(2)]
            gallery.add_images(product, copies)
        after = calibrate(gallery)
    assert np.nanmax(after.genuine) == np.nanmax(before.genuine) < 0.98
    assert after.impostor.max() < 0.98


def test_products_that_go_wrong_as_a_whole_widen_the_interval() -> None:
    each = Calibration(1, np.arange(200), np.linspace(0, 1, 200), np.full(200, np.nan))
    of_ten = Calibration(1, np.repeat(np.arange(10), 20), each.impostor, each.genuine)
    narrow, wide = each.interval(0.9), of_ten.interval(0.9)
    assert 0 < narrow[0] < 0.1 < narrow[1] < 0.2
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_rate_finer_than_the_gallery_can_tell() -> None:
    found = Calibration(1, np.arange(50), np.linspace(0, 1, 50), np.full(50, np.nan))
    assert 0.9 < found.threshold(0.05) < 1
    with pytest.raises(GalleryTooSmall, match="49 more"):
        found.threshold(0.01)


@pytest.mark.parametrize(
    ("products", "photographs", "advice"),
    [(0, 0, "two at least"), (1, 20, "two at least"), (30, 1, "second photographs")],
)
def test_galleries_too_small_to_say(
    tmp_path: Path, products: int, photographs: int, advice: str
) -> None:
    with (
        filled(tmp_path, products, photographs) as gallery,
        pytest.raises(GalleryTooSmall, match=advice),
    ):
        calibrate(gallery)


def test_a_change_is_fitted_behind_while_the_old_calibration_answers(tmp_path: Path) -> None:
    with (
        filled(tmp_path, products=20, photographs=2) as gallery,
        closing(Calibrator(gallery)) as calibrator,
    ):
        assert calibrator.at_hand() is None
        first = calibrator.fitted().result()
        assert calibrator.fitted().result() is first
        assert calibrator.at_hand() is first
        gallery.delete_product("p000")
        assert calibrator.at_hand() is first
        second = calibrator.fitted().result()
        assert second.revision == first.revision + 1
        assert len(second.impostor) == 38
        assert calibrator.at_hand() is second
        for number in range(1, 20):
            gallery.delete_product(f"p{number:03}")
        with pytest.raises(GalleryTooSmall):
            calibrator.fitted().result()
        assert calibrator.at_hand() is None
