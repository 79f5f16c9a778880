from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.calibrating import calibrate
from app.calibration import Calibration
from app.calibrator import Calibrator
from app.impostors import GalleryTooSmall, Impostors
from app.reliability import Reliability
from gallery import Gallery, In
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
        gallery.put_product(name, name, {"shelf": number % 2})
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
        scenes = np.tile([True, False], len(strangers))
        answers = gallery.search(queries.astype(np.float32), 1, scenes=scenes).candidates
        scores = np.array([row[0].score for row in answers]).reshape(-1, 2).max(axis=1)
    assert (len(found.impostors), found.genuine_count) == (240, 240)
    for rate in (0.05, 0.1, 0.3):
        low, high = found.interval(rate)
        assert low <= rate <= high
        assert low <= float(np.mean(scores >= found.impostors.threshold(rate))) <= high
    assert (
        found.impostors.threshold(0.01)
        > found.impostors.threshold(0.1)
        > found.impostors.threshold(0.5)
    )
    missed = [found.miss_rate(at) for at in (-1.0, found.impostors.threshold(0.01), 0.6, 0.99)]
    assert missed[0] <= missed[1] < missed[2] < missed[3] == 1


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
    np.testing.assert_allclose(found.impostors.scores, 0, atol=1e-6)
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
    assert after.impostors.scores.max() < 0.98


def scored(products: NDArray, impostor: NDArray) -> Calibration:
    """References of which only the score by the best other product, the next one, is known."""
    others = (products + 1) % (products.max() + 1)
    nothing = np.full(len(products), -1)
    return Calibration(
        revision=1,
        product_ids=[str(number) for number in range(products.max() + 1)],
        products=products,
        others=np.stack([others, nothing], axis=1),
        scores=np.stack([impostor, nothing], axis=1),
        genuine=np.full(len(products), np.nan),
        vectors=np.zeros((len(products), 1, 1), np.float16),
        scenes=np.zeros((len(products), 1), np.bool_),
        reliability=Reliability(0, 0, 0),
    )


def test_products_that_go_wrong_as_a_whole_widen_the_interval() -> None:
    scores = np.linspace(0, 1, 200)
    each = scored(np.arange(200), np.random.default_rng(1).permutation(scores))
    of_ten = scored(np.repeat(np.arange(10), 20), scores)
    narrow, wide = each.interval(0.1), of_ten.interval(0.1)
    assert 0 < narrow[0] < 0.1 < narrow[1] < 0.25
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_clusters_do_not_bias_the_threshold() -> None:
    # All photographs of a product score alike: a threshold between them is one between products,
    # and of products that are new more reach it than the share of those that it was made from.
    rng = np.random.default_rng(4)
    observed: dict[float, list[float]] = {0.1: [], 0.2: []}
    products, nothing = np.repeat(np.arange(25), 12), np.full(300, -1)
    for _ in range(60):
        scores = np.repeat(rng.standard_normal(25), 12)
        found = Impostors(products, scores, rivals=nothing, without=scores)
        for rate, rates in observed.items():
            new = rng.standard_normal(500)
            rates.append(float(np.mean(new >= found.threshold(rate))))
    for rate, rates in observed.items():
        assert rate / 1.25 < np.mean(rates) < rate * 1.25


def test_a_rate_that_products_can_not_tell_is_expected_to_be_higher() -> None:
    found = scored(np.repeat(np.arange(10), 20), np.repeat(np.linspace(0, 0.9, 10), 20))
    assert found.impostors.expected_rate(0.01) == pytest.approx(0.1)
    assert found.impostors.expected_rate(0.4) == 0.4
    assert found.interval(0.01)[1] > 0.1


def test_a_rate_finer_than_the_gallery_can_tell() -> None:
    found = scored(np.arange(50), np.linspace(0, 1, 50))
    assert 0.9 < found.impostors.threshold(0.05) < 1
    with pytest.raises(GalleryTooSmall, match="49 more"):
        found.impostors.threshold(0.01)


def test_a_filter_is_calibrated_as_if_it_were_the_gallery(tmp_path: Path) -> None:
    with filled(tmp_path, products=40, photographs=3) as gallery:
        of_all = calibrate(gallery)
        even = calibrate(gallery, where=In("shelf", (0,)))
        for number in range(1, 40, 2):
            gallery.delete_product(f"p{number:03}")
        alone = calibrate(gallery)
        with pytest.raises(GalleryTooSmall, match="filter"):
            calibrate(gallery, where=In("shelf", (7,)))
    assert (of_all.product_count, even.product_count) == (40, 20)
    assert (
        even.impostors.threshold(0.2)
        == alone.impostors.threshold(0.2)
        < of_all.impostors.threshold(0.2)
    )


def test_a_clear_answer_is_more_likely_right(tmp_path: Path) -> None:
    with filled(tmp_path, products=60, photographs=4) as gallery:
        found = calibrate(gallery)
    probability = found.reliability.probability
    assert probability(0.7, 0.3) > 0.95 > probability(0.45, 0.02) > probability(0.3, 0.01)
    assert probability(0.3, 0.01) < 0.2


@pytest.mark.parametrize(
    ("products", "photographs", "advice"),
    [(0, 0, "4 at least"), (3, 20, "4 at least"), (30, 1, "second photographs")],
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
        assert len(second.impostors) == 38
        assert calibrator.at_hand() is second
        assert calibrator.at_hand(In("shelf", (0,))) is None
        even = calibrator.fitted(In("shelf", (0,))).result()
        assert calibrator.at_hand(In("shelf", (0,))) is even
        assert calibrator.at_hand() is second
        for number in range(1, 20):
            gallery.delete_product(f"p{number:03}")
        with pytest.raises(GalleryTooSmall):
            calibrator.fitted().result()
        assert calibrator.at_hand() is None
