import numpy as np
import pytest

from gallery.leaning import (
    LEAN,
    MOST_VECTORS,
    Kept,
    leaned,
    leaned_references,
    product_scores,
)
from gallery.scenes import scenes_of
from tests.gallery.samples import DIMENSION, bits, vectors_of

NONE = np.zeros(8, np.bool_)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_vector_alone_stays_as_it_is() -> None:
    row = unit(vectors_of("alone"))
    np.testing.assert_allclose(leaned(row, NONE[:1]), row, atol=1e-6)


def test_each_leans_part_of_the_way_to_the_mean_of_all() -> None:
    rows = unit(vectors_of("several", 5))
    mean = unit(rows.sum(axis=0, keepdims=True))
    expected = unit((1 - LEAN) * rows + LEAN * mean)
    found = leaned(rows, NONE[:5])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    before, after = ((some @ mean.T).min() for some in (rows, found))
    assert before < after < 1


def test_scenes_and_others_lean_to_their_own_kind() -> None:
    rows = unit(vectors_of("mixed", 6))
    scenes = np.array([True, False] * 3)
    found = leaned(rows, scenes)
    np.testing.assert_array_equal(found[scenes], leaned(rows[scenes], NONE[:3]))
    np.testing.assert_array_equal(found[~scenes], leaned(rows[~scenes], NONE[:3]))


def test_opposite_vectors_have_no_mean() -> None:
    rows = np.stack([bits(0), -bits(0)])
    np.testing.assert_allclose(leaned(rows, NONE[:2]), rows)


def test_of_images_the_first_vector_of_several_is_the_scene() -> None:
    images = [unit(vectors_of(n, 1 + n % 3)) for n in range(7)]
    together = np.concatenate(leaned_references(images))
    scenes = np.concatenate([scenes_of(len(rows)) for rows in images])
    np.testing.assert_array_equal(together, leaned(np.concatenate(images), scenes))
    assert [len(rows) for rows in leaned_references(images)] == [len(rows) for rows in images]
    assert leaned_references([]) == []


def test_too_many_do_not_lean() -> None:
    images = [unit(vectors_of(n)) for n in range(MOST_VECTORS + 1)]
    for before, after in zip(images, leaned_references(images), strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(images[0], leaned_references(images[:-1])[0])


def test_the_scores_of_a_products_images() -> None:
    images = [unit(vectors_of(n, 2)) for n in range(4)]
    queries = unit(vectors_of("asked", 3))
    scenes = np.array([True, False, False])
    found = product_scores(queries, scenes, images)
    assert found.shape == (4, 3)
    for place, rows in enumerate(leaned_references(images)):
        np.testing.assert_allclose(found[place, 0], queries[0] @ rows[1], atol=1e-6)
        np.testing.assert_allclose(found[place, 1:], (queries[1:] @ rows.T).max(axis=1), atol=1e-6)
    assert product_scores(queries, scenes, []).shape == (0, 3)


def test_what_was_not_asked_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery.leaning._KEPT_ROWS", 10)
    kept = Kept()
    rows = np.zeros((4, DIMENSION), np.float32)
    for name in "ab":
        assert kept.keep(name, rows) is rows
    assert kept.get("a") is rows
    kept.keep("c", rows)
    assert [kept.get(name) is rows for name in "abc"] == [True, False, True]
    kept.keep("c", rows)  # by two threads at once
    assert kept.get("a") is rows
