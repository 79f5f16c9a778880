import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.base import FLAT, GRAPH, BaseBuilder, Kind
from gallery.ranking import best_products
from gallery.records import SearchedSize
from gallery.store import VectorRows
from gallery.vectors import query_vectors, stored_vectors
from gallery.view import View
from tests.gallery.samples import DIMENSION, vectors_of


def empty() -> View:
    return View.of(BaseBuilder(DIMENSION).finish(sequence=0, last_vector=0))


def rows(vectors: NDArray[np.float32], images: list[int], products: list[int]) -> VectorRows:
    return VectorRows(
        stored_vectors(vectors, DIMENSION),
        np.array(images, dtype=np.int64),
        np.array(products, dtype=np.int64),
        images[-1],
    )


def grown(view: View, images: range, products: int = 10) -> View:
    return view.with_rows(
        rows(
            vectors_of(images, len(images)),
            list(images),
            [image % products for image in images],
        )
    )


def query(content: object = "query", count: int = 1) -> NDArray[np.float32]:
    return query_vectors(vectors_of(content, count), DIMENSION)


def folded(view: View) -> View:
    return view.rebased(view, view.folded(BaseBuilder(DIMENSION)))


def images_of(view: View) -> list[int]:
    living = [view.base.images[view.base_alive], view.delta.images[view.delta.alive]]
    return np.concatenate(living).tolist()


def test_answers_are_the_same_wherever_a_row_is_kept() -> None:
    delta = grown(empty(), range(1, 301))
    mixed = grown(folded(grown(empty(), range(1, 301))), range(301, 302)).without_images(
        np.array([301])
    )
    for k in (1, 3, 10):
        expected = best_products(delta, query(count=4), k)
        assert best_products(folded(delta), query(count=4), k) == expected
        assert best_products(mixed, query(count=4), k) == expected


def test_its_size_is_what_is_alive_wherever_it_is_kept() -> None:
    view = grown(folded(grown(empty(), range(1, 31))), range(31, 41))
    assert view.size == SearchedSize(10, 40)
    # Another vector of an image is no other image.
    again = view.with_rows(rows(vectors_of("again", 1), [40], [0]))
    assert again.size == SearchedSize(10, 40)
    gone = again.without_images(np.array([1, 11, 21, 31, 2]))
    assert gone.size == SearchedSize(9, 35)
    assert gone.only(np.arange(10) == 2).size == SearchedSize(1, 3)
    assert empty().size == SearchedSize(0, 0)


def test_k_products_come_out_though_one_owns_the_nearest_hundreds() -> None:
    rng = np.random.default_rng(0)
    target = query("target")
    near = target + rng.normal(0, 1e-3, (2000, DIMENSION)).astype(np.float32)
    far = vectors_of("far", 4)
    view = empty().with_rows(rows(near, list(range(1, 2001)), [1] * 2000))
    view = view.with_rows(rows(far, [2001, 2002, 2003, 2004], [2, 3, 3, 4]))
    for state in (view, folded(view)):
        assert sorted(hit.product for hit in best_products(state, target, 4)[0]) == [1, 2, 3, 4]
        assert best_products(state, target, 9)[0][0].product == 1
        assert len(best_products(state, target, 9)[0]) == 4


def test_nothing_is_lost_behind_hundreds_of_tombstones() -> None:
    rng = np.random.default_rng(0)
    target = query("target")
    near = target + rng.normal(0, 1e-3, (2000, DIMENSION)).astype(np.float32)
    view = empty().with_rows(rows(vectors_of("far", 2), [1, 2], [1, 2]))
    view = view.with_rows(rows(near, list(range(3, 2003)), [3] * 2000))
    gone = np.arange(3, 2003)
    for state in (view.without_images(gone), folded(view).without_images(gone)):
        assert sorted(hit.product for hit in best_products(state, target, 2)[0]) == [1, 2]
        assert state.rows == 2


def test_equal_scores_go_to_the_image_added_first() -> None:
    same = np.repeat(vectors_of("same"), 500, axis=0)
    order = list(range(1, 501))
    view = empty().with_rows(rows(same, order, [600 - image for image in order]))
    for state in (view, folded(view), grown(folded(view), range(501, 510))):
        hits = best_products(state, query("same"), 5)[0]
        assert [hit.image for hit in hits] == [1, 2, 3, 4, 5]


