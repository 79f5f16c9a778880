from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gallery.base import Base, BaseBuilder
from gallery.vectors import query_vectors, stored_vectors
from tests.gallery.samples import vectors_of

DIMENSION = 16


def built(count: int) -> Base:
    builder = BaseBuilder(DIMENSION)
    vectors = stored_vectors(vectors_of("base", 400, DIMENSION), DIMENSION)
    for start in range(0, count, 40):
        part = np.arange(start, min(start + 40, count))
        builder.add(vectors[part], part + 100, part // 10)
    return builder.finish(sequence=7, last_vector=count)


def test_it_finds_the_nearest_exactly() -> None:
    base = built(300)
    queries = query_vectors(vectors_of("queries", 5, DIMENSION), DIMENSION)
    scores, rows = base.nearest(queries, 20)
    expected = queries.astype(np.float64) @ base.vectors.astype(np.float64).T
    for query in range(5):
        best = np.argsort(-expected[query])[:20]
        np.testing.assert_array_equal(rows[query], best)
        np.testing.assert_allclose(scores[query], expected[query][best], atol=1e-5)


def test_rows_keep_their_order_and_half_precision_values() -> None:
    base = built(100)
    vectors = stored_vectors(vectors_of("base", 400, DIMENSION)[:100], DIMENSION)
    np.testing.assert_array_equal(base.vectors, vectors)
    np.testing.assert_array_equal(base.images, np.arange(100) + 100)
    np.testing.assert_array_equal(base.products, np.arange(100) // 10)
    assert (len(base), base.dimension, base.sequence, base.last_vector) == (100, 16, 7, 100)


@pytest.mark.parametrize(("rows", "width", "got"), [(0, 5, 0), (3, 5, 3), (8, 5, 5)])
def test_it_never_returns_more_rows_than_there_are(rows: int, width: int, got: int) -> None:
    queries = query_vectors(vectors_of("queries", 2, DIMENSION), DIMENSION)
    scores, found = built(rows).nearest(queries, width)
    assert scores.shape == found.shape == (2, got)
    assert (found >= 0).all()


def test_a_base_made_of_another_has_its_living_rows() -> None:
    base = built(100)
    alive = np.arange(100) % 3 > 0
    builder = BaseBuilder(DIMENSION)
    builder.add_base(base, alive)
    copy = builder.finish(sequence=8, last_vector=100)
    np.testing.assert_array_equal(copy.vectors, base.vectors[alive])
    np.testing.assert_array_equal(copy.images, base.images[alive])
    np.testing.assert_array_equal(copy.products, base.products[alive])


def test_many_threads_search_one_base() -> None:
    base = built(400)
    queries = query_vectors(vectors_of("queries", 8, DIMENSION), DIMENSION)
    expected = base.nearest(queries, 10)[1]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: base.nearest(queries, 10)[1], range(200)))
    assert all(np.array_equal(answer, expected) for answer in answers)
