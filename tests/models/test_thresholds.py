import math

import pytest

from models.thresholds import FEW, MANY, USUAL_RATE, MatchThreshold

LEVEL = MatchThreshold(0.7, 0.1)


def test_a_tenth_of_the_products_takes_the_growth_off() -> None:
    assert LEVEL.among(MANY, MANY) == 0.7
    assert LEVEL.among(MANY // 10, MANY // 10) == pytest.approx(0.6)


def test_the_first_products_are_asked_no_less_than_a_few() -> None:
    lowest = LEVEL.among(FEW, FEW)
    assert 0.5 < lowest < LEVEL.among(FEW + 1, FEW + 1)
    assert {LEVEL.among(*size) for size in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 6))} == {lowest}


def test_photographs_of_one_product_count_as_their_square_root() -> None:
    assert LEVEL.among(10, 90) == pytest.approx(LEVEL.among(30, 30))


def test_it_is_never_above_the_highest_unless_a_rate_is_asked_for() -> None:
    assert LEVEL.among(10 * MANY, 50 * MANY) == 0.7
    assert LEVEL.at_rate(USUAL_RATE, 10 * MANY, 10 * MANY) == pytest.approx(0.8)


def test_a_tenth_of_the_rate_adds_the_growth() -> None:
    assert LEVEL.at_rate(USUAL_RATE / 10, MANY, MANY) == pytest.approx(0.8)
    assert LEVEL.at_rate(10 * USUAL_RATE, MANY, MANY) == pytest.approx(0.6)


def test_products_without_images_do_not_count() -> None:
    assert LEVEL.among(5000, 40) == pytest.approx(LEVEL.among(40, 40))


def test_without_a_growth_it_is_the_same_whatever_the_gallery() -> None:
    plain = MatchThreshold(0.5)
    assert {plain.among(1, 1), plain.among(10, 30), plain.among(9999, 99999)} == {0.5}


def test_it_is_a_cosine() -> None:
    assert MatchThreshold(0.9, 0.5).at_rate(1e-6, 10**6, 10**7) == 1
    assert MatchThreshold(-0.9, 1.0).among(1, 1) == -1


@pytest.mark.parametrize(("products", "images"), [(8, 20), (60, 400), (3000, 9000)])
def test_what_is_measured_in_a_gallery_holds_in_it(products: int, images: int) -> None:
    found = MatchThreshold.measured(0.55, 0.14, products, images)
    assert found.among(products, images) == pytest.approx(0.55)
    assert math.isclose(found.growth, 0.14)
