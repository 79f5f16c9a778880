from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.calibration.calibrate import calibrate
from app.calibration.calibration import Calibration
from app.calibration.calibrator import Calibrator
from app.calibration.impostors import GalleryTooSmall, Impostors
from app.calibration.reliability import Reliability
from gallery import Gallery, In, SearchedSize
from models.thresholds import MatchThreshold
from tests.gallery.samples import new_image, opened

DIMENSION = 64
# What is known of an embedder whose threshold does not depend on the gallery: nothing more.
PLAIN = MatchThreshold(0.5)


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
        found = calibrate(gallery, PLAIN)
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
        assert low <= float(np.mean(scores >= found.threshold(rate))) <= high
    assert found.threshold(0.01) > found.threshold(0.1) > found.threshold(0.5)
    missed = [found.miss_rate(at) for at in (-1.0, found.threshold(0.01), 0.6, 0.99)]
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
        found = calibrate(gallery, PLAIN)
    np.testing.assert_allclose(found.genuine, 0.6, atol=1e-3)
    np.testing.assert_allclose(found.impostors.scores, 0, atol=1e-6)
    assert found.miss_rate(0.59) == 0
    assert found.miss_rate(0.61) == 1


def test_the_same_picture_again_proves_nothing(tmp_path: Path) -> None:
    with filled(tmp_path, products=20, photographs=2) as gallery:
        before = calibrate(gallery, PLAIN)
        rng = np.random.default_rng(9)
        picture = rng.standard_normal((1, DIMENSION))
        for product in ("p000", "p001"):
            copies = [new_image((product, copy), picture) for copy in range(2)]
            gallery.add_images(product, copies)
        after = calibrate(gallery, PLAIN)
    assert np.nanmax(after.genuine) == np.nanmax(before.genuine) < 0.98
    assert after.impostors.scores.max() < 0.98


def scored(products: NDArray, impostor: NDArray, usual: MatchThreshold = PLAIN) -> Calibration:
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
        size=SearchedSize(int(products.max()) + 1, len(products)),
        usual=usual,
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
    assert found.expected_rate(0.01) == pytest.approx(0.1)
    assert found.expected_rate(0.4) == 0.4
    assert found.interval(0.01)[1] > 0.1


def test_a_rate_finer_than_the_gallery_can_tell() -> None:
    found = scored(np.arange(50), np.linspace(0, 1, 50))
    assert 0.9 < found.threshold(0.05) < 1
    with pytest.raises(GalleryTooSmall, match="49 more"):
        found.threshold(0.01)


def test_a_few_products_are_drawn_towards_what_is_known_of_the_embedder() -> None:
    usual = MatchThreshold(0.6, 0.1)
    rng = np.random.default_rng(1)

    def thresholds(products: int) -> tuple[float, float, float]:
        scores = rng.uniform(0, 0.4, 2 * products)
        numbers = np.repeat(np.arange(products), 2)
        of_references = scored(numbers, scores).threshold(0.05)
        known = usual.at_rate(0.05, products, 2 * products)
        return of_references, scored(numbers, scores, usual).threshold(0.05), known

    own, found, known = thresholds(80)
    assert found == pytest.approx((own + known) / 2)
    own, found, known = thresholds(20)
    assert found == pytest.approx(0.2 * own + 0.8 * known)
    own, found, known = thresholds(2000)
    assert own < found < own + 0.05 < known


def test_what_is_known_tells_rates_that_the_references_can_not() -> None:
    numbers, scores = np.arange(50), np.linspace(0, 0.4, 50)
    found = scored(numbers, scores, MatchThreshold(0.6, 0.1))
    fine = found.threshold(1 / 51)
    assert found.threshold(0.1 / 51) == pytest.approx(fine + 0.1)
    assert found.expected_rate(0.1 / 51) < 1 / 51


def test_no_threshold_is_above_the_greatest_score() -> None:
    calibration = scored(np.arange(12), np.linspace(0, 0.95, 12), MatchThreshold(0.9, 0.2))
    assert calibration.threshold(0.0001) == 1


def test_what_is_known_is_as_doubtful_as_it_counts() -> None:
    usual = MatchThreshold(0.9, 0.1)

    def width(products: int, known: MatchThreshold) -> float:
        scores = np.random.default_rng(2).uniform(0, 1, products)
        low, high = scored(np.arange(products), scores, known).interval(0.1)
        return high - low

    assert width(2000, usual) < 1.2 * width(2000, PLAIN)
    low, high = scored(np.arange(12), np.linspace(0, 0.5, 12), usual).interval(0.1)
    assert low < 0.05
    assert high > 0.3


def test_samples_are_left_out_as_soon_as_a_shop_has_enough_of_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with filled(tmp_path, products=3, photographs=4) as gallery:
        centre = rng.standard_normal(DIMENSION) / 8
        for number in range(8):
            # Look-alikes.
            name = f"sample{number}"
            gallery.put_product(name, name, {"sample": True, "shelf": 0})
            pictures = views(centre + rng.standard_normal(DIMENSION) / 40, 4, rng)
            gallery.add_images(name, [new_image((name, i), v) for i, v in enumerate(pictures)])
        with_samples = calibrate(gallery, PLAIN)
        own = [views(rng.standard_normal(DIMENSION) / 8, 4, rng) for _ in range(3)]
        for number, pictures in enumerate(own):
            name = f"own{number}"
            # Another's word of that name does not make it one.
            gallery.put_product(name, name, {"sample": "free", "shelf": 1})
            gallery.add_images(name, [new_image((name, i), v) for i, v in enumerate(pictures)])
        without = calibrate(gallery, PLAIN)
        of_shelf = calibrate(gallery, PLAIN, where=In("shelf", (0, 1)))
    assert (with_samples.product_count, without.product_count) == (11, 6)
    assert of_shelf.product_count == 6
    assert without.threshold(0.2) < with_samples.threshold(0.2) - 0.1


def test_a_filter_is_calibrated_as_if_it_were_the_gallery(tmp_path: Path) -> None:
    with filled(tmp_path, products=40, photographs=3) as gallery:
        of_all = calibrate(gallery, PLAIN)
        even = calibrate(gallery, PLAIN, where=In("shelf", (0,)))
        for number in range(1, 40, 2):
            gallery.delete_product(f"p{number:03}")
        alone = calibrate(gallery, PLAIN)
        with pytest.raises(GalleryTooSmall, match="filter"):
            calibrate(gallery, PLAIN, where=In("shelf", (7,)))
    assert (of_all.product_count, even.product_count) == (40, 20)
    assert even.threshold(0.2) == alone.threshold(0.2) < of_all.threshold(0.2)


def test_a_clear_answer_is_more_likely_right(tmp_path: Path) -> None:
    with filled(tmp_path, products=60, photographs=4) as gallery:
        found = calibrate(gallery, PLAIN)
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
        calibrate(gallery, PLAIN)


def test_a_change_is_fitted_behind_while_the_old_calibration_answers(tmp_path: Path) -> None:
    with (
        filled(tmp_path, products=20, photographs=2) as gallery,
        closing(Calibrator(gallery, PLAIN)) as calibrator,
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