def test_an_image_with_several_vectors_scores_as_the_best_and_goes_as_one() -> None:
    vectors = np.eye(DIMENSION, dtype=np.float32)
    view = empty().with_rows(rows(vectors[:4], [1, 1, 1, 2], [1, 1, 1, 2]))
    for state in (view, folded(view)):
        for axis in range(3):
            hit = best_products(state, vectors[axis : axis + 1], 1)[0][0]
            assert (hit.image, hit.likeness) == (1, 1.0)
        left = state.without_images(np.array([1]))
        assert (left.rows, left.deleted) == (1, 3)
        assert [hit.image for hit in best_products(left, vectors[:1], 5)[0]] == [2]


def test_an_older_view_is_not_touched_by_newer_ones() -> None:
    first = grown(folded(grown(empty(), range(1, 41))), range(41, 61))
    before = best_products(first, query(count=3), 5)
    later = grown(first.without_images(np.arange(1, 61, 2)), range(61, 100))
    assert images_of(later) == [*range(2, 61, 2), *range(61, 100)]
    assert images_of(first) == list(range(1, 61))
    assert best_products(first, query(count=3), 5) == before


def test_numbers_it_does_not_know_are_ignored() -> None:
    view = grown(empty(), range(1, 11)).without_images(np.array([0, 11, 99]))
    assert view.rows == 10
    assert view.without_images(np.empty(0, dtype=np.int64)).rows == 10


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_what_changed_while_a_base_was_folded_is_kept(seed: int, grows: bool) -> None:
    rng = np.random.default_rng(seed)

    def changed(view: View, steps: int) -> View:
        for _ in range(steps):
            start = view.last_vector + 1
            view = grown(view, range(start, start + int(rng.integers(1, 6))))
            view = view.without_images(rng.integers(1, start + 6, size=3))
        return view.at(view.sequence + steps)

    start = changed(empty(), 5)
    first = start.folded(BaseBuilder(DIMENSION, GRAPH if grows else FLAT))
    before = changed(start.rebased(start, first), 5)
    if grows:
        base = before.with_delta(
            BaseBuilder.extending(first, before.base_alive, threads=1, stop=lambda: False)
        )
    else:
        base = before.folded(BaseBuilder(DIMENSION))
    now = changed(before, 5)
    rebased = now.rebased(before, base, dropped=not grows)
    np.testing.assert_array_equal(images_of(View.of(base)), images_of(before))
    assert images_of(rebased) == images_of(now)
    assert (rebased.rows, rebased.sequence) == (now.rows, now.sequence)
    assert (base.sequence, base.last_vector) == (before.sequence, before.last_vector)
    assert rebased.last_vector == now.last_vector
    assert best_products(rebased, query(count=5), 4) == best_products(now, query(count=5), 4)
    assert images_of(changed(rebased, 3).without_images(np.arange(1, 1000))) == []


def test_no_queries_and_no_rows() -> None:
    assert best_products(empty(), query(count=3), 5) == [[], [], []]
    assert best_products(grown(empty(), range(1, 5)), query(count=0), 5) == []


@pytest.mark.parametrize("kind", [FLAT, GRAPH])
def test_bodies_are_found_though_hundreds_of_scenes_are_nearer(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    images = np.arange(1, 1001)
    place = query("place")[0]
    scenes = place + 0.01 * rng.standard_normal((1000, DIMENSION))
    bodies = rng.standard_normal((1000, DIMENSION))
    interleaved = np.stack([scenes, bodies], axis=1).reshape(2000, DIMENSION)
    view = empty().with_rows(
        rows(interleaved.astype(np.float32), images.repeat(2).tolist(), images.repeat(2).tolist())
    )
    only_bodies = empty().with_rows(
        rows(bodies.astype(np.float32), images.tolist(), images.tolist())
    )
    asked, apart = np.stack([place, query("another")[0]]), np.array([True, True])
    expected = best_products(only_bodies, asked, 5)
    base = view.folded(BaseBuilder(DIMENSION, kind))
    for searched in (view, View.of(base)):
        assert best_products(searched, asked, 5, apart) == expected
        assert (
            best_products(searched, asked, 5, ~apart)
            == best_products(searched, asked, 5)
            != expected
        )
