"""What the embedded embedder learns to tell apart."""

import numpy as np
import pytest

from models.training.recipes.cylinders import ASPECT
from models.training.recipes.identities import Key, Pictures, Shot
from models.training.recipes.labels import label_families
from models.training.recipes.split import PARTS, folds


def plain(colour, height=60, width=40):
    return np.full((height, width, len(colour)), colour, np.uint8)


@pytest.fixture(scope="module")
def pictures():
    grocery = [Shot(plain((200, 30, 30)), [], iconic=False)]
    drink = [Shot(plain((30, 200, 30), 90, 90), [(30, 30, 60, 60)], iconic=False)]
    return Pictures(
        names={"grocery": ["tomato"], "drink": ["cola"]},
        shots={"grocery": [grocery], "drink": [drink]},
        bodies=[[plain((30, 200, 30, 255))]],
        labels=list(label_families(0, 2)),
        catalogue=[plain((40, 40, 220, 255))],
        grounds=[plain((128, 128, 128), 80, 80)],
    )


def test_every_identity_has_a_view(pictures):
    rng = np.random.default_rng(0)
    keys = list(pictures.identities())
    assert len(keys) == len(set(keys)) == 3 + 3 + 2 + sum(map(len, pictures.labels))
    for key in keys:
        view = pictures.view(key, 32, rng)
        assert view.shape == (32, 32, 3)
        assert view.dtype == np.uint8


def test_another_hue_is_another_product_and_stays_the_same_one(pictures):
    def mean_colour(variant):
        rng = np.random.default_rng(3)
        views = [pictures.view(Key("grocery", 0, variant), 32, rng) for _ in range(40)]
        return np.median([view.reshape(-1, 3).mean(axis=0) for view in views], axis=0)

    red, second, third = (mean_colour(variant) for variant in range(3))
    assert red.argmax() == 0
    assert second.argmax() != 0 or third.argmax() != 0
    assert np.abs(second - third).max() > 20
    np.testing.assert_array_equal(second, mean_colour(1))


def test_members_of_a_family_differ_a_little(pictures):
    for members in pictures.labels:
        assert len(members) > 1
        first = members[0]
        assert first.package in ASPECT or first.art.shape[1] < first.art.shape[0]
        for other in members[1:]:
            assert other.package == first.package
            changed = (other.art != first.art).any(axis=2).mean()
            assert 0 < changed < 0.6


def test_families_are_the_same_every_time(pictures):
    for again, before in zip(label_families(1, 1), pictures.labels[1:], strict=True):
        for one, other in zip(again, before, strict=True):
            np.testing.assert_array_equal(one.art, other.art)


def test_folds_are_even_and_do_not_depend_on_the_order():
    names = [f"product {number}" for number in range(23)]
    of = folds(names)
    counts = np.bincount(list(of.values()), minlength=PARTS)
    assert set(of) == set(names)
    assert counts.max() - counts.min() <= 1
    assert folds(reversed(names + names)) == of
