import numpy as np

from gallery.delta import Delta
from gallery.vectors import query_vectors, stored_vectors
from tests.gallery.samples import DIMENSION, vectors_of


def appended(delta: Delta, count: int) -> Delta:
    start = len(delta)
    vectors = stored_vectors(vectors_of(f"rows {start}", count), DIMENSION)
    numbers = np.arange(start, start + count)
    return delta.append(vectors, numbers, numbers // 5)


def test_an_older_delta_never_changes_while_newer_ones_are_made() -> None:
    deltas = [Delta.empty(DIMENSION)]
    copies = []
    for count in (1, 3, 60, 1, 200, 7):
        deltas.append(appended(deltas[-1], count))
        copies.append((deltas[-1].vectors.copy(), deltas[-1].images.copy()))
    assert [len(delta) for delta in deltas] == [0, 1, 4, 64, 65, 265, 272]
    for delta, (vectors, images) in zip(deltas[1:], copies, strict=True):
        np.testing.assert_array_equal(delta.vectors, vectors)
        np.testing.assert_array_equal(delta.images, images)
        np.testing.assert_array_equal(delta.images, np.arange(len(delta)))


def test_an_append_that_was_given_up_leaves_no_trace() -> None:
    delta = appended(Delta.empty(DIMENSION), 5)
    appended(delta, 3)
    again = delta.append(np.zeros((2, DIMENSION), np.float32), np.array([5, 6]), np.array([9, 9]))
    assert len(delta) == 5
    np.testing.assert_array_equal(again.vectors[5:], 0)
    np.testing.assert_array_equal(again.products, [0, 0, 0, 0, 0, 9, 9])


def test_the_nearest_living_rows_and_the_bound_on_the_others() -> None:
    delta = appended(Delta.empty(DIMENSION), 100)
    alive = np.arange(100) % 4 > 0
    delta = Delta(delta.buffer, delta.image_buffer, delta.product_buffer, alive)
    query = query_vectors(vectors_of("query"), DIMENSION)[0]
    rows, floor = delta.nearest(query, 10)
    scores = delta.vectors @ query
    living = np.flatnonzero(alive)
    best = living[np.argsort(-scores[living])[:10]]
    assert set(rows.tolist()) == set(best.tolist())
    assert abs(floor - scores[best[-1]]) < 1e-6
    everything, bound = delta.nearest(query, 75)
    assert (everything.tolist(), bound) == (living.tolist(), -np.inf)


def test_the_rest_stands_on_its_own() -> None:
    delta = appended(Delta.empty(DIMENSION), 9)
    alive = np.array([True] * 7 + [False, True])
    delta = Delta(delta.buffer, delta.image_buffer, delta.product_buffer, alive)
    rest = delta.after(6)
    np.testing.assert_array_equal(rest.images, [6, 7, 8])
    np.testing.assert_array_equal(rest.alive, [True, False, True])
    assert not np.shares_memory(rest.buffer, delta.buffer)
    assert len(delta.after(9)) == 0
